"""A log as server-sent events: the lines that there are, then those that are being written, until the client leaves."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson
import structlog
from fastapi import Request

from functions.contract.messages import LogLease
from functions.domain.faults import Denied, Fault, NotFound
from gateway.calls import SLOW_SECONDS, call, gateway_of, prove
from gateway.live.listener import GAP, Listener
from gateway.live.logs import name_of, subject_of
from gateway.problems import Refusal

# A third of the time for which a host goes on without being asked again.
_RENEW_SECONDS: Final = 10.0
_LINES: Final = 10
_MOST_LINES: Final = 1000

_HEARTBEAT: Final = b": still there\n\n"

log = structlog.get_logger("gateway")


class LogStream:
    """One client that follows one log.

    Args:
        request: the client's.
        wanted: unit and node, as a ``LogFollow``.
        after: the cursor of the line that the client had last.
    """

    def __init__(self, request: Request, wanted: dict[str, Any], after: str | None) -> None:
        self._request = request
        self._wanted = wanted
        self._after = after
        self._listener = Listener()
        self._known: set[str] = set()
        self._begin = b""
        # Of the message that comes next: its number, and the lines before it.
        self._next: tuple[int, int] | None = None

    async def open(self) -> None:
        """Follow the log, and read what was written to it before.

        Raises:
            Fault, Refusal: why that may not or cannot be done.
        """
        lease = await self._renew()
        name = name_of(lease)
        feed = gateway_of(self._request).feed
        await feed.listen(self._listener, frozenset({name}), None, {name: subject_of(lease)})
        try:
            # Only now: what is written meanwhile is in both, and told once.
            self._begin = await self._first()
        except BaseException:
            feed.leave(self._listener)
            raise

    async def text(self) -> AsyncIterator[bytes]:
        """The events as text."""
        renewing = asyncio.create_task(self._watch())
        try:
            yield self._begin or _HEARTBEAT
            while not renewing.done():
                try:
                    async with asyncio.timeout(_RENEW_SECONDS):
                        frame = await self._listener.take()
                except TimeoutError:
                    yield _HEARTBEAT
                    continue
                yield self._told(frame)
            renewing.result()
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            gateway_of(self._request).feed.leave(self._listener)

    def _told(self, frame: str) -> bytes:
        if frame == GAP:
            # How many, if any, the next lines show.
            return _gap(None)
        told = orjson.loads(frame)["data"]
        text = self._missing(told["number"], told["before"])
        self._next = told["number"] + 1, told["before"] + len(told["entries"])
        text += b"".join(_event(entry) for entry in told["entries"] if entry["cursor"] not in self._known)
        if told.get("ended") is not None:
            text += b"event: ended\ndata: %s\n\n" % orjson.dumps({"message": told["ended"]})
        return text or _HEARTBEAT

    def _missing(self, number: int, before: int) -> bytes:
        """What is said of the lines that should have come before these."""
        if self._next is None or self._next == (number, before):
            return b""
        # Where the host follows anew, it counts anew.
        return _gap(before - self._next[1] if number > self._next[0] else None)

    async def _first(self) -> bytes:
        """The lines that there are, oldest first."""
        proven = await prove(self._request)
        lines = _LINES if self._after is None else _MOST_LINES
        asked = orjson.dumps({**self._wanted, "lines": lines})
        page = orjson.loads(await call(self._request, proven, "logs", "read", payload=asked, within=SLOW_SECONDS))
        entries = page["entries"]
        cursors = [entry["cursor"] for entry in entries]
        self._known = {cursor for cursor in cursors if cursor is not None}
        if self._after is None:
            return b"".join(map(_event, reversed(entries)))
        is_there = self._after in self._known
        missed = entries[: cursors.index(self._after)] if is_there else entries
        return (b"" if is_there else _gap(None)) + b"".join(map(_event, reversed(missed)))

    async def _renew(self) -> LogLease:
        proven = await prove(self._request)
        asked = orjson.dumps(self._wanted)
        body = await call(self._request, proven, "logs", "follow", payload=asked, within=SLOW_SECONDS)
        return LogLease.model_validate_json(body)

    async def _watch(self) -> None:
        """Go on following until the client may not any more."""
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                await self._renew()
            except (Denied, NotFound, Refusal) as problem:
                log.info("log stream ended", reason=str(problem))
                self._listener.miss()
                return
            except Fault as fault:
                # The host may be there again the next time; the numbers show what was missed.
                log.warning("log stream not renewed", reason=str(fault.reason))


def _gap(lines: int | None) -> bytes:
    return b"event: gap\ndata: %s\n\n" % orjson.dumps({"lines": lines})


def _event(entry: dict[str, Any]) -> bytes:
    # JSON has no line ends of its own, so no text can end an event or begin another.
    cursor = b"" if entry["cursor"] is None else b"id: %s\n" % entry["cursor"].encode()
    return b"%sdata: %s\n\n" % (cursor, orjson.dumps(entry))
