"""Who makes a request: the bearer token, proven by the hub's functions and believed for a moment."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol, TypeVar

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from starlette.types import Scope

from functions.contract import subjects
from functions.contract.messages import Message, TokenProof, TokenProven
from functions.domain import tokens
from functions.domain.callers import APP, SYSTEM, Caller
from functions.domain.faults import Denied, Reason, Unavailable
from gateway.failures import Failures
from gateway.problems import Refusal

GATEWAY: Final = Caller(SYSTEM, "gateway")

# So long a revoked token may still work. To ask for every request would double the calls.
_BELIEVED_SECONDS = 2.0
_REMEMBERED = 4096
# A little longer than the function gives itself.
_PROOF_SECONDS = 2.5
_INVALID = 'Bearer realm="devicehub", error="invalid_token"'

M = TypeVar("M", bound=Message)


class Bus(Protocol):
    """What the gateway needs of the bus; while the server is away, calls are refused at once."""

    @property
    def is_connected(self) -> bool:
        """Whether the server is there now."""
        ...

    async def request(
        self,
        subject: str,
        payload: bytes,
        *,
        caller: Caller,
        within: float = 5.0,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Call a function with a payload as it is, and give its answer as it is. Raises Fault."""
        ...

    async def call(self, subject: str, body: Message, answer: type[M], *, caller: Caller, within: float = 5.0) -> M:
        """Call a function and give its answer. Raises Fault."""
        ...

    async def subscribe(self, subject: str, heard: Callable[[Msg], Awaitable[None]]) -> Subscription:
        """Hear a subject, now and whenever the server is there again. Raises Unavailable."""
        ...

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Hear it no longer. Raises Unavailable."""
        ...

    def when_back(self, told: Callable[[], None]) -> None:
        """Have somebody told each time that the server was away and is there again."""
        ...


@dataclass(frozen=True, slots=True)
class Proven:
    """A caller, the header that carries what it may do, and until when (monotonic seconds) that is believed."""

    caller: Caller
    scopes: str
    until: float


class Callers:
    """Proves bearer tokens. Keeps no token, only digests of those proven last.

    Args:
        bus: where the functions are.
        failures: who may not try now.
        now: monotonic seconds.
        remembered: tokens, at most; the one that has not been proven longest is forgotten first.
    """

    def __init__(
        self,
        bus: Bus,
        failures: Failures,
        now: Callable[[], float] = time.monotonic,
        *,
        remembered: int = _REMEMBERED,
    ) -> None:
        self._bus = bus
        self._failures = failures
        self._now = now
        self._remembered = remembered
        self._proven: OrderedDict[str, Proven] = OrderedDict()
        self._asked: dict[str, asyncio.Task[Proven]] = {}

    async def prove(self, scope: Scope) -> Proven:
        """The caller of a request.

        Raises:
            Denied: ``unauthenticated``: no token.
            Refusal: ``unauthenticated``: one that is unknown, revoked or
                expired; ``rate_limited``: too many of those came from here.
            Unavailable: the functions cannot be asked.
        """
        return await self.prove_token(bearer_token(scope), scope)

    async def prove_token(self, token: str | None, scope: Scope) -> Proven:
        """The caller who shows a token, wherever it stands in the request.

        Raises:
            Denied, Refusal, Unavailable: as ``prove``.
        """
        if token is None:
            raise Denied(Reason.UNAUTHENTICATED)
        address = (scope.get("client") or ("",))[0] or ""
        digest = tokens.digest(token)
        known = self._proven.get(digest)
        if known is not None and known.until > self._now():
            return known
        if known is None:
            # What was good lately may be asked about, whatever else comes from there.
            self._admit(address)
        try:
            if not tokens.is_text(token):
                raise Denied(Reason.UNAUTHENTICATED, "This is no API token of a hub: they begin with 'dh_'.")
            return await self._shared(digest)
        except Denied as fault:
            self._proven.pop(digest, None)
            self._failures.note(address, self._now())
            raise Refusal(fault, headers={"WWW-Authenticate": _INVALID}) from fault

    def _admit(self, address: str) -> None:
        """Let an address try a token.

        Raises:
            Refusal: too many of its tokens were unknown.
        """
        seconds = self._failures.wait(address, self._now())
        if seconds > 0:
            raise Refusal(
                Unavailable(
                    Reason.RATE_LIMITED, "Too many unknown tokens came from this address. Wait, then try again."
                ),
                headers={"Retry-After": str(math.ceil(seconds))},
            )

    async def _shared(self, digest: str) -> Proven:
        """The proof of a token: one for all requests that come together with it, and no one's to cancel."""
        task = self._asked.get(digest)
        if task is None:
            task = self._asked[digest] = asyncio.create_task(self._ask(digest))
            task.add_done_callback(lambda done: self._settle(digest, done))
        return await asyncio.shield(task)

    def _settle(self, digest: str, task: "asyncio.Task[Proven]") -> None:
        del self._asked[digest]
        if not task.cancelled():
            # Looked at, even if all who waited for it are gone.
            task.exception()

    async def _ask(self, digest: str) -> Proven:
        asked = self._now()
        answer = await self._bus.call(
            subjects.subject("tokens", "prove"),
            TokenProof(digest=digest),
            TokenProven,
            caller=GATEWAY,
            within=_PROOF_SECONDS,
        )
        seconds = _BELIEVED_SECONDS
        if answer.expires_at is not None:
            seconds = min(seconds, (answer.expires_at - datetime.now(UTC)).total_seconds())
        proven = Proven(Caller(APP, answer.name), " ".join(answer.scopes), asked + seconds)
        self._proven[digest] = proven
        self._proven.move_to_end(digest)
        while len(self._proven) > self._remembered:
            self._proven.popitem(last=False)
        return proven


def bearer_token(scope: Scope) -> str | None:
    """The bearer token of a request, whatever it is; None where there is none."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(given) != 1:
        return None
    scheme, _, token = given[0].decode("latin-1").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
