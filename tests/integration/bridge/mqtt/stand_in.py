"""What stands in for the functions in the bridge's own tests: a responder on the real bus that notes every call."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from nats.aio.client import Client
from nats.aio.msg import Msg

from functions.contract import subjects
from functions.contract.faults import encode_fault
from functions.domain.faults import Fault

_SERVED = ("devicehub.certificates.>", "devicehub.devices.>")


@dataclass(frozen=True)
class Called:
    """One call: the subject below ``devicehub.``, the payload, and the headers that matter."""

    subject: str
    payload: bytes
    caller: str
    order: str

    @property
    def number(self) -> int:
        return int(self.order.split("/")[2])


@dataclass
class StandIn:
    """Answers every call with ``respond``, each in a task of its own, and after ``gate`` is open."""

    respond: Callable[[Called], Awaitable[bytes]]
    calls: list[Called] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, client: Client) -> None:
        """Subscribe; with a connection of its own it survives as the functions' processes do."""
        for subject in _SERVED:
            await client.subscribe(subject, queue="functions", cb=self._heard)
        await client.flush()

    async def until(self, count: int, within: float = 20.0) -> None:
        """Wait for so many calls in all."""
        async with asyncio.timeout(within):
            while len(self.calls) < count:
                self._news.clear()
                await self._news.wait()

    async def _heard(self, msg: Msg) -> None:
        if not msg.reply:
            return
        task = asyncio.create_task(self._answer(msg))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, msg: Msg) -> None:
        headers = msg.headers or {}
        called = Called(
            msg.subject.removeprefix("devicehub."), msg.data, headers[subjects.CALLER], headers[subjects.ORDER]
        )
        self.calls.append(called)
        self._news.set()
        await self.gate.wait()
        try:
            await msg._client.publish(msg.reply, await self.respond(called))
        except Fault as fault:
            head, body = encode_fault(fault, _now())
            await msg._client.publish(msg.reply, body, headers=head)


def _now() -> datetime:
    return datetime.now(UTC)


async def echo(called: Called) -> bytes:
    """Answer with the payload itself."""
    return called.payload
