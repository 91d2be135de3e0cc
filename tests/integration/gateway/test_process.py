"""The gateway's process before a real NATS server: outages, ends, and events on the bus."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from functions.contract import bus
from functions.domain.callers import APP, SYSTEM, Caller
from functions.domain.faults import Denied, Malformed, Reason
from tests.integration.gateway.conftest import CLI, DEVICE, Functions, Gateway, Nats, until
from tests.unit.gateway.events import KINDS, Request, read

TWIN = f"/api/devices/{DEVICE}/twin"
Token = Callable[..., Awaitable[str]]


@pytest.fixture
async def served(nats: Nats, functions: Functions, gateway: Gateway) -> Gateway:
    """A gateway with all that it needs."""
    nats.start()
    await functions.start()
    gateway.start()
    await gateway.ready()
    return gateway


async def test_a_gateway_that_is_there_before_the_bus_says_so_and_finds_it(
    nats: Nats, functions: Functions, gateway: Gateway, token: Token
) -> None:
    gateway.start()
    assert (await gateway.ask("/healthz")).status == 200
    away = await gateway.ask("/readyz")
    assert away.status == 503
    assert set(away.json()["parts"].values()) == {"down"}
    refused = await gateway.ask(TWIN, "dh_" + "x" * 43)
    assert refused.status == 503
    assert refused.json()["detail"] == "The bus cannot be reached now."
    assert refused.headers["retry-after"] == "1"

    nats.start()
    await functions.start()
    await gateway.ready()

    assert (await gateway.ask(TWIN, await token("twins:read"))).status == 200


async def test_each_part_that_is_away_is_told_at_once_and_its_return_too(
    nats: Nats, functions: Functions, served: Gateway, token: Token
) -> None:
    good = await token("twins:read")
    assert (await served.ask(TWIN, good)).status == 200

    functions.connected_lanes = False
    assert (await until(lambda: not_ready(served)))["broker"] == "down"
    functions.connected_lanes = True
    await served.ready()

    await functions.stop()
    parts = await until(lambda: not_ready(served))
    assert parts == {"nats": "up", "functions": "down", "index": "down", "bridge": "down", "broker": "down"}
    answer = await served.ask(TWIN, good)
    assert answer.status == 503
    assert answer.json()["detail"] == "No function answers this call now."
    await functions.start()
    await served.ready()
    assert (await served.ask(TWIN, good)).status == 200

    nats.kill()
    parts = await until(lambda: not_ready(served))
    assert set(parts.values()) == {"down"}
    answer = await served.ask(TWIN, good)
    assert answer.status == 503
    assert answer.json()["detail"] == "The bus cannot be reached now."
    nats.start()
    await served.ready()
    assert (await served.ask(TWIN, good)).status == 200


async def not_ready(gateway: Gateway) -> Any:
    answer = await gateway.ask("/readyz")
    return answer.json()["parts"] if answer.status == 503 else None


async def test_it_is_found_on_the_bus_and_tells_what_it_does(nats: Nats, served: Gateway) -> None:
    client = await nats.connect("cli")
    try:
        ping = json.loads((await client.request("$SRV.PING.gateway", b"")).data)
        stats = json.loads((await client.request("$SRV.STATS.gateway", b"")).data)
    finally:
        await client.close()

    assert ping["name"] == "gateway"
    (endpoint,) = stats["endpoints"]
    assert endpoint["subject"] == "devicehub.http.event"
    assert endpoint["queue_group"] == "gateway"
    assert endpoint["data"]["requests"] >= 1


async def test_metrics_come_from_every_part_and_from_the_server(served: Gateway, token: Token) -> None:
    good = await token("devices:read", "twins:read")
    assert (await served.ask(TWIN, good)).status == 200

    answer = await served.ask("/metrics", good)

    assert answer.status == 200
    found = {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in answer.body.decode().splitlines()
        if not line.startswith("#")
    }
    assert [name for name in found if name.startswith("devicehub_function_calls_total{") and "twins.*.get" in name]
    assert found['devicehub_processes{part="functions"}'] == found['devicehub_processes{part="index"}'] == 1
    assert found["devicehub_nats_connections"] >= 4
    assert found["devicehub_nats_received_messages_total"] > 0
    assert found["devicehub_nats_storage_bytes"] == 0
    assert found['devicehub_part_up{part="nats"}'] == 1


async def test_two_gateways_know_the_same_tokens(nats: Nats, served: Gateway, token: Token, tmp_path: Any) -> None:
    other = Gateway(nats, tmp_path / "other.log").start()
    try:
        await other.ready()
        good = await token("twins:read", "twins:write")
        body = b'{"desired":{"a":1}}'
        answer = await served.ask(TWIN, good, method="PATCH", body=body, Content_Type="application/json")
        assert answer.status == 200
        seen = await other.ask(TWIN, good)
        assert (seen.status, seen.headers["etag"]) == (200, answer.headers["etag"])
        stale = await other.ask(
            TWIN, good, method="PATCH", body=body, Content_Type="application/json", If_Match='"d0.r0"'
        )
        assert stale.status == 412
    finally:
        assert other.stop() == 0


async def test_sigterm_ends_it_in_order(served: Gateway, nats: Nats) -> None:
    assert served.stop() == 0

    said = [line["event"] for line in served.lines()]
    assert said[-1] == "draining"
    assert not [line for line in served.lines() if line["level"] == "error"]
    client = await nats.connect("cli")
    try:
        with pytest.raises(Exception, match="no responders"):
            await client.request("devicehub.http.event", b"{}")
    finally:
        await client.close()


async def test_sigterm_ends_it_while_the_bus_is_away(gateway: Gateway) -> None:
    gateway.start()
    assert (await gateway.ask("/healthz")).status == 200

    assert gateway.stop() == 0


async def test_nothing_it_logs_holds_a_token_or_a_question(served: Gateway, token: Token) -> None:
    good = await token("devices:read", name="dashboard")
    await served.ask("/api/devices?q=needle", good)
    await served.ask("/api/devices?token=" + good)
    await served.ask("/api/devices", good[:-1] + "x")

    async def logged() -> list[dict[str, Any]]:
        return [line for line in served.lines() if line["event"] == "request" and line["path"] == "/api/devices"]

    async def all_logged() -> bool:
        return len(await logged()) == 3

    await until(all_logged)
    assert [(line["status"], line["caller"]) for line in await logged()] == [
        (200, "app:dashboard"),
        (401, None),
        (401, None),
    ]
    text = served.log.read_text()
    assert good not in text
    assert good[3:20] not in text
    assert "needle" not in text


def test_wrong_settings_are_told_before_anything_listens() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway"],
        env={"HUB_HTTP_LISTEN": "nowhere", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 2
    assert "HUB_HTTP_LISTEN is 'nowhere'" in done.stderr
    assert "HUB_NATS_PASSWORD_FILE is not set" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_port_in_use_is_told(served: Gateway, nats: Nats, tmp_path: Any) -> None:
    other = Gateway(nats, tmp_path / "other.log", HUB_HTTP_LISTEN=f"127.0.0.1:{served.port}")
    other.port = served.port
    other.start()
    assert other.process is not None

    assert other.process.wait(15) == 1
    assert f"cannot listen on 127.0.0.1:{served.port}" in other.log.read_text()
    assert "Traceback" not in other.log.read_text()


# --- Events on the bus


async def test_an_event_on_the_bus_is_answered_as_over_http(nats: Nats, served: Gateway, token: Token) -> None:
    good = await token("twins:read", "twins:write")
    client = await nats.connect("cli")
    try:
        over_http = await served.ask(TWIN, good)
        for make in KINDS.values():
            request = Request("GET", TWIN, headers=(("Authorization", f"Bearer {good}"), ("Host", "hub")))
            reply = await bus.Bus(client).request("devicehub.http.event", orjson.dumps(make(request)), caller=CLI)
            answer = read(orjson.loads(reply))
            assert answer.status == over_http.status
            assert answer.body == over_http.body
            assert dict(answer.headers)["etag"] == over_http.headers["etag"]

        # A wrong token is the request's fault, not the event's.
        request = Request("GET", TWIN, headers=(("Authorization", "Bearer wrong"), ("Host", "hub")))
        reply = await bus.Bus(client).request("devicehub.http.event", orjson.dumps(KINDS["rest"](request)), caller=CLI)
        assert read(orjson.loads(reply)).status == 401
    finally:
        await client.close()


async def test_what_is_no_event_is_a_fault_on_the_bus(nats: Nats, served: Gateway) -> None:
    client = await nats.connect("cli")
    caller = bus.Bus(client)
    try:
        for payload in (b"", b"{", b"[]", b"{}", b"\xff", b'{"version":"2.0"}'):
            with pytest.raises(Malformed) as caught:
                await caller.request("devicehub.http.event", payload, caller=CLI)
            assert caught.value.reason is Reason.BAD_REQUEST
        for other in (Caller(APP, "dashboard"), Caller(SYSTEM, "")):
            with pytest.raises(Denied):
                await caller.request("devicehub.http.event", b"{}", caller=other)
        # And goes on.
        reply = await caller.request(
            "devicehub.http.event", orjson.dumps(KINDS["http-v2"](Request("GET", "/healthz"))), caller=CLI
        )
        assert orjson.loads(reply)["statusCode"] == 200
    finally:
        await client.close()


async def test_many_events_at_once_are_all_answered(nats: Nats, served: Gateway, token: Token) -> None:
    good = await token("twins:read")
    client = await nats.connect("cli")
    event = orjson.dumps(KINDS["http-v2"](Request("GET", TWIN, headers=(("Authorization", f"Bearer {good}"),))))
    try:
        replies = await asyncio.gather(
            *(bus.Bus(client).request("devicehub.http.event", event, caller=CLI) for _ in range(300))
        )
    finally:
        await client.close()

    assert {orjson.loads(reply)["statusCode"] for reply in replies} == {200}
