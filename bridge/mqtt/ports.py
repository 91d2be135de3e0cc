"""What the pump of the bridge needs of others, and what others may hang into it."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from bridge.mqtt.session import Incoming, Receipt
from functions.domain.callers import Caller
from functions.domain.sessions import SessionMark


class Broker(Protocol):
    """The side of a session that answers: ``bridge.mqtt.session.Session`` is one."""

    @property
    def connected(self) -> asyncio.Event:
        """Set while there is a connection."""
        ...

    def send(
        self, topic: str, payload: bytes, *, expiry_seconds: int | None = None, receipt: Receipt | None = None
    ) -> None:
        """Publish at QoS 1 without waiting. Raises Unavailable when there is no connection."""
        ...

    def acknowledge(self, incoming: Incoming) -> None:
        """Let the broker forget a message."""
        ...

    def pause(self) -> None:
        """Stop taking in."""
        ...

    def resume(self) -> None:
        """Take in again."""
        ...


class Functions(Protocol):
    """The functions as a bridge calls them: ``functions.contract.bus.Bus`` is one."""

    async def request(
        self, subject: str, payload: bytes, *, caller: Caller, within: float, headers: Mapping[str, str] | None
    ) -> bytes:
        """Call, and give the answer as it is. Raises the Fault that was answered, or Unavailable."""
        ...

    async def publish(self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None) -> None:
        """Publish what nobody answers. Raises Unavailable."""
        ...


class Identities(Protocol):
    """Knows whose certificate a session was opened with."""

    def claimant(self, client_id: str) -> Caller | None:
        """Who may ask for ``provision/request`` from the session with this client id now.

        ``claim:NAME`` for a claim certificate, ``device:ID`` for the device
        of that very id, None for anybody else. Asked when a message comes in,
        after every connect line that came before it.
        """
        ...

    def sent_in(self, device: str) -> SessionMark | None:
        """The session in which a device sent a message that has just come; None if that is not known.

        It is the newest that the broker had let in by then, open or already
        over: a device may send one message and go.
        """
        ...


class Listener(Identities, Protocol):
    """Takes what comes over a lane's session and stands in no row of the table; it knows from there who is who."""

    @property
    def topics(self) -> tuple[str, ...]:
        """What the lane subscribes to for it: none of the table's, and none with a wildcard before its last level."""
        ...

    def take(self, incoming: Incoming) -> None:
        """One message, in the order of the session. The listener acknowledges it itself. Must not raise."""
        ...
