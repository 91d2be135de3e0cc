import asyncio

from functions.adapters.following import end


async def test_a_task_that_loses_a_cancellation_is_ended_all_the_same() -> None:
    lost = 0

    async def stubborn() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                # As wait_for does when the answer comes in the same turn.
                lost += 1
                if lost == 2:
                    raise

    tasks = [asyncio.create_task(stubborn())]
    await asyncio.sleep(0)

    await asyncio.wait_for(end(tasks), 5)

    assert lost == 2
    assert tasks[0].cancelled()


async def test_no_tasks_end_at_once() -> None:
    await end([])
