import re
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import httpx
import orjson
import pytest

from functions.domain.certificates import Purpose
from functions.domain.sessions import Presence
from functions.testing import START
from gateway.app import create_app
from gateway.settings import Settings
from tests.unit.gateway.rig import DEVICE, Rig, make_certificate, make_device, make_rig

ALL_UP = {"nats": "up", "functions": "up", "index": "up", "bridge": "up", "broker": "up"}


async def test_health_is_what_published_clients_expect(rig: Rig) -> None:
    async with rig.client() as client:
        answer = await client.get("/health")

    told = answer.json()
    assert list(told) == ["status", "service", "version", "timestamp"]
    assert (told["status"], told["service"], told["version"]) == ("ok", "devicehub", version("devicehub"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told["timestamp"])
    assert abs(datetime.fromisoformat(told["timestamp"]) - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_gateway_without_a_hub_lives_and_is_not_ready(rig: Rig) -> None:
    rig.bus.is_connected = False
    async with rig.client() as client:
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/openapi.json")).status_code == 200
        answer = await client.get("/readyz")

    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["parts"] == dict.fromkeys(ALL_UP, "down")


async def test_ready_is_when_every_part_answers(rig: Rig) -> None:
    async with rig.client() as client:
        answer = await client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "parts": ALL_UP}


@pytest.mark.parametrize("part", ["functions", "index", "bridge", "broker"])
async def test_a_part_that_is_away_is_named_and_its_return_noticed(rig: Rig, part: str) -> None:
    rig.bus.parts -= {part}
    rig.bus.has_broker = part != "broker"
    async with rig.client() as client:
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["error"] == "unavailable"
        assert answer.json()["parts"][part] == "down"
        assert part in answer.json()["detail"]

        rig.bus.parts |= {part}
        rig.bus.has_broker = True
        assert (await client.get("/readyz")).status_code == 503, "it is not asked every time"
        rig.clock.now += 0.25
        assert (await client.get("/readyz")).status_code == 200


async def test_metrics_need_a_token_that_may_read_devices(rig: Rig) -> None:
    async with rig.client() as client:
        assert (await client.get("/metrics")).status_code == 401
    async with rig.client(await rig.token("twins:read")) as client:
        assert (await client.get("/metrics")).status_code == 403


async def test_metrics_are_counters_of_gateway_and_fleet() -> None:
    rig = make_rig(
        devices={name: make_device(name) for name in ("dev-1", "dev-2", "dev-3")},
        presence={"dev-1": Presence(online=True, at=START, evidence="session")},
    )
    rig.bus.has_broker = False
    async with rig.client(await rig.token("devices:read", "twins:read")) as client:
        await client.get("/api/devices/dev-1/twin")
        await client.get("/api/devices/dev-2/twin")
        await client.get("/api/devices/dev-9/twin")
        await client.request("SPAM", "/nowhere/at/all")
        answer = await client.get("/metrics")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    lines = answer.text.splitlines()
    for expected in (
        'devicehub_http_requests_total{method="GET",path="/api/devices/{device}/twin",status="200"} 2.0',
        'devicehub_http_requests_total{method="GET",path="/api/devices/{device}/twin",status="404"} 1.0',
        'devicehub_http_requests_total{method="other",path="(none)",status="404"} 1.0',
        'devicehub_http_request_seconds_count{method="GET",path="/api/devices/{device}/twin"} 3.0',
        "devicehub_http_answering 1.0",
        'devicehub_devices{status="online"} 1.0',
        'devicehub_devices{status="offline"} 0.0',
        'devicehub_devices{status="never_seen"} 2.0',
        'devicehub_part_up{part="functions"} 1.0',
        'devicehub_part_up{part="broker"} 0.0',
    ):
        assert expected in lines
    assert DEVICE not in answer.text


def stats(part: str, process: str, *endpoints: dict[str, object]) -> tuple[str, bytes]:
    return f"$SRV.STATS.{part}", orjson.dumps({"id": process, "endpoints": list(endpoints)})


async def test_metrics_have_what_every_process_of_the_other_parts_counts(rig: Rig) -> None:
    counts = {"calls": 3, "faults": 1, "microseconds": 4500}
    idle = {"calls": 0, "faults": 0, "microseconds": 0}
    lane = {"connected": True, "received": 7, "waiting": 2, "waitingBytes": 64, "refused": {"too_large": 1}}
    rig.bus.gathered = [
        stats("functions", "A", {"subject": "devicehub.twins.*.get", "data": counts}, {"subject": "x", "data": idle}),
        stats("functions", "B", {"subject": "devicehub.twins.*.get", "data": counts}),
        stats(
            "bridge",
            "C",
            {"data": {"broker": "local", "lanes": {"control": lane}, "keeper": {"broker": {"clients": 5}}}},
        ),
    ]
    async with rig.client(await rig.token("devices:read")) as client:
        lines = (await client.get("/metrics")).text.splitlines()

    for expected in (
        'devicehub_function_calls_total{function="devicehub.twins.*.get",part="functions",process="A"} 3.0',
        'devicehub_function_faults_total{function="devicehub.twins.*.get",part="functions",process="B"} 1.0',
        'devicehub_function_seconds_total{function="devicehub.twins.*.get",part="functions",process="B"} 0.0045',
        'devicehub_processes{part="functions"} 2.0',
        'devicehub_processes{part="index"} 0.0',
        'devicehub_bridge_received_total{broker="local",lane="control"} 7.0',
        'devicehub_bridge_waiting_bytes{broker="local",lane="control"} 64.0',
        'devicehub_bridge_refused_total{broker="local",lane="control",reason="too_large"} 1.0',
        'devicehub_broker_clients{broker="local"} 5.0',
    ):
        assert expected in lines, expected
    assert not [line for line in lines if 'function="x"' in line]
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))


async def test_metrics_tell_when_the_next_certificate_of_a_kind_ends() -> None:
    soon, late = START + timedelta(days=9), START + timedelta(days=99)
    rig = make_rig(
        certificates={
            "a1": make_certificate("a1", not_after=late),
            "a2": make_certificate("a2", not_after=soon),
            "a3": make_certificate("a3", "factory", purpose=Purpose.CLAIM, not_after=late),
        }
    )
    async with rig.client(await rig.token("devices:read")) as client:
        lines = (await client.get("/metrics")).text.splitlines()

    name = "devicehub_certificate_expiry_timestamp_seconds"
    found = {line.split()[0]: float(line.split()[1]) for line in lines if line.startswith(f"{name}{{")}
    assert found == {
        f'{name}{{kind="device"}}': soon.timestamp(),
        f'{name}{{kind="claim"}}': late.timestamp(),
    }


async def test_two_gateways_in_a_process_count_apart(rig: Rig) -> None:
    other = make_rig()
    async with rig.client() as client:
        await client.get("/health")

    assert b"/health" not in other.app.state.gateway.counters.page()
    assert b"/health" in rig.app.state.gateway.counters.page()


async def test_the_description_of_messages_is_handed_out_as_it_was_given(tmp_path: Path) -> None:
    file = tmp_path / "asyncapi.json"
    file.write_bytes(b'{"asyncapi":"3.0.0"}')
    app = create_app(Settings("127.0.0.1", 0, "", "", asyncapi=file), make_rig().bus)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub") as client:
        answer = await client.get("/asyncapi.json")

    assert (answer.status_code, answer.content) == (200, file.read_bytes())
    assert answer.headers["content-type"] == "application/json"


async def test_a_gateway_without_a_description_of_messages_says_so(rig: Rig) -> None:
    async with rig.client() as client:
        answer = await client.get("/asyncapi.json")

    assert answer.status_code == 404
    assert "HUB_ASYNCAPI_FILE" in answer.json()["detail"]
