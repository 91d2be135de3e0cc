"""A device's MQTT session: paho over mutual TLS on the event loop, as the bridge has it; nothing of it is kept."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bridge.mqtt.connection import Connection
from bridge.mqtt.wire import BrokerAddress, Wire
from functions.domain.faults import Unavailable

_ANSWER_SECONDS = 15.0
_CLOSE_SECONDS = 2.0

Heard = Callable[[str, bytes], None]


class Session:
    """One session, by its certificate.

    Args:
        connection: to the broker, not yet begun.
        heard: called from the loop with topic and payload of each message, which is acknowledged after it.
    """

    def __init__(self, connection: Connection, heard: Heard) -> None:
        loop = asyncio.get_running_loop()
        self._connection = connection
        self._heard = heard
        self._opened: asyncio.Future[None] = loop.create_future()
        self._subscribed: dict[int, asyncio.Future[None]] = {}
        self.ended = asyncio.Event()
        client = connection.client
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message

    @classmethod
    async def open(cls, address: BrokerAddress, client_id: str, heard: Heard) -> "Session":
        """Connect; the handshake is made on a thread.

        Raises:
            Unavailable: the broker is away or refuses us.
        """
        # It does not end with us, and what it gives must be closed.
        connecting = asyncio.get_running_loop().run_in_executor(None, address.connect)
        try:
            connected = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(_close)
            raise
        except OSError as problem:
            raise Unavailable(detail=f"No connection to the broker: {problem}") from problem
        session = cls(Connection(Wire(connected), client_id=client_id, user="", password=""), heard)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        # The broker keeps nothing of a simulated device.
        properties.SessionExpiryInterval = 0
        session._connection.start(address.keepalive_seconds, properties)
        try:
            await session._answer(session._opened)
        except BaseException:
            await session.close()
            raise
        return session

    async def subscribe(self, filters: Sequence[str]) -> None:
        """Subscribe at QoS 1.

        Raises:
            Unavailable: the connection goes, or the broker refuses.
        """
        _, mid = self._connection.client.subscribe([(each, 1) for each in filters])
        if mid is None:
            raise Unavailable(detail="The connection to the broker is gone.")
        granted = self._subscribed[mid] = asyncio.get_running_loop().create_future()
        await self._answer(granted)

    def publish(self, topic: str, payload: bytes) -> bool:
        """Publish at QoS 1 without waiting; whether there was a connection to do so."""
        if self.ended.is_set():
            return False
        return self._connection.client.publish(topic, payload, qos=1).rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    async def close(self) -> None:
        """Say goodbye and close."""
        if not self.ended.is_set():
            self._connection.client.disconnect()
            try:
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self.ended.wait()
            except TimeoutError:
                self._connection.abort()

    async def _answer(self, future: asyncio.Future[None]) -> None:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await future
        except TimeoutError as problem:
            raise Unavailable(detail="The broker does not answer.") from problem

    # --- what paho tells

    def _on_connect(self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _more: Any) -> None:
        if self._opened.done():
            return
        if reason.is_failure:
            self._opened.set_exception(Unavailable(detail=f"The broker refuses the connection: {reason.getName()}."))
        else:
            self._opened.set_result(None)

    def _on_disconnect(self, _client: paho.Client, _data: Any, _flags: Any, reason: ReasonCode, _more: Any) -> None:
        self.ended.set()
        for future in (self._opened, *self._subscribed.values()):
            if not future.done():
                future.set_exception(Unavailable(detail=f"The broker ended the connection: {reason.getName()}."))

    def _on_subscribe(self, _client: paho.Client, _data: Any, mid: int, reasons: list[ReasonCode], _more: Any) -> None:
        granted = self._subscribed.pop(mid, None)
        if granted is None or granted.done():
            return
        if any(reason.is_failure for reason in reasons):
            granted.set_exception(Unavailable(detail="The broker refuses a subscription."))
        else:
            granted.set_result(None)

    def _on_message(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self._heard(message.topic, bytes(message.payload))
        if message.qos:
            client.ack(message.mid, message.qos)


def _close(connecting: "asyncio.Future[socket.socket]") -> None:
    if connecting.exception() is None:
        connecting.result().close()
