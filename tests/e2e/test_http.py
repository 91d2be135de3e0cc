"""The HTTP surface on the whole stack: devices, programs and outages meet over the real path."""

import json
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from functions.domain.tokens import Scope
from infra.node import known_paths
from infra.stack.supervision import Supervisor
from tests.e2e.rig import CLI, COMMAND, RunningHub, until
from tests.ports import free_port
from tests.unit.gateway.events import DEVICE, KINDS, REPEATING, REQUESTS, WHOLE, Answer, Request, answer_of, read

BELIEVED_SECONDS = 2.0


def make_token(hub: RunningHub, *scopes: str) -> str:
    words = [word for scope in scopes for word in ("--scope", scope)]
    return hub.cli("token", "create", f"app-{uuid.uuid4().hex[:8]}", *words).stdout.strip()


def client_of(hub: RunningHub, token: str | None = None, *, port: int = 0) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=f"http://127.0.0.1:{port or hub.http_port}", headers=headers, timeout=20)


def device_of(hub: RunningHub, at: Path) -> Any:
    return hub.device(f"web-{uuid.uuid4().hex[:8]}", at)


def test_the_greeting_and_the_status_say_where_it_is(hub: RunningHub) -> None:
    status = hub.json("status")

    assert status["http"] == f"http://127.0.0.1:{hub.http_port}"
    assert any(part["name"] == "gateway" and part["ready"] for part in status["parts"])
    with client_of(hub) as client:
        assert client.get("/health").json()["status"] == "ok"
        assert client.get("/readyz").json()["parts"] == {
            "nats": "up",
            "functions": "up",
            "index": "up",
            "bridge": "up",
            "broker": "up",
        }


def test_a_device_hears_what_a_program_wishes_and_the_program_what_it_reports(hub: RunningHub, tmp_path: Path) -> None:
    device = device_of(hub, tmp_path)
    topic = f"$devicehub/devices/{device.name}/twin/update"
    path = f"/api/devices/{device.name}/twin"
    with client_of(hub, make_token(hub, "twins:read", "twins:write")) as client:
        listener = hub.listen(device, f"{topic}/delta")
        try:
            wished = client.patch(path, json={"desired": {"led": "on", "blink": {"ms": 250}}})
            heard = listener.next()
        finally:
            listener.close()
        assert wished.status_code == 200, wished.text
        assert heard is not None
        assert heard[0] == f"{topic}/delta"
        assert heard[1]["delta"] == {"led": "on", "blink": {"ms": 250}}
        assert heard[1]["desiredVersion"] == 1

        hub.ask(device, topic, json.dumps({"reported": {"led": "on"}}), f"{topic}/accepted")
        twin = client.get(path)
        assert twin.json()["reported"] == {"led": "on"}
        assert twin.json()["delta"] == {"blink": {"ms": 250}}
        assert twin.headers["etag"] == '"d1.r1"'
        # The device's reports do not stand in the way of a wish.
        late = client.patch(path, json={"desired": {"led": "off"}}, headers={"If-Match": '"d1.r0"'})
        assert late.status_code == 200
        assert client.patch(path, json={"desired": {}}, headers={"If-Match": '"d1.r1"'}).status_code == 412


async def test_a_device_that_connects_is_seen_in_lists_and_counts(hub: RunningHub, tmp_path: Path) -> None:
    device = device_of(hub, tmp_path)
    with client_of(hub, make_token(hub, "devices:read")) as client:
        before = client.get("/api/stats/devices").json()
        assert client.get(f"/api/devices/{device.name}").json()["status"] == "unknown"
        listener = hub.listen(device, f"$devicehub/devices/{device.name}/twin/update/delta")
        try:

            async def is_online() -> bool:
                found = client.get("/api/devices", params={"status": "online", "q": device.name}).json()
                return [one["deviceName"] for one in found] == [device.name]

            await until(is_online)
            assert client.get(f"/api/devices/{device.name}").json()["status"] == "online"

            async def is_counted() -> bool:
                return bool(client.get("/api/stats/devices").json()["online"] == before["online"] + 1)

            await until(is_counted)
        finally:
            listener.close()
        assert client.get("/metrics").text.count("devicehub_devices{") == 3


def test_every_route_asks_for_its_scope(hub: RunningHub, tmp_path: Path) -> None:
    device = device_of(hub, tmp_path)
    tokens = {scope: make_token(hub, scope) for scope in Scope}
    with client_of(hub) as client:
        paths = client.get("/openapi.json").json()["paths"]
        walked = 0
        for path, methods in paths.items():
            for method, operation in methods.items():
                if operation["tags"][0] in ("auth", "users"):
                    # Not for tokens: see test_users.
                    continue
                needed = operation.get("x-required-scope")
                body: dict[str, Any] = {"json": {"desired": {}}} if method in ("patch", "post", "put") else {}
                if path == "/api/import/devices":
                    body = {"content": b'{"deviceId":"nobody"}', "params": {"dryRun": "true"}}
                kind = {"Content-Type": "application/x-ndjson"} if "content" in body else {}
                target = path.replace("{device}", device.name).replace("{group}", "some-group")
                target = re.sub(r"{(?!file)\w+}", "nobody", target)
                # With their twins, which it sends unless told not to, it needs the scope to read those as well.
                target += "?twins=false" if path == "/api/export/devices" else ""
                bare = client.request(method, target, headers=kind, **body)
                # What devices without a login may fetch is refused for another reason than a missing token.
                assert bare.status_code == (401 if needed else 404 if "{file}" in path else 200), (method, path)
                for scope, token in tokens.items():
                    bearer = {"Authorization": f"Bearer {token}"}
                    answer = client.request(method, target, headers={**kind, **bearer}, **body)
                    allowed = needed is None or scope in (needed, Scope.ADMIN)
                    # Who is let in may be told that the thing named is not there, or the body none.
                    is_denied = answer.status_code == 403 and answer.json()["error"] == "denied"
                    assert is_denied is not allowed, (method, path, scope, answer.text)
                    walked += 1
    assert walked >= 9 * len(Scope)


@contextmanager
def second_gateway(hub: RunningHub) -> Iterator[int]:
    """Another gateway beside the stack's, as systemd would run it."""
    port = free_port()
    environ = {**hub.environ, "HUB_HTTP_LISTEN": f"127.0.0.1:{port}"}
    log = hub.data / "log" / "gateway-second.log"
    with log.open("wb") as said:
        process = subprocess.Popen([COMMAND, "serve", "gateway"], env=environ, stdout=said, stderr=said)
    try:
        yield port
    finally:
        process.terminate()
        assert process.wait(20) == 0, log.read_text()


async def test_two_gateways_side_by_side_share_tokens_and_devices(hub: RunningHub, tmp_path: Path) -> None:
    device = device_of(hub, tmp_path)
    path = f"/api/devices/{device.name}/twin"
    name = f"shared-{uuid.uuid4().hex[:8]}"
    token = hub.cli("token", "create", name, "--scope", "twins:read", "--scope", "twins:write").stdout.strip()
    with second_gateway(hub) as port, client_of(hub, token) as one, client_of(hub, token, port=port) as other:

        async def is_up() -> bool:
            try:
                return other.get("/readyz").status_code == 200
            except httpx.TransportError:
                return False

        await until(is_up)
        assert one.patch(path, json={"desired": {"n": 1}}).headers["etag"] == '"d1.r0"'
        assert other.get(path).json()["desired"] == {"n": 1}
        stale = other.patch(path, json={"desired": {"n": 2}}, headers={"If-Match": '"d0.r0"'})
        assert stale.status_code == 412

        hub.cli("token", "revoke", name)

        async def both_refuse() -> bool:
            return all(client.get(path).status_code == 401 for client in (one, other))

        await until(both_refuse, seconds=BELIEVED_SECONDS + 1)


@contextmanager
def unsupervised(hub: RunningHub) -> Iterator[None]:
    """What ends meanwhile is not started again until afterwards."""
    supervisor = Supervisor(known_paths(hub.data)[0]).pid()
    os.kill(supervisor, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)


@pytest.mark.parametrize("part", ["functions", "nats"])
async def test_an_outage_is_told_and_gone_by_itself(own_hub: RunningHub, tmp_path: Path, part: str) -> None:
    device = device_of(own_hub, tmp_path)
    path = f"/api/devices/{device.name}/twin"
    with client_of(own_hub, make_token(own_hub, "twins:read", "twins:write")) as client:
        assert client.patch(path, json={"desired": {"n": 1}}).status_code == 200

        async def is_told() -> httpx.Response | None:
            answer = client.get(path)
            return answer if answer.status_code == 503 else None

        with unsupervised(own_hub):
            own_hub.kill(part)
            told = await until(is_told)
            assert told is not None
            assert told.headers["content-type"] == "application/problem+json"
            assert told.headers["retry-after"] == "1"
            assert told.json()["error"] == "unavailable"
            assert told.json()["detail"] == (
                "No function answers this call now." if part == "functions" else "The bus cannot be reached now."
            )
            assert client.get("/healthz").status_code == 200
            assert client.get("/readyz").json()["parts"][part] == "down"

        async def is_back() -> bool:
            return client.get(path).status_code == 200 and client.get("/readyz").status_code == 200

        await until(is_back, seconds=30)
        assert client.get(path).json()["desired"] == {"n": 1}


async def test_requests_and_events_are_answered_the_same(own_hub: RunningHub, tmp_path: Path) -> None:
    own_hub.device(DEVICE, tmp_path)
    token = make_token(own_hub, "devices:read", "twins:read", "twins:write")
    bus, connection = await own_hub.bus()
    try:
        with client_of(own_hub) as client:
            client.headers.clear()
            for request, kinds in [(one, tuple(KINDS)) for one in REQUESTS] + [(one, WHOLE) for one in REPEATING]:
                asked = signed(request, token)
                expected = over_http(client, asked)
                for kind in kinds:
                    event = orjson.dumps(KINDS[kind](asked))
                    reply = await bus.request("devicehub.http.event", event, caller=CLI)
                    assert read(orjson.loads(reply)) == expected, (kind, str(request))
    finally:
        await connection.close()


def signed(request: Request, token: str) -> Request:
    known = {name for name, _ in request.headers}
    own = (("Authorization", f"Bearer {token}"), ("X-Request-Id", "both-ways"), ("Host", "hub"))
    return request.having(*(header for header in own if header[0] not in known))


def over_http(client: httpx.Client, request: Request) -> Answer:
    target = request.path.encode() + (b"?" + request.query.encode() if request.query else b"")
    url = httpx.URL(client.base_url).copy_with(raw_path=target or b"/")
    answer = client.request(request.method, url, headers=list(request.headers), content=request.body or None)
    return answer_of(answer.status_code, answer.headers.multi_items(), answer.content)


def test_a_port_in_use_is_told_before_anything_starts(hub: RunningHub, tmp_path: Path) -> None:
    settings = {
        "HUB_DATA_DIR": str(tmp_path / "other"),
        "HUB_MQTT_LISTEN": f"127.0.0.1:{free_port()}",
        "HUB_NATS_LISTEN": f"127.0.0.1:{free_port()}",
        "HUB_HTTP_LISTEN": f"127.0.0.1:{hub.http_port}",
    }
    done = subprocess.run(
        [COMMAND, "up", "--detach"], env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert f"Port {hub.http_port} (HUB_HTTP_LISTEN=127.0.0.1:{hub.http_port}) is in use" in done.stderr
    assert not (tmp_path / "other" / "node.json").exists()
