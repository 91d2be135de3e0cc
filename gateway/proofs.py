"""What the hub's functions said of those who called last, believed for a moment."""

import asyncio
import math
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from functions.domain.callers import Caller
from functions.domain.faults import Denied, Reason, Unavailable
from functions.domain.users import user_key
from gateway.failures import Failures
from gateway.problems import Refusal


@dataclass(frozen=True, slots=True)
class Proven:
    """A caller, the header that carries what it may do, and until when (monotonic seconds) that is believed.

    ``session`` is the id of a user's session, empty for a token.
    """

    caller: Caller
    scopes: str
    until: float
    session: str = ""


class Proofs:
    """Proofs by the digest of what was shown; of those that fail, so many are asked for an address.

    Args:
        failures: who may not try now.
        now: monotonic seconds.
        remembered: how many, at most; the one that has not been proven longest is forgotten first.
    """

    def __init__(self, failures: Failures, now: Callable[[], float], remembered: int) -> None:
        self._failures = failures
        self._now = now
        self._remembered = remembered
        self._proven: OrderedDict[str, Proven] = OrderedDict()
        self._asked: dict[str, asyncio.Task[Proven]] = {}
        self._watched: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    async def of(self, digest: str, address: str, ask: Callable[[], Awaitable[Proven]]) -> Proven:
        """The proof of what has a digest, asked for if it is no longer believed.

        Raises:
            Denied: as ``ask`` does; it is counted.
            Refusal: ``rate_limited``: too many of those came from the address.
            Unavailable: the functions cannot be asked.
        """
        known = self._proven.get(digest)
        if known is not None and known.until > self._now():
            return known
        if known is None:
            # What was good lately may be asked about, whatever else comes from there.
            self._admit(address)
        try:
            return await self._shared(digest, ask)
        except Denied:
            self._proven.pop(digest, None)
            self._failures.note(address, self._now())
            raise

    @contextmanager
    def watched(self, proven: Proven) -> Iterator[asyncio.Event]:
        """Set an event whenever a session may have ended."""
        event = asyncio.Event()
        keys = [proven.session, _of_user(proven.caller.name)]
        for key in keys:
            self._watched[key].add(event)
        try:
            yield event
        finally:
            for key in keys:
                self._watched[key].discard(event)
                if not self._watched[key]:
                    del self._watched[key]

    def doubt(self, user: str, session: str | None) -> None:
        """Believe nothing of a session any more, or (None) of all of a user."""
        for digest, one in list(self._proven.items()):
            is_meant = one.session == session if session else user_key(one.caller.name) == user
            if one.session and is_meant:
                # Known still, but no longer believed.
                self._proven[digest] = Proven(one.caller, one.scopes, self._now(), one.session)
        for event in tuple(self._watched.get(session or _of_user(user), ())):
            event.set()

    def _admit(self, address: str) -> None:
        seconds = self._failures.wait(address, self._now())
        if seconds > 0:
            raise Refusal(
                Unavailable(
                    Reason.RATE_LIMITED,
                    "Too many unknown tokens or sessions came from this address. Wait, then try again.",
                ),
                headers={"Retry-After": str(math.ceil(seconds))},
            )

    async def _shared(self, digest: str, ask: Callable[[], Awaitable[Proven]]) -> Proven:
        """One proof for all requests that come together with it, and no one's to cancel."""
        task = self._asked.get(digest)
        if task is None:
            task = self._asked[digest] = asyncio.ensure_future(self._ask(digest, ask))
            task.add_done_callback(lambda done: self._settle(digest, done))
        return await asyncio.shield(task)

    def _settle(self, digest: str, task: "asyncio.Task[Proven]") -> None:
        del self._asked[digest]
        if not task.cancelled():
            # Looked at, even if all who waited for it are gone.
            task.exception()

    async def _ask(self, digest: str, ask: Callable[[], Awaitable[Proven]]) -> Proven:
        proven = await ask()
        self._proven[digest] = proven
        self._proven.move_to_end(digest)
        while len(self._proven) > self._remembered:
            self._proven.popitem(last=False)
        return proven


def _of_user(name: str) -> str:
    return f"user {user_key(name)}"
