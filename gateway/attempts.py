"""Attempts that the gateway refuses itself, told to the functions for the audit trail: in sums, once a second at most.

What a function refuses, its runtime notes. Here it is who shows a token or a
session that is none, who tries too often, and pages of other sites.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import structlog
from starlette.types import Scope

from functions.contract import subjects
from functions.contract.messages import Done, RefusalReport, RefusedAttempts
from functions.domain.audit import UNNAMED, is_origin
from functions.domain.faults import Fault
from functions.domain.refusals import Refusal, RefusalSums, is_refusal, refusal_of
from gateway.callers import GATEWAY, Bus
from gateway.edge import CALLER
from gateway.problems import JUDGED, REQUEST_ID

_EVERY_SECONDS: Final = 1.0
_WITHIN_SECONDS: Final = 2.5
# Of the largest, 64 KiB: as much as a function takes.
_AT_ONCE: Final = 50

log = structlog.get_logger("gateway")


class Attempts:
    """Notes refused attempts, and tells them while there are any.

    Args:
        bus: where the functions are.
        now: the time.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        bus: Bus,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._bus = bus
        self._now = now
        self._sleep = sleep
        self._sums = RefusalSums()
        self._telling: asyncio.Task[None] | None = None

    def note(self, scope: Scope, fault: Fault) -> None:
        """Note what a request is told, if that is a refusal of the gateway's own."""
        if not is_refusal(fault) or scope.get(JUDGED):
            return
        method = "WebSocket" if scope["type"] == "websocket" else scope["method"]
        # The address as the table has it: names and queries of requests may be anything.
        path = getattr(scope.get("route"), "path", "")
        told = refusal_of(
            fault,
            self._now(),
            actor=scope.get(CALLER),
            origin=origin_of(scope),
            function=UNNAMED,
            what=f"{method} {path}",
            call=scope.get(REQUEST_ID, ""),
        )
        self._sums.note(told)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_all())

    async def end(self) -> None:
        """Tell what is left, before the connection is closed."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)
        await self._tell(self._sums.rest())

    async def _tell_all(self) -> None:
        while not self._sums.is_empty:
            await self._tell(self._sums.due(self._now()))
            await self._sleep(_EVERY_SECONDS)

    async def _tell(self, due: list[Refusal]) -> None:
        for begin in range(0, len(due), _AT_ONCE):
            await self._report(due[begin : begin + _AT_ONCE])

    async def _report(self, due: list[Refusal]) -> None:
        report = RefusalReport(refusals=[_message(one) for one in due])
        try:
            await self._bus.call(
                subjects.subject("audit", "refused"), report, Done, caller=GATEWAY, within=_WITHIN_SECONDS
            )
        except Fault as fault:
            # If only the answer was lost they count twice: better than not at all.
            log.warning("refusals wait", number=len(due), reason=str(fault.reason))
            for one in due:
                self._sums.note(one)


def origin_of(scope: Scope) -> str:
    """From where a request came, for the audit trail: ``http:`` and the client's address, as far as it is known."""
    address = (scope.get("client") or ("",))[0] or ""
    told = f"http:{address}"
    return told if address and is_origin(told) else "http"


def _message(one: Refusal) -> RefusedAttempts:
    return RefusedAttempts(
        actor=one.actor,
        origin=one.origin,
        what=one.what,
        error=one.error,
        why=one.why,
        call=one.call,
        since=one.since,
        until=one.until,
        count=one.count,
    )
