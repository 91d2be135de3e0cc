"""Devices that speak MQTT through paho, as published device software does, for tests that need many or long ones."""

import json
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.e2e.rig import Identity, RunningHub


class Device:
    """One device in a session of its own: MQTT 3.1.1, persistent, as devices in the field connect."""

    def __init__(self, hub: RunningHub, who: Identity, *, client_id: str = "", clean: bool = False) -> None:
        self.who = who
        self.name = who.name
        self.messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.connected = threading.Event()
        self.ended = threading.Event()
        self._subscribed = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or who.name,
            clean_session=clean,
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        self._client.tls_set(str(who.ca), str(who.certificate), str(who.key))
        self._client.max_inflight_messages_set(100)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._filters: list[str] = []
        self._hub = hub
        # What the device does when a method is called: what it gives is its response, None for none.
        self.methods: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]] = {}

    def start(self, *filters: str) -> "Device":
        """Connect and subscribe; returns when the broker has granted it, or the session has ended."""
        self._filters = [self.topic(each) for each in filters]
        self._client.connect("127.0.0.1", self._hub.mqtt_port, keepalive=10)
        self._client.loop_start()
        assert self.connected.wait(20), "the broker did not take the connection"
        if filters:
            assert self._subscribed.wait(20), "the broker granted no subscription"
        return self

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def topic(self, rest: str) -> str:
        return f"$devicehub/devices/{self.name}/{rest}" if not rest.startswith("$") else rest

    def subscribe(self, rest: str) -> None:
        self._client.subscribe(self.topic(rest), qos=1)

    def send(self, rest: str, payload: Any, qos: int = 1) -> mqtt.MQTTMessageInfo:
        content = payload if isinstance(payload, (bytes, str)) else json.dumps(payload)
        return self._client.publish(self.topic(rest), content, qos=qos)

    def answer(self, token: str, seconds: float) -> tuple[str, dict[str, Any]] | None:
        """The twin answer that carries the token, or None in that time; other messages are passed over."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                topic, payload = self.messages.get(timeout=left)
            except queue.Empty:
                break
            verdict = topic.rsplit("/", 1)[1]
            if verdict in ("accepted", "rejected") and (body := json.loads(payload)).get("clientToken") == token:
                return verdict, body
        return None

    def update(self, reported: dict[str, Any], token: str, *, patience: float = 5.0, tries: int = 30) -> dict[str, Any]:
        """Report until it is answered, as a careful device does: the same message again when no answer comes."""
        for _ in range(tries):
            self.send("twin/update", {"reported": reported, "clientToken": token})
            told = self.answer(token, patience)
            if told is not None and (told[0] == "accepted" or told[1]["code"] < 429):
                assert told[0] == "accepted", told
                return told[1]
        raise AssertionError(f"{self.name}: no answer to {token} in {tries} tries")

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        self.ended.clear()
        self.connected.set()
        for each in self._filters:
            client.subscribe(each, qos=1)

    def _on_disconnect(self, *_: Any) -> None:
        self.connected.clear()
        self.ended.set()

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        *_, kind, name, last = message.topic.split("/")
        if (kind, last) == ("methods", "request") and name in self.methods:
            request = json.loads(message.payload)
            response = self.methods[name](request)
            if response is not None:
                self.send(f"methods/{name}/response", {"requestId": request["requestId"], **response})
        self.messages.put((message.topic, bytes(message.payload)))
