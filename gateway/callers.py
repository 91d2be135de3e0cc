"""Who makes a request: a bearer token or a session, proven by the hub's functions and believed for a moment."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Final, Protocol, TypeVar

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from starlette.types import Scope

from functions.contract import subjects
from functions.contract.messages import Message, SessionProof, SessionProven, SessionsChanged, TokenProof, TokenProven
from functions.domain import logins, tokens
from functions.domain.callers import APP, OPERATOR, SYSTEM, Caller
from functions.domain.faults import Denied, Reason, Unavailable
from functions.domain.users import user_key
from gateway.cookies import cleared, refuse_forged, session_text
from gateway.failures import Failures
from gateway.problems import Refusal
from gateway.proofs import Proofs, Proven

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

    async def gather(self, subject: str, *, within: float) -> list[bytes]:
        """What all who hear a subject answer to nothing, within so many seconds. Raises Unavailable."""
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


class Callers:
    """Proves bearer tokens and sessions. Keeps none, only digests of those proven last.

    Args:
        bus: where the functions are.
        failures: who may not try now.
        now: monotonic seconds.
        remembered: tokens and sessions, at most; the one that has not been proven longest is forgotten first.
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
        self._now = now
        self._proofs = Proofs(failures, now, remembered)
        self._hears = False

    async def prove(self, scope: Scope) -> Proven:
        """The caller of a request: by its token, else by its session.

        Raises:
            Denied: ``unauthenticated``: neither; ``foreign_request``: a
                change with a session, which no page of this hub asks for.
            Refusal: ``unauthenticated``: one that is unknown, over, revoked or
                expired; ``rate_limited``: too many of those came from here.
            Unavailable: the functions cannot be asked.
        """
        text = session_text(scope)
        if text is None or any(name == b"authorization" for name, _ in scope["headers"]):
            return await self.prove_token(bearer_token(scope), scope)
        refuse_forged(scope)
        return await self.prove_session(text, scope)

    async def prove_token(self, token: str | None, scope: Scope) -> Proven:
        """The caller who shows a token, wherever it stands in the request.

        Raises:
            Denied, Refusal, Unavailable: as ``prove``.
        """
        if token is None:
            raise Denied(Reason.UNAUTHENTICATED)
        digest = tokens.digest(token)

        async def ask() -> Proven:
            if not tokens.is_text(token):
                raise Denied(Reason.UNAUTHENTICATED, "This is no API token of a hub: they begin with 'dh_'.")
            return await self._ask_token(digest)

        try:
            return await self._proofs.of(digest, _address(scope), ask)
        except Denied as fault:
            raise Refusal(fault, headers={"WWW-Authenticate": _INVALID}) from fault

    async def prove_session(self, text: str | None, scope: Scope, *, quiet: bool = False) -> Proven:
        """The user who shows a session; ``quiet`` does not keep it from ending unused.

        Raises:
            Denied, Refusal, Unavailable: as ``prove``.
        """
        if text is None:
            raise Denied(Reason.UNAUTHENTICATED)
        id_ = logins.session_id(text)

        async def ask() -> Proven:
            if not logins.is_text(text):
                raise Denied(Reason.UNAUTHENTICATED, "This is no session of a hub. Sign in again.")
            return self._believe(await self.look_at_session(id_, quiet=quiet))

        try:
            return await self._proofs.of(id_, _address(scope), ask)
        except Denied as fault:
            raise Refusal(fault, headers={"Set-Cookie": cleared(scope)}) from fault

    async def look_at_session(self, id_: str, *, quiet: bool = False) -> SessionProven:
        """What the functions know of a session now. Raises Fault."""
        await self._listen()
        return await self._bus.call(
            subjects.subject("sessions", "prove"),
            SessionProof(id=id_, quiet=quiet),
            SessionProven,
            caller=GATEWAY,
            within=_PROOF_SECONDS,
        )

    def watched(self, proven: Proven) -> AbstractContextManager[asyncio.Event]:
        """Set an event whenever a session may have ended."""
        return self._proofs.watched(proven)

    def doubt(self, proven: Proven) -> None:
        """Believe nothing of the sessions of a user any more, before word of them comes from the hub."""
        self._proofs.doubt(user_key(proven.caller.name), None)

    async def _listen(self) -> None:
        """Hear of sessions that end: they are believed for two seconds at most, and not even so long then."""
        if self._hears:
            return
        self._hears = True
        try:
            await self._bus.subscribe(subjects.subject("sessions", "changed"), self._changed)
        except Unavailable:
            self._hears = False
            raise

    async def _changed(self, message: Msg) -> None:
        told = SessionsChanged.model_validate_json(message.data)
        self._proofs.doubt(told.user, told.session)

    def _believe(self, answer: SessionProven) -> Proven:
        left = (answer.expires_at - answer.server_time).total_seconds()
        caller = Caller(OPERATOR, answer.user)
        return Proven(caller, answer.role, self._now() + min(_BELIEVED_SECONDS, left), answer.id)

    async def _ask_token(self, digest: str) -> Proven:
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
        return Proven(Caller(APP, answer.name), " ".join(answer.scopes), asked + seconds)


def _address(scope: Scope) -> str:
    return (scope.get("client") or ("",))[0] or ""


def bearer_token(scope: Scope) -> str | None:
    """The bearer token of a request, whatever it is; None where there is none."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(given) != 1:
        return None
    scheme, _, token = given[0].decode("latin-1").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
