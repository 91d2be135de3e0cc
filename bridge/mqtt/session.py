"""One MQTT 5 session with the broker, on the event loop and without a thread.

paho parses and writes the packets; the loop tells it when its socket can be
read. The session outlives its connections: the broker keeps it and queues for
it, and ``open()`` takes it up again. Each connection is a new paho client,
so that nothing of the last one is sent again behind our back: what was not
acknowledged either way is for the broker or for the caller to repeat.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import structlog
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.mqtt.wire import BrokerAddress, Wire
from functions.domain.faults import Unavailable

_ANSWER_SECONDS = 10.0
_NEVER = 0xFFFFFFFF
# The most that MQTT 5 can say. Mosquitto 2.0.11 does not keep it anyway: the
# lanes bound themselves by pausing.
_RECEIVE_MAXIMUM = 65_535
# Half of the message ids there are, so that none comes round again in flight.
_WINDOW = 32_768

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


class _Client(paho.Client):
    """paho's client over a connection that was made before, because making one blocks."""

    def __init__(self, wire: Wire, client_id: str) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True)
        self._wire = wire

    def _create_socket(self) -> Wire:
        return self._wire


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
        self._client: _Client | None = None
        self._wire: Wire | None = None
        self._opening: asyncio.Future[bool] | None = None
        self._subscribing: dict[int, asyncio.Future[None]] = {}
        self._publishing: dict[int, asyncio.Future[None]] = {}
        self._backlog: deque[tuple[str, bytes, int | None, asyncio.Future[None] | None]] = deque()
        self._unacknowledged = 0
        self._window = _WINDOW
        self._paused = False
        self._reading = False
        self._flushing = False
        self._expiries: dict[int, Properties] = {}
        self._tick: asyncio.TimerHandle | None = None
        self.generation = 0
        self.refused = 0
        self.disconnected = asyncio.Event()
        self.disconnected.set()

    @property
    def is_connected(self) -> bool:
        """Whether the broker has accepted the present connection and it stands."""
        return not self.disconnected.is_set()

    async def open(self) -> bool:
        """Connect; whether the broker still had the session, with its subscriptions and its queue.

        Messages may come before this returns.

        Raises:
            Unavailable: the broker is away or refuses us.
        """
        if self._client is not None:
            await self.close()
        loop = asyncio.get_running_loop()
        try:
            connected = await asyncio.to_thread(self._address.connect)
        except OSError as problem:
            raise Unavailable(detail=f"The broker cannot be reached: {problem}") from problem
        self.generation += 1
        self._wire = Wire(connected)
        self._client = self._make(self._wire)
        self._opening = loop.create_future()
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = _NEVER
        properties.ReceiveMaximum = _RECEIVE_MAXIMUM
        keepalive = self._address.keepalive_seconds
        self._client.connect(
            self._address.host or "localhost", 1, keepalive=keepalive, clean_start=False, properties=properties
        )
        if keepalive:
            self._tick = loop.call_later(1.0, self._misc)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._opening
        except TimeoutError as problem:
            self._abort()
            raise Unavailable(detail="The broker does not answer.") from problem

    async def subscribe(self, filters: Sequence[str]) -> None:
        """Subscribe at QoS 1: not to our own messages, and not to retained ones as old news.

        Raises:
            Unavailable: the broker refuses, or the connection goes.
        """
        options = SubscribeOptions(qos=1, noLocal=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        client = self._connected()
        _, mid = client.subscribe([(name, options) for name in filters])
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
            Unavailable: the broker refused it, or the connection went first: it may have been taken.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(topic, payload, expiry_seconds, done)
        await done

    def send(self, topic: str, payload: bytes, *, expiry_seconds: int | None = None) -> None:
        """Publish at QoS 1 without waiting.

        The broker handles what comes over one connection in its order: an
        ``acknowledge()`` after this is never handled without it.

        Raises:
            Unavailable: there is no connection.
        """
        self._put(topic, payload, expiry_seconds, None)

    def acknowledge(self, incoming: Incoming) -> None:
        """Let the broker forget a message; nothing, if it came over an earlier connection."""
        if incoming.qos and incoming.generation == self.generation and self._client is not None:
            self._client.ack(incoming.mid, incoming.qos)

    def pause(self) -> None:
        """Stop reading from the broker, over this connection and later ones."""
        self._paused = True
        self._watch()

    def resume(self) -> None:
        """Read again."""
        if self._paused:
            self._paused = False
            self._watch()
            # What is buffered here is not announced by the kernel.
            asyncio.get_running_loop().call_soon(self._read)

    async def close(self) -> None:
        """Disconnect; the broker keeps the session."""
        if self._client is None:
            return
        self._client.disconnect()
        try:
            async with asyncio.timeout(1.0):
                await self.disconnected.wait()
        except TimeoutError:
            self._abort()

    # --- sending --------------------------------------------------------------

    def _connected(self) -> _Client:
        if self._client is None or self.disconnected.is_set():
            raise Unavailable(detail="The broker is away.")
        return self._client

    def _put(self, topic: str, payload: bytes, expiry: int | None, done: asyncio.Future[None] | None) -> None:
        client = self._connected()
        if self._backlog or self._unacknowledged >= self._window:
            self._backlog.append((topic, payload, expiry, done))
            self._watch()
        else:
            self._write(client, topic, payload, expiry, done)

    def _write(
        self, client: _Client, topic: str, payload: bytes, expiry: int | None, done: asyncio.Future[None] | None
    ) -> None:
        info = client.publish(topic, payload, qos=1, properties=self._expiring(expiry))
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Unavailable(detail="The broker cannot be written to.")
        self._unacknowledged += 1
        if done is not None:
            self._publishing[info.mid] = done

    def _expiring(self, seconds: int | None) -> Properties | None:
        if seconds is None:
            return None
        known = self._expiries.get(seconds)
        if known is None:
            known = self._expiries[seconds] = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            known.MessageExpiryInterval = seconds
        return known

    def _published(self, _client: paho.Client, _data: Any, mid: int, reason: ReasonCode, _more: Properties) -> None:
        self._unacknowledged -= 1
        done = self._publishing.pop(mid, None)
        if reason.is_failure:
            self.refused += 1
            log.warning("broker refused a message", reason=reason.getName())
        if done is not None and not done.done():
            if reason.is_failure:
                done.set_exception(Unavailable(detail=f"The broker refused the message: {reason.getName()}."))
            else:
                done.set_result(None)
        while self._backlog and self._unacknowledged < self._window and self._client is not None:
            self._write(self._client, *self._backlog.popleft())
        if not self._backlog:
            self._watch()

    # --- the socket and the loop ------------------------------------------------

    def _make(self, wire: Wire) -> _Client:
        client = _Client(wire, self._client_id)
        client.username_pw_set(self._user, self._password)
        # 0: no bound of paho's own, which searches all messages at each acknowledgement.
        client.max_inflight_messages_set(0)
        client.on_connect = self._accepted
        client.on_disconnect = self._gone
        client.on_subscribe = self._subscribed
        client.on_publish = self._published
        client.on_message = self._received
        client.on_socket_open = self._socket_opened
        client.on_socket_close = self._socket_closed
        client.on_socket_register_write = self._wants_to_write
        return client

    def _watch(self) -> None:
        """Watch the socket for reading, or not.

        Paused, it is read all the same while something cannot go on without
        the broker's acknowledgements, which come the same way.
        """
        if self._wire is None or self._wire.fileno() < 0:
            return
        wanted = not self._paused or bool(self._backlog) or bool(self._subscribing)
        if wanted == self._reading:
            return
        self._reading = wanted
        loop = asyncio.get_running_loop()
        if wanted:
            loop.add_reader(self._wire.fileno(), self._read)
        else:
            loop.remove_reader(self._wire.fileno())

    def _read(self) -> None:
        client, wire = self._client, self._wire
        if client is None or wire is None or not self._reading:
            return
        client.loop_read()
        while wire.has_more and self._reading and self._client is client:
            client.loop_read()

    def _socket_opened(self, _client: paho.Client, _data: Any, wire: Any) -> None:
        # The answer to CONNECT must be read even if the session is paused.
        self._reading = True
        asyncio.get_running_loop().add_reader(wire.fileno(), self._read)

    def _socket_closed(self, _client: paho.Client, _data: Any, wire: Any) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(wire.fileno())
        loop.remove_writer(wire.fileno())
        self._reading = False

    def _wants_to_write(self, _client: paho.Client, _data: Any, _wire: Any) -> None:
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        client, wire = self._client, self._wire
        if client is None or wire is None:
            return
        client.loop_write()
        if self._client is not client:
            return
        loop = asyncio.get_running_loop()
        try:
            if wire.flush():
                loop.remove_writer(wire.fileno())
            else:
                loop.add_writer(wire.fileno(), self._flush)
        except OSError:
            self._abort()

    def _misc(self) -> None:
        if self._client is not None:
            self._client.loop_misc()
        if self._client is not None:
            self._tick = asyncio.get_running_loop().call_later(1.0, self._misc)

    def _abort(self) -> None:
        """End the connection on our side; paho finds it closed and tells ``_gone``."""
        client, wire = self._client, self._wire
        if client is not None and wire is not None:
            wire.fail()
            client.loop_read()

    # --- what paho tells ---------------------------------------------------------

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
        self._opening.set_result(bool(flags.session_present))
        self._watch()

    def _gone(self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _more: Any) -> None:
        if _client is not self._client:
            return
        self._client = self._wire = None
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        waiting = [*self._subscribing.values(), *self._publishing.values(), *(item[3] for item in self._backlog)]
        for future in (self._opening, *waiting):
            if future is not None and not future.done():
                future.set_exception(Unavailable(detail=f"The broker's connection is gone: {reason.getName()}."))
        self._publishing.clear()
        self._backlog.clear()
        self._unacknowledged = 0
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
