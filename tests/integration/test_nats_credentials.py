"""Programs that connect to the bus with credentials: on a real NATS server, with every function behind it."""

import asyncio
import base64
import json
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import nats
import nats.errors
import nkeys
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from functions.contract import bus
from infra.stack import readiness
from infra.stack.keys import make_key
from infra.stack.paths import Paths
from tests.integration.commanded import Hub, commanded

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
WITHIN = 5.0


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with commanded(tmp_path_factory.mktemp("data")) as running:
        for name, group in (("pump-0001", "north"), ("pump-0002", "south")):
            running.do("device", "create", name, "--out", str(tmp_path_factory.mktemp(name) / "bundle"))
            running.do("device", "update", name, "--group", group)
        yield running


class Program:
    """A connection with credentials, and what the server refused it."""

    def __init__(self, client: Client, refused: asyncio.Queue[str], closed: asyncio.Event) -> None:
        self.client, self.refused, self.closed = client, refused, closed

    async def ask(self, subject: str, body: bytes = b"{}", **headers: str) -> dict[str, Any]:
        """What a function answers; at first what the other account serves may not be known here yet."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        async with asyncio.timeout(WITHIN):
            while True:
                with suppress(nats.errors.NoRespondersError):
                    answer = await self.client.request(subject, body, timeout=WITHIN, headers=given)
                    told: dict[str, Any] = json.loads(answer.data)
                    return told

    async def is_refused(self, act: str, subject: str) -> bool:
        """Whether the server refuses an act; refusals come in order, so it is there when that of the next one is."""
        if act == "publish":
            await self.client.publish(subject, b"x")
        else:
            await self.client.subscribe(subject)
        await self.client.publish("last.act", b"x")
        told: list[str] = []
        async with asyncio.timeout(WITHIN):
            while not told or '"last.act"' not in told[-1]:
                told.append(await self.refused.get())
        return any(f'"{subject.casefold()}"' in text for text in told)


@asynccontextmanager
async def program(hub: Hub, seed: Path, name: str) -> AsyncIterator[Program]:
    refused: asyncio.Queue[str] = asyncio.Queue()

    async def failed(problem: Exception) -> None:
        await refused.put(str(problem).casefold())

    closed = asyncio.Event()

    async def end() -> None:
        closed.set()

    client = await nats.connect(
        hub.node.nats_url,
        nkeys_seed=str(seed),
        inbox_prefix=f"_INBOX_{name}".encode(),
        error_cb=failed,
        closed_cb=end,
        allow_reconnect=False,
    )
    try:
        yield Program(client, refused, closed)
    finally:
        await client.close()


async def knock(hub: Hub, seed: Path) -> bytes:
    """What the server says to who shows a key; the library leaves a socket open where that is a refusal."""
    key = nkeys.from_seed(bytearray((await asyncio.to_thread(seed.read_bytes)).strip()))
    address = readiness.nats_address(hub.node.nats_url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        told = json.loads((await reader.readline()).removeprefix(b"INFO "))
        proof = base64.urlsafe_b64encode(key.sign(told["nonce"].encode())).rstrip(b"=").decode()
        shown = {"nkey": key.public_key.decode(), "sig": proof, "verbose": False}
        writer.write(b"CONNECT " + json.dumps(shown).encode() + b"\r\nPING\r\n")
        return await asyncio.wait_for(reader.readline(), WITHIN)
    finally:
        writer.close()
        await writer.wait_closed()


def issue(hub: Hub, folder: Path, name: str, *options: str) -> Path:
    seed = folder / f"{name}.nk"
    hub.do("nats-credentials", name, "--out", str(seed), *options)
    return seed


async def as_part(hub: Hub, user: str) -> Client:
    return await bus.connect(hub.node.nats_url, user=user, password=f"{user}-password")


def test_a_key_is_what_the_library_of_nats_makes_of_its_seed() -> None:
    seed, public = make_key()

    assert nkeys.from_seed(bytearray(seed.encode())).public_key.decode() == public


async def test_what_a_scope_allows_is_answered_and_nothing_else(hub: Hub, tmp_path: Path) -> None:
    seed = await asyncio.to_thread(issue, hub, tmp_path, "reader", "--scope", "devices:read")

    assert stat.S_IMODE(seed.stat().st_mode) == 0o600
    async with program(hub, seed, "reader") as reader:
        assert (await reader.ask("devicehub.registry.devices.pump-0001.get"))["deviceId"] == "pump-0001"
        assert (await reader.ask("devicehub.registry.query"))["total"] == 2
        assert await reader.is_refused("publish", "devicehub.registry.devices.pump-0001.update")
        assert await reader.is_refused("publish", "devicehub.twins.pump-0001.get")


FORBIDDEN = [
    # To speak as a device, as the hub's own parts, or as the hub to other programs.
    ("publish", "devicehub.devices.pump-0001.twin.update"),
    ("publish", "devicehub.devices.pump-0001.telemetry"),
    ("publish", "devicehub.devices.pump-0001.presence"),
    ("publish", "devicehub.devices.pump-0001.methods.reboot.request"),
    ("publish", "devicehub.broker.sessions.opened"),
    ("publish", "devicehub.stored.telemetry.0.pump-0001"),
    ("publish", "devicehub.audit.recorded"),
    ("publish", "devicehub.credentials.create"),
    ("publish", "devicehub.tokens.create"),
    ("publish", "devicehub.http.event"),
    # To reach the storage.
    ("publish", "$KV.hub-devices-0.pump-0001"),
    ("publish", "$JS.API.INFO"),
    ("publish", "$JS.API.STREAM.MSG.GET.KV_hub-tokens"),
    ("subscribe", "$KV.>"),
    # To answer in the hub's place, to hear others, or everything.
    ("subscribe", "devicehub.registry.query"),
    ("subscribe", "devicehub.twins.*.get"),
    ("subscribe", "devicehub.devices.*.methods.*.request"),
    ("subscribe", "devicehub.>"),
    ("subscribe", ">"),
    ("subscribe", "_INBOX.>"),
    ("subscribe", "_INBOX_other.>"),
    ("publish", "_INBOX_other.x"),
    ("subscribe", "$SYS.>"),
    ("publish", "$SRV.PING"),
]


async def test_nobody_comes_further_than_the_functions_even_with_every_scope(hub: Hub, tmp_path: Path) -> None:
    seed = await asyncio.to_thread(issue, hub, tmp_path, "mighty", "--scope", "admin")

    async with program(hub, seed, "mighty") as mighty:
        assert [act for act in FORBIDDEN if not await mighty.is_refused(*act)] == []


async def test_a_forged_caller_stays_who_it_is(hub: Hub, tmp_path: Path) -> None:
    seed = await asyncio.to_thread(issue, hub, tmp_path, "forger", "--scope", "devices:write")
    strong = await asyncio.to_thread(issue, hub, tmp_path, "strong", "--scope", "admin")
    key = nkeys.from_seed(bytearray(strong.read_bytes().strip())).public_key.decode()
    forged = {
        "Hub_Caller": "system:cli",
        "Hub_Scopes": "admin",
        "Hub_Origin": "cli",
        "Nats_Request_Info": json.dumps({"acc": "HUB", "user": key}),
    }

    async with program(hub, seed, "forger") as forger:
        changed = await forger.ask("devicehub.registry.devices.pump-0001.update", b'{"notes":"mine"}', **forged)

    assert changed["notes"] == "mine"
    (entry,) = await asyncio.to_thread(hub.json, "audit", "--actor", "app:forger")
    assert (entry["action"], entry["target"], entry["origin"]) == ("device.changed", "pump-0001", "nats")


async def test_events_are_heard_by_those_who_may_and_by_nobody_limited_to_groups(hub: Hub, tmp_path: Path) -> None:
    hearing = await asyncio.to_thread(issue, hub, tmp_path, "hearing", "--scope", "telemetry:read,devices:read")
    limited = await asyncio.to_thread(issue, hub, tmp_path, "limited", "--scope", "admin", "--group", "north")
    functions = await as_part(hub, "functions")
    try:
        async with program(hub, hearing, "hearing") as one, program(hub, limited, "limited") as other:
            heard: asyncio.Queue[Msg] = asyncio.Queue()
            for subject in ("devicehub.stored.telemetry.*.*", "devicehub.devices.*.presence"):
                await one.client.subscribe(subject, cb=heard.put)
                assert await other.is_refused("subscribe", subject)
            await one.client.flush()
            assert await one.is_refused("subscribe", "devicehub.devices.*.twin.update.delta")

            # Until the interest has reached the account of the hub.
            async with asyncio.timeout(WITHIN):
                while heard.empty():
                    await functions.publish("devicehub.stored.telemetry.0.pump-0001", b'{"rpm":5}')
                    await functions.flush()
                    await one.client.flush()
            message = await heard.get()
            assert (message.subject, message.data) == ("devicehub.stored.telemetry.0.pump-0001", b'{"rpm":5}')

            assert (await other.ask("devicehub.registry.devices.pump-0001.get"))["deviceId"] == "pump-0001"
            assert (await other.ask("devicehub.registry.devices.pump-0002.get"))["error"] == "denied"
            assert await other.is_refused("publish", "devicehub.registry.query")
    finally:
        await functions.close()


async def test_what_is_revoked_is_cut_off_and_nobody_else_notices(hub: Hub, tmp_path: Path) -> None:
    gone = await asyncio.to_thread(issue, hub, tmp_path, "leaving", "--scope", "devices:read")
    stays = await asyncio.to_thread(issue, hub, tmp_path, "staying", "--scope", "devices:read")
    lost: list[str] = []

    async def note() -> None:
        lost.append("the hub")

    part = await bus.connect(hub.node.nats_url, user="functions", password="functions-password", disconnected=note)
    try:
        async with program(hub, gone, "leaving") as one, program(hub, stays, "staying") as other:
            await one.ask("devicehub.registry.query")
            await asyncio.to_thread(hub.do, "nats-credentials", "revoke", "leaving")

            await asyncio.wait_for(one.closed.wait(), WITHIN)
            assert (await other.ask("devicehub.registry.query"))["total"] == 2
        assert b"PONG" in await knock(hub, stays)
        assert b"Authorization Violation" in await knock(hub, gone)
        assert lost == []
    finally:
        await part.close()
    # The name is free again, and its holder is another.
    again = await asyncio.to_thread(issue, hub, tmp_path / "..", "leaving", "--scope", "devices:read")
    async with program(hub, again, "leaving") as one:
        assert (await one.ask("devicehub.registry.query"))["total"] == 2
    again.unlink()


async def test_revoked_credentials_count_for_nothing_though_the_server_has_not_heard(hub: Hub, tmp_path: Path) -> None:
    seed = await asyncio.to_thread(issue, hub, tmp_path, "unheard", "--scope", "devices:read")
    cli = await as_part(hub, "cli")
    try:
        async with program(hub, seed, "unheard") as one:
            await one.ask("devicehub.registry.query")
            await cli.request(
                "devicehub.credentials.revoke", b'{"name":"unheard"}', timeout=5, headers={"Hub-Caller": "system:cli"}
            )

            assert (await one.ask("devicehub.registry.query"))["error"] == "unauthenticated"
            assert "other users" in await asyncio.to_thread(hub.do, "nats-credentials", "sync")
    finally:
        await cli.close()
    assert "Nothing" in await asyncio.to_thread(hub.do, "nats-credentials", "sync")


def test_a_server_that_does_not_take_its_users_is_told_of(hub: Hub, tmp_path: Path) -> None:
    config = Paths(hub.data, hub.data / "run").nats_config
    whole = config.read_text()
    config.write_text(f"{whole}\nunfinished {{")
    try:
        done = hub.run("nats-credentials", "late", "--scope", "devices:read", "--out", str(tmp_path / "late.nk"))
    finally:
        config.write_text(whole)

    assert done.exit_code == 1
    assert "did not take over" in done.output
    assert not (tmp_path / "late.nk").exists()
    hub.do("nats-credentials", "revoke", "late")


def test_a_file_that_is_there_is_not_written_over(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "k").write_text("mine")

    done = hub.run("nats-credentials", "k", "--scope", "devices:read", "--out", str(tmp_path / "k"))

    assert (done.exit_code, (tmp_path / "k").read_text()) == (1, "mine")
    assert "k" not in [one["name"] for one in hub.json("nats-credentials", "list")]


async def test_the_example_hears_telemetry_and_asks_for_the_device(hub: Hub, tmp_path: Path) -> None:
    seed = await asyncio.to_thread(issue, hub, tmp_path, "example", "--scope", "telemetry:read,devices:read")
    functions = await as_part(hub, "functions")
    command = (sys.executable, str(EXAMPLES / "listen.py"), hub.node.nats_url, str(seed), "example")
    running = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert running.stdout is not None
    try:
        async with asyncio.timeout(20):
            assert (await running.stdout.readline()).decode().strip() == "listening"
            line = asyncio.create_task(running.stdout.readline())
            while not line.done():
                await functions.publish("devicehub.stored.telemetry.0.pump-0001", b'{"rpm":5}')
                await asyncio.wait({line}, timeout=0.1)
            assert json.loads(line.result()) == {"device": "pump-0001", "status": "unknown", "said": {"rpm": 5}}
    finally:
        running.terminate()
        await running.wait()
        await functions.close()
