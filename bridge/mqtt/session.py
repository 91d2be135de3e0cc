"""One MQTT 5 session with the broker, over one connection after another.

The broker keeps the session and queues for it while there is no connection;
``open()`` takes it up again. What was not acknowledged either way when a
connection ended is for the broker or for the caller to repeat.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import structlog
from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.mqtt.connection import Connection
from bridge.mqtt.wire import BrokerAddress, Wire
from functions.domain.faults import Denied, Fault, NotFound, Reason, Unavailable

_ANSWER_SECONDS = 10.0
_CLOSE_SECONDS = 1.0
_NEVER = 0xFFFFFFFF
# The most that MQTT 5 can say. Mosquitto 2.0.11 does not keep it anyway: the
# lanes bound themselves by pausing.
_RECEIVE_MAXIMUM = 65_535
# "No matching subscribers" of a PUBACK (MQTT 5, 3.4.2.1): taken, and gone.
_NO_SUBSCRIBERS = 0x10
# Half of the message ids there are, so that none comes round again in flight.
_WINDOW = 32_768

# Told once of a message: None when the broker has taken it, Denied when it
# refused it, NotFound when no session is subscribed to it, Unavailable when the
# connection went first.
Receipt = Callable[[Fault | None], None]

log = structlog.get_logger("bridge")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message from the broker; ``generation`` is the connection it came over."""

    topic: str
    payload: bytes
    qos: int
    mid: int
    retain: bool
    dup: bool
    generation: int


class _Packed(Properties):
    """The properties of a message that expires, packed once: packing takes paho longer than all else it does."""

    def __init__(self, expiry_seconds: int) -> None:
        super().__init__(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        self.MessageExpiryInterval = expiry_seconds
        object.__setattr__(self, "_packed", super().pack())  # type: ignore[no-untyped-call]

    def pack(self) -> bytes:
        return cast(bytes, object.__getattribute__(self, "_packed"))


_expiring = lru_cache(maxsize=256)(_Packed)


_Outgoing = tuple[str, bytes, int | None, Receipt | None]


class Session:
    """A persistent session: QoS 1 both ways, acknowledged by hand.

    Args:
        address: where the broker listens.
        client_id: names the session at the broker; a secret, as whoever uses it takes the session over.
        user: the bridge's user at the broker.
        password: its password.
        on_message: called from the loop with each message; it must not raise.
    """

    def __init__(
        self,
        address: BrokerAddress,
        *,
        client_id: str,
        user: str,
        password: str,
        on_message: Callable[[Incoming], None],
    ) -> None:
        self._address = address
        self._client_id = client_id
        self._user = user
        self._password = password
        self._on_message = on_message
        self._connection: Connection | None = None
        self._opening: asyncio.Future[bool] | None = None
        self._subscribing: dict[int, asyncio.Future[None]] = {}
        self._receipts: dict[int, Receipt | None] = {}
        # What waits for room in the window, acknowledgements in their places.
        self._backlog: deque[_Outgoing | Incoming] = deque()
        self._window = _WINDOW
        self._paused = False
        self.generation = 0
        self.refused = 0
        # Why the last connection ended, for the log.
        self.ending = ""
        self.connected = asyncio.Event()
        self.disconnected = asyncio.Event()
        self.disconnected.set()

    @property
    def is_connected(self) -> bool:
        """Whether the broker has accepted the present connection and it stands."""
        return self.connected.is_set()

    async def open(self) -> bool:
        """Connect; whether the broker still had the session, with its subscriptions and its queue.

        Messages may come before this returns.

        Raises:
            Unavailable: the broker is away or refuses us.
        """
        await self.close()
        try:
            connected = await asyncio.to_thread(self._address.connect)
        except OSError as problem:
            raise Unavailable(detail=f"The broker cannot be reached: {problem}") from problem
        self.generation += 1
        self._opening = asyncio.get_running_loop().create_future()
        self._connection = self._make(Wire(connected))
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = _NEVER
        properties.ReceiveMaximum = _RECEIVE_MAXIMUM
        self._connection.start(self._address.keepalive_seconds, properties)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._opening
        except TimeoutError as problem:
            self._abort()
            raise Unavailable(detail="The broker does not answer.") from problem

    async def subscribe(self, filters: Sequence[str]) -> None:
        """Subscribe at QoS 1: not to our own messages, and not to retained ones as old news.

        What the broker tells of itself is heard at QoS 0, as it must not wait
        in the queue of a session that is away, and from its last value on.

        Raises:
            Unavailable: the broker refuses, or the connection goes.
        """
        said = SubscribeOptions(qos=1, noLocal=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        figures = SubscribeOptions(qos=0, noLocal=True, retainHandling=SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE)
        asked = [(name, figures if name.startswith("$SYS/") else said) for name in filters]
        _, mid = self._client().subscribe(asked)
        if mid is None:
            raise Unavailable(detail="The broker is away.")
        done = self._subscribing[mid] = asyncio.get_running_loop().create_future()
        self._watch()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await done
        except TimeoutError as problem:
            raise Unavailable(detail="The broker does not answer.") from problem
        finally:
            self._subscribing.pop(mid, None)
            self._watch()

    async def publish(self, topic: str, payload: bytes, *, expiry_seconds: int | None = None) -> None:
        """Publish at QoS 1; returns when the broker has taken it.

        Raises:
            Denied: the broker refused it.
            Unavailable: the connection went first; the broker may have it.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def receipt(fault: Fault | None) -> None:
            if not done.done():
                if fault is None or isinstance(fault, NotFound):
                    done.set_result(None)
                else:
                    done.set_exception(fault)

        self.send(topic, payload, expiry_seconds=expiry_seconds, receipt=receipt)
        await done

    def send(
        self, topic: str, payload: bytes, *, expiry_seconds: int | None = None, receipt: Receipt | None = None
    ) -> None:
        """Publish at QoS 1 without waiting.

        The broker handles what comes over one connection in its order: an
        ``acknowledge()`` after this is never handled without it.

        Raises:
            Unavailable: there is no connection.
        """
        client = self._client()
        outgoing = (topic, payload, expiry_seconds, receipt)
        if self._backlog or len(self._receipts) >= self._window:
            self._backlog.append(outgoing)
            self._watch()
        else:
            self._write(client, outgoing)

    def acknowledge(self, incoming: Incoming) -> None:
        """Let the broker forget a message; nothing, if it came over an earlier connection."""
        if not incoming.qos or incoming.generation != self.generation or self._connection is None:
            return
        if self._backlog:
            self._backlog.append(incoming)
        else:
            self._connection.client.ack(incoming.mid, incoming.qos)

    def pause(self) -> None:
        """Stop reading from the broker, over this connection and later ones."""
        self._paused = True
        self._watch()

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        self._watch()

    async def close(self) -> None:
        """Disconnect; the broker keeps the session."""
        if self._connection is None:
            return
        self._connection.client.disconnect()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.disconnected.wait()
        except TimeoutError:
            log.warning("broker does not take the goodbye")
        self._abort()

    def _abort(self) -> None:
        if self._connection is not None:
            self._connection.abort()

    def _client(self) -> paho.Client:
        if self._connection is None or not self.connected.is_set():
            raise Unavailable(detail="The broker is away.")
        return self._connection.client

    def _write(self, client: paho.Client, outgoing: _Outgoing) -> None:
        topic, payload, expiry, receipt = outgoing
        info = client.publish(topic, payload, qos=1, properties=_expiring(expiry) if expiry is not None else None)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Unavailable(detail="The broker cannot be written to.")
        self._receipts[info.mid] = receipt

    def _watch(self) -> None:
        """Paused, it is read all the same while something cannot go on without the broker's acknowledgements."""
        if self._connection is not None and self._opening is not None and self._opening.done():
            self._connection.watch(not self._paused or bool(self._backlog) or bool(self._subscribing))

    # --- what paho tells ---------------------------------------------------------

    def _make(self, wire: Wire) -> Connection:
        connection = Connection(wire, client_id=self._client_id, user=self._user, password=self._password)
        connection.client.on_connect = self._accepted
        connection.client.on_disconnect = self._lost
        connection.client.on_subscribe = self._subscribed
        connection.client.on_publish = self._published
        connection.client.on_message = self._received
        return connection

    def _is_present(self, client: paho.Client) -> bool:
        return self._connection is not None and self._connection.client is client

    def _accepted(
        self, _client: paho.Client, _data: Any, flags: paho.ConnectFlags, reason: ReasonCode, more: Properties | None
    ) -> None:
        if self._opening is None or self._opening.done():
            return
        if reason.is_failure:
            self._opening.set_exception(Unavailable(detail=f"The broker refuses the bridge: {reason.getName()}."))
            return
        self._window = min(_WINDOW, cast(int, getattr(more, "ReceiveMaximum", _WINDOW)))
        self.disconnected.clear()
        self.connected.set()
        self._opening.set_result(bool(flags.session_present))
        self._watch()

    def _lost(self, client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _more: Any) -> None:
        if not self._is_present(client):
            return
        self._connection = None
        self.ending = reason.getName()
        self.connected.clear()
        receipts = [*self._receipts.values(), *(item[3] for item in self._backlog if not isinstance(item, Incoming))]
        self._receipts.clear()
        self._backlog.clear()
        for future in (self._opening, *self._subscribing.values()):
            if future is not None and not future.done():
                future.set_exception(_gone(reason))
        for receipt in receipts:
            if receipt is not None:
                receipt(_gone(reason))
        self.disconnected.set()

    def _subscribed(
        self, _client: paho.Client, _data: Any, mid: int, reasons: list[ReasonCode], _more: Properties | None
    ) -> None:
        done = self._subscribing.get(mid)
        if done is None or done.done():
            return
        refused = [reason.getName() for reason in reasons if reason.is_failure]
        if refused:
            done.set_exception(Unavailable(detail=f"The broker refuses a subscription: {refused[0]}."))
        else:
            done.set_result(None)

    def _published(self, client: paho.Client, _data: Any, mid: int, reason: ReasonCode, _more: Properties) -> None:
        receipt = self._receipts.pop(mid, None)
        refusal: Denied | NotFound | None = None
        if reason.is_failure:
            self.refused += 1
            refusal = Denied(detail=f"The broker refuses a message: {reason.getName()}.")
            log.warning("broker refused a message", reason=reason.getName())
        elif reason.value == _NO_SUBSCRIBERS:
            refusal = NotFound(Reason.NOT_SUBSCRIBED)
        if receipt is not None:
            receipt(refusal)
        if not self._backlog or not self._is_present(client):
            return
        while self._backlog and len(self._receipts) < self._window:
            item = self._backlog.popleft()
            if isinstance(item, Incoming):
                client.ack(item.mid, item.qos)
            else:
                self._write(client, item)
        self._watch()

    def _received(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            # No topic of the hub's has such characters: whoever looks at it refuses it.
            topic = "\N{REPLACEMENT CHARACTER}"
        payload = bytes(message.payload)
        self._on_message(
            Incoming(topic, payload, message.qos, message.mid, message.retain, message.dup, self.generation)
        )


def _gone(reason: ReasonCode) -> Unavailable:
    return Unavailable(detail=f"The connection to the broker is gone: {reason.getName()}.")
