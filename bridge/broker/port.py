"""What the keeper needs of the hub, of the lane it runs in, and of any broker."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from nats.aio.msg import Msg

from bridge.broker.lines import Line
from bridge.mqtt.session import Incoming
from functions.contract.messages import Message
from functions.domain.callers import SYSTEM, Caller
from functions.domain.sessions import Session

M = TypeVar("M", bound=Message)

Follow = Callable[[Line, Callable[[], None]], None]

BRIDGE = Caller(SYSTEM, "bridge")


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds between tries: from the first, doubled each time, to the longest."""

    first: float = 0.1
    longest: float = 5.0

    def __iter__(self) -> Iterator[float]:
        """Each pause in turn, without end."""
        pause = self.first
        while True:
            yield pause
            pause = min(pause * 2, self.longest)


PAUSES = Pauses()


class Functions(Protocol):
    """The calling side of the bus, as ``functions.contract.bus.Bus`` has it."""

    async def call(self, subject: str, body: Message, answer: type[M], *, caller: Caller, within: float = 5.0) -> M:
        """Call a function. Raises a Fault."""
        ...

    async def subscribe(self, subject: str, heard: Callable[[Msg], Awaitable[None]]) -> object:
        """Hear a subject."""
        ...


class Link(Protocol):
    """The MQTT session with the broker, as ``bridge.mqtt.session.Session`` has it."""

    disconnected: asyncio.Event

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands."""
        ...

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish and wait for the broker. Raises Denied or Unavailable."""
        ...

    def acknowledge(self, incoming: Incoming) -> None:
        """Let the broker forget a message."""
        ...

    async def close(self) -> None:
        """Disconnect; the lane connects again."""
        ...


class Lane(Protocol):
    """What of a lane matters here, as ``bridge.mqtt.lanes.Lane`` has it.

    ``subscribed`` is set while its session is open and has its subscriptions.
    """

    subscribed: asyncio.Event

    @property
    def taken(self) -> int:
        """How many messages of devices have been taken in all."""
        ...

    async def settled(self) -> None:
        """Wait until no message of a device is unanswered. Raises Denied or Unavailable."""
        ...


class BrokerAdmin(Protocol):
    """A broker to be kept. Every method may be called again with the same, and mends what was left half done.

    Each raises ``Unavailable`` when the broker does not do it in time, and
    ``Denied`` when it refuses the bridge.
    """

    @property
    def topics(self) -> tuple[str, ...]:
        """What to subscribe to, besides the devices' topics."""
        ...

    def take(self, incoming: Incoming) -> None:
        """Look at a message of one of those topics: an answer to an order, or a figure."""
        ...

    @property
    def figures(self) -> Mapping[str, int]:
        """What the broker counts, as far as it has told."""
        ...

    def listen(self, follow: Follow) -> None:
        """Let this have what the log tells, in its order, each with what to call when it is done with."""
        ...

    def read_log(self) -> None:
        """Hand over all that the broker has logged until now."""
        ...

    async def follow_log(self) -> None:
        """Hand over what the broker logs, as it does, until cancelled."""
        ...

    @property
    def log_is_large(self) -> bool:
        """Whether the log is to be put aside as soon as all of it is told."""
        ...

    @property
    def log_is_there(self) -> bool:
        """Whether there is a log that is read."""
        ...

    @property
    def log_has_gap(self) -> bool:
        """Whether there were lines that cannot be had any more."""
        ...

    def forget_gap(self) -> None:
        """What the gap may have hidden is put right."""
        ...

    async def apply_access(self, claims: Collection[str], suspended: Collection[str]) -> None:
        """Let these claim certificates claim and no others, and deny these devices everything."""
        ...

    def request_certificate(self, trust_pem: str, hostnames: Sequence[str]) -> tuple[str, Sequence[str]] | None:
        """A CSR and the names for it, if the broker needs another certificate.

        It does, unless those who trust this trust it, under exactly these
        names besides those that the keeper was started with.
        """
        ...

    def apply_trust(self, trust_pem: str, certificate_pem: str | None) -> None:
        """Have the broker trust these, and show the certificate that was asked for, from the next ``apply_crl`` on.

        Raises Malformed, if it is no trust. Until then, and should this be cut
        short, it takes fewer certificates than before or after, never more.
        """
        ...

    async def apply_crl(self, pem: str) -> None:
        """Have the broker refuse what the list names; returns when it does."""
        ...

    async def end_sessions(self, common_names: Collection[str]) -> None:
        """End every connection of these common names, whatever their client ids."""
        ...

    async def save(self) -> None:
        """Have the broker keep sessions and subscriptions over its own sudden end."""
        ...

    async def answers(self) -> None:
        """One round trip: when it returns, all that the broker did before it has been handed over from its log."""
        ...

    def forget_crl(self) -> None:
        """Trust no longer that the broker has the list it was given."""
        ...

    def sessions(self) -> Mapping[str, Session]:
        """The open sessions by client id."""
        ...
