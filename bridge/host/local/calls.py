"""Calls of programs on this machine, to the functions: who calls is the user whom the message bus vouches for."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog
from pydantic import ValidationError

from bridge.host.local.interface import REGISTRY, TWIN
from functions.contract.bus import Bus
from functions.contract.messages import Message, Nothing, RegistryQuery, TwinDesire
from functions.contract.reading import read_json
from functions.contract.subjects import ORIGIN, subject
from functions.domain.callers import SYSTEM, Caller
from functions.domain.faults import Malformed, Reason, Unavailable

_SECONDS: Final = 4.5
_MOST_OF_A_USER: Final = 16
# Room for a patch of a whole half of a twin, which is 32 KiB, with what JSON adds to it.
MOST_BYTES: Final = 128 * 1024
_ANY_VERSION: Final = -1

log = structlog.get_logger("host")


class LocalCalls:
    """Makes the calls of local programs, a bounded number of each user at once.

    Args:
        bus: where the functions are.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._running: Counter[int] = Counter()
        self._methods: Mapping[tuple[str, str], Callable[..., Awaitable[str]]] = {
            (REGISTRY, "Query"): self._query,
            (REGISTRY, "Get"): self._device,
            (TWIN, "Get"): self._twin,
            (TWIN, "Update"): self._update,
        }

    async def answer(self, uid: int, interface: str, method: str, arguments: tuple[Any, ...]) -> str:
        """Answer one call of a user with a JSON text; its arguments are of the types that the interface says.

        Raises:
            Fault: what the function answered instead; ``rate_limited`` when the user has too many calls open.
        """
        if self._running[uid] >= _MOST_OF_A_USER:
            told = f"This user has {_MOST_OF_A_USER} calls open, which is the most. Wait for their answers first."
            raise Unavailable(Reason.RATE_LIMITED, told)
        self._running[uid] += 1
        try:
            return await self._methods[interface, method](Caller(SYSTEM, f"dbus/{uid}"), *arguments)
        finally:
            self._running[uid] -= 1
            if not self._running[uid]:
                del self._running[uid]

    async def _query(self, caller: Caller, query: str, sort: str, limit: int, offset: int) -> str:
        body = _made(RegistryQuery, {"q": query, "sort": sort, "limit": limit, "offset": offset})
        return await self._call(caller, ("devices", "query"), body)

    async def _device(self, caller: Caller, device: str) -> str:
        return await self._call(caller, ("devices", device, "get"), Nothing())

    async def _twin(self, caller: Caller, device: str) -> str:
        return await self._call(caller, ("twins", device, "get"), Nothing())

    async def _update(self, caller: Caller, device: str, desired: str, expected: int) -> str:
        wish: dict[str, Any] = {"desired": read_json(desired.encode(), "document")}
        if expected != _ANY_VERSION:
            wish["expected_version"] = expected
        return await self._call(caller, ("twins", device, "desire"), _made(TwinDesire, wish))

    async def _call(self, caller: Caller, path: tuple[str, ...], body: Message) -> str:
        headers = {ORIGIN: "dbus"}
        data = await self._bus.request(
            subject("local", *path), body.encode(), caller=caller, within=_SECONDS, headers=headers
        )
        return data.decode()


def _made(kind: type[Message], values: Mapping[str, Any]) -> Message:
    """A message of what a program sent. Raises Malformed: it is none."""
    try:
        return kind.model_validate(values)
    except ValidationError as problem:
        wrong = {".".join(map(str, one["loc"])): one["msg"] for one in problem.errors(include_input=False)}
        raise Malformed(detail="; ".join(f"{name}: {told}" for name, told in wrong.items()), fields=wrong) from None


class Changes:
    """Which devices changed, told at most a few times a second, however often they do.

    Args:
        tell: given an interface, the name of its signal, and the ids.
        every: seconds between two signals of a name, at least.
    """

    def __init__(self, tell: Callable[[str, str, list[str]], None], *, every: float = 0.5) -> None:
        self._tell = tell
        self._every = every
        self._changed: dict[tuple[str, str], set[str]] = {(REGISTRY, "StatusChanged"): set(), (TWIN, "Changed"): set()}
        self._news = asyncio.Event()

    async def listen(self, bus: Bus) -> None:
        """Hear of changes. What a message holds is not read: who is told reads the device anew."""
        await bus.subscribe("devicehub.devices.*.presence", self._hear(REGISTRY, "StatusChanged"))
        await bus.subscribe("devicehub.devices.*.twin.update.documents", self._hear(TWIN, "Changed"))

    def _hear(self, interface: str, signal: str) -> Callable[[Any], Awaitable[None]]:
        changed = self._changed[interface, signal]

        async def heard(message: Any) -> None:
            changed.add(message.subject.split(".")[2])
            self._news.set()

        return heard

    async def run(self) -> None:
        """Tell until it is cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            for (interface, signal), changed in self._changed.items():
                if changed:
                    self._tell(interface, signal, sorted(changed))
                    changed.clear()
            await asyncio.sleep(self._every)
