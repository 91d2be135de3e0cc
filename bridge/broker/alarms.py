"""Alarms: what a person must look at, told in the log, counted, and raised with the functions."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import structlog

from bridge.broker.port import BRIDGE, PAUSES, Functions, Pauses
from functions.contract.messages import AlarmRaise, Done
from functions.contract.subjects import subject
from functions.domain.faults import Denied, Fault, Malformed

RAISE = subject("alarms", "raise")

# One client can cause one alarm with each connection it makes. Every one is
# counted; the same alarm about the same client is told once in this time.
_QUIET_SECONDS = 10.0
_REMEMBERED = 1024
_SHOWN_CHARACTERS = 200
# While the functions are away, so many wait to be raised; the log has them all.
_WAITING = 128

log = structlog.get_logger("bridge.broker")


class Alarms:
    """Raises alarms and counts them by kind.

    Args:
        functions: the bus.
        clock: seconds, never running backwards.
        pauses: how long is waited between tries.
    """

    def __init__(
        self, functions: Functions, clock: Callable[[], float] = time.monotonic, pauses: Pauses = PAUSES
    ) -> None:
        self._functions = functions
        self._clock = clock
        self._pauses = pauses
        self._told: dict[tuple[str, str, str], float] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()

    def tell(
        self,
        kind: str,
        *,
        client_id: str = "",
        common_name: str = "",
        address: str = "",
        detail: str = "",
        at: datetime | None = None,
    ) -> None:
        """Raise an alarm: ``kind`` in words joined by ``-``, and whom and what it concerns."""
        self.counts[kind] += 1
        about = (kind, client_id[:_SHOWN_CHARACTERS], common_name)
        if not self._is_news(about):
            return
        facts = {"clientId": about[1], "commonName": common_name, "address": address, "at": _time(at)}
        log.error("alarm", kind=kind, **facts, detail=detail[:_SHOWN_CHARACTERS])
        if len(self._telling) >= _WAITING:
            log.warning("alarm not raised", kind=kind, problem="too many wait for the functions")
            return
        told = " ".join(_sentences(about[1], common_name, address, detail[:_SHOWN_CHARACTERS]))
        body = AlarmRaise(kind=kind, subject=common_name or about[1], detail=told)
        task = asyncio.get_running_loop().create_task(self._raise(body))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def told(self) -> None:
        """Wait until every alarm raised so far is with the functions, or was refused by them."""
        while self._telling:
            await asyncio.wait(self._telling)

    def _is_news(self, about: tuple[str, str, str]) -> bool:
        now = self._clock()
        last = self._told.pop(about, None)
        if last is not None and now - last < _QUIET_SECONDS:
            self._told[about] = last
            return False
        self._told[about] = now
        while len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]
        return True

    async def _raise(self, body: AlarmRaise) -> None:
        """Try until the functions have taken it: some alarms are of when they are away."""
        for pause in self._pauses:
            try:
                await self._functions.call(RAISE, body, Done, caller=BRIDGE)
            except (Denied, Malformed) as refusal:
                log.warning("alarm not raised", kind=body.kind, problem=str(refusal))
                return
            except Fault:
                await asyncio.sleep(pause)
            else:
                return


def _sentences(client_id: str, common_name: str, address: str, detail: str) -> Iterator[str]:
    if client_id:
        yield f"The client id is '{client_id}'."
    if common_name:
        yield f"The certificate is of '{common_name}'."
    if address:
        yield f"It came from {address}."
    if detail:
        yield detail


def _time(at: datetime | None) -> str:
    return (at or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
