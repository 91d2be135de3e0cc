"""The WebSocket on the whole stack: what devices say over mutual TLS reaches who subscribed."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from infra.node import known_paths
from tests.e2e.devices import Device
from tests.e2e.rig import Identity, RunningHub

# Messages of 250 KB that a client does not read.
LARGE = 80
ALL = ("devices:read", "twins:read", "telemetry:read", "methods:call")


class Client:
    """An application's end of a WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def ask(self, **told: Any) -> dict[str, Any]:
        self.socket.send(json.dumps(told))
        return self.hear()

    def hear(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.socket.recv(timeout=20))
        return told


def make_token(hub: RunningHub, *scopes: str) -> str:
    words = [word for scope in scopes or ALL for word in ("--scope", scope)]
    return hub.cli("token", "create", f"live-{uuid.uuid4().hex[:8]}", *words).stdout.strip()


@contextmanager
def talk(hub: RunningHub, token: str) -> Iterator[Client]:
    with connect(f"ws://127.0.0.1:{hub.http_port}/ws?token={token}", open_timeout=20) as socket:
        client = Client(socket)
        assert client.hear()["type"] == "connected"
        yield client


def device_of(hub: RunningHub, at: Path) -> Identity:
    return hub.device(f"live-{uuid.uuid4().hex[:8]}", at)


def test_what_a_device_says_reaches_who_subscribed(hub: RunningHub, tmp_path: Path) -> None:
    device, token = device_of(hub, tmp_path), make_token(hub)
    base = f"$devicehub/devices/{device.name}"
    with talk(hub, token) as client:
        client.ask(type="subscribe", topics=["status", "telemetry", "events", "twin"], devices=[device.name])
        hub.publish(device, f"{base}/telemetry", '{"temp":21.5}')
        hub.publish(device, f"{base}/events/door", '{"open":true}')
        hub.publish(device, f"{base}/twin/update", '{"reported":{"mode":"eco"}}')
        told: dict[str, dict[str, Any]] = {}
        while not {"status", "telemetry", "events", "twin"} <= told.keys():
            message = client.hear()
            told.setdefault(message["topic"], message)

    assert all(message["deviceId"] == device.name for message in told.values())
    assert told["status"]["data"]["online"] is True
    assert told["telemetry"]["data"] == {"temp": 21.5}
    assert (told["events"]["data"]["eventType"], told["events"]["data"]["data"]) == ("door", {"open": True})
    assert told["twin"]["data"]["after"]["reported"]["doc"]["mode"] == "eco"
    assert token not in (known_paths(hub.data)[0].log("gateway")).read_text()


def test_a_device_answers_a_call_and_is_sent_a_message(hub: RunningHub, tmp_path: Path) -> None:
    device = Device(hub, device_of(hub, tmp_path))
    device.methods = {"echo": lambda request: {"status": 200, "payload": request["payload"]}}
    with talk(hub, make_token(hub)) as client:
        client.ask(type="subscribe", topics=["status"], devices=[device.name])
        device.start("methods/+/request", "messages/devicebound")
        try:
            assert client.hear()["data"]["online"] is True
            called = client.ask(
                type="callMethod", requestId="r1", deviceId=device.name, methodName="echo", payload={"n": 1}
            )
            sent = client.ask(type="sendMessage", messageId="m1", deviceId=device.name, payload={"hello": "you"})
            topics = [device.messages.get(timeout=10) for _ in range(2)]
        finally:
            device.stop()

    assert (called["requestId"], called["status"], called["payload"]) == ("r1", 200, {"n": 1})
    assert sent == {"type": "messageResponse", "messageId": "m1", "success": True}
    assert json.loads(topics[1][1]) == {"hello": "you"}


def test_how_far_a_job_is_reaches_who_subscribed(hub: RunningHub, tmp_path: Path) -> None:
    device = device_of(hub, tmp_path)
    with talk(hub, make_token(hub)) as client, talk(hub, make_token(hub, "telemetry:read")) as other:
        assert client.ask(type="subscribe", topics=["jobs"])["topics"] == ["jobs"]
        refused = other.ask(type="subscribe", topics=["jobs"])
        made = hub.json("job", "desire", '{"led": "on"}', "--device", device.name, "--device", "nobody")
        told = [client.hear()]
        while told[-1]["data"]["state"] == "running":
            told.append(client.hear())
        assert other.ask(type="ping") == {"type": "pong"}

    assert {(message["topic"], message["data"]["jobId"]) for message in told} == {("jobs", made["id"])}
    first, last = told[0]["data"], told[-1]["data"]
    assert (first["total"], first["done"], first["failed"]) == (2, 0, 0)
    assert (last["state"], last["done"], last["failed"]) == ("done", 1, 1)
    assert [message["seq"] for message in told] == sorted({message["seq"] for message in told})
    assert refused["type"] == "error"


def test_a_client_that_does_not_read_gets_a_gap_and_slows_nobody(hub: RunningHub, tmp_path: Path) -> None:
    device, token = Device(hub, device_of(hub, tmp_path)), make_token(hub)
    with talk(hub, token) as slow, talk(hub, token) as quick:
        for client in (slow, quick):
            client.ask(type="subscribe", topics=["telemetry"], devices=[device.name])
        device.start()
        try:
            heard = []
            for number in range(LARGE):
                # More than sockets hold, and more than may wait for a client.
                device.send("telemetry", {"n": number, "fill": "x" * 250_000})
                heard.append(quick.hear()["data"]["n"])
            told = [slow.hear()]
            while told[-1]["type"] != "gap":
                told.append(slow.hear())
            device.send("telemetry", {"n": LARGE})
            heard.append(quick.hear()["data"]["n"])
            after = [slow.hear()["data"]["n"]]
            while after[-1] != LARGE:
                after.append(slow.hear()["data"]["n"])
        finally:
            device.stop()

    assert heard == list(range(LARGE + 1))
    assert [message["data"]["n"] for message in told[:-1]] == list(range(len(told) - 1))
    # Of those between nothing is told but that they are missing.
    assert after == list(range(after[0], LARGE + 1))
    assert after[0] > len(told) - 1


def test_what_breaks_the_rules_of_the_protocol_closes_that_socket_alone(hub: RunningHub) -> None:
    token = make_token(hub)
    with talk(hub, token) as client:
        with talk(hub, token) as other:
            other.socket.send("x" * (513 * 1024))
            with pytest.raises(ConnectionClosedError) as closed:
                other.hear()
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{hub.http_port}/elsewhere?token={token}")

        assert client.ask(type="ping") == {"type": "pong"}

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    assert refused.value.response.status_code in (403, 404)


def test_an_outage_of_the_bus_is_told_as_a_gap(own_hub: RunningHub, tmp_path: Path) -> None:
    hub = own_hub
    device = device_of(hub, tmp_path)
    with talk(hub, make_token(hub)) as client:
        client.ask(type="subscribe", topics=["telemetry"])
        hub.kill("nats")

        assert client.hear() == {"type": "gap"}
        hub.publish(device, f"$devicehub/devices/{device.name}/telemetry", '{"n":1}')
        assert client.hear()["data"] == {"n": 1}
