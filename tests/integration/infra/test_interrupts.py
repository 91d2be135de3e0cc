"""Signals that ask to stop."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from infra.stack.interrupts import STOPPING, heard


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The handlers as a hub that starts has them; as they were before at the end."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in STOPPING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_is_told_to_who_waits_and_interrupts_nothing_else(number: signal.Signals) -> None:
    async def wait() -> None:
        with heard() as asked:
            signal.raise_signal(number)
            signal.raise_signal(number)
            await asyncio.wait_for(asked, 10)

    asyncio.run(wait())

    assert [signal.getsignal(one) for one in STOPPING] == [signal.default_int_handler] * len(STOPPING)


def test_what_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def ignore() -> bool:
        with heard() as asked:
            signal.raise_signal(signal.SIGHUP)
            await asyncio.sleep(0)
            return asked.done()

    assert asyncio.run(ignore()) is False
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
