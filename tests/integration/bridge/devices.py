"""Devices for a test: MQTT clients with a certificate each."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.integration.bridge.mosquitto import Mosquitto

# What the hub sends to a device, and none of what the device sends itself.
_FROM_HUB = (
    "+/accepted",
    "+/rejected",
    "+/+/accepted",
    "+/+/rejected",
    "twin/update/delta",
    "methods/+/request",
    "messages/devicebound",
)


class Device:
    """An MQTT client of the test's own, on paho's thread, its messages in a queue."""

    def __init__(
        self, broker: Mosquitto, certificate: Path, key: Path, client_id: str, protocol: MQTTProtocolVersion
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._port = broker.port
        self.id = client_id
        self.certificate = certificate
        self.heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._filters: list[str] = []
        self._subscribed = asyncio.Event()
        clean = None if protocol is MQTTProtocolVersion.MQTTv5 else False
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id, clean, protocol=protocol)
        self.client.tls_set(str(broker.folder / "ca.crt"), str(certificate), str(key))
        self.client.max_inflight_messages_set(0)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda *_: self._subscribe()
        self.client.on_subscribe = lambda *_: self._call(self._subscribed.set)
        self.client.on_message = lambda _c, _d, m: self._call(self.heard.put_nowait, (m.topic, bytes(m.payload)))

    async def connect(self, *filters: str) -> "Device":
        """Connect, and subscribe to the filters, or to all that the hub may send to the device."""
        self._filters = list(filters) or [f"$devicehub/devices/{self.id}/{path}" for path in _FROM_HUB]
        await asyncio.to_thread(self.client.connect, "localhost", self._port, 240)
        self.client.loop_start()
        await asyncio.wait_for(self._subscribed.wait(), 5)
        return self

    def publish(self, path: str, payload: bytes | str, *, qos: int = 1, retain: bool = False) -> paho.MQTTMessageInfo:
        """Publish below the device's own topics, or on a whole topic where the path begins with ``$``."""
        topic = path if path.startswith("$") else f"$devicehub/devices/{self.id}/{path}"
        return self.client.publish(topic, payload, qos=qos, retain=retain)

    async def hear(self, within: float = 5.0) -> tuple[str, bytes]:
        """The next message: its topic without the device's own beginning, and its payload."""
        topic, payload = await asyncio.wait_for(self.heard.get(), within)
        return topic.removeprefix(f"$devicehub/devices/{self.id}/"), payload

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _subscribe(self) -> None:
        # At each connection: a broker that was killed has forgotten the session.
        self.client.subscribe([(name, 1) for name in self._filters])

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)
