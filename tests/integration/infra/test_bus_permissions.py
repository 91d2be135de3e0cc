"""A real NATS server with the rendered configuration: what each user may do, and what it is refused."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import nats.errors
import orjson
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from functions.adapters import layout, preparing
from functions.contract import bus
from infra.stack import readiness
from infra.stack.nats_server import find_program
from infra.stack.paths import NATS_USERS
from tests.integration.infra.conftest import Planner, running, secret, wait_for

# What each must not be able to do; the server is asked, not the lists.
FORBIDDEN = [
    *(("functions", "publish", subject) for subject in (
        "$JS.API.STREAM.CREATE.x", "$JS.API.STREAM.DELETE.KV_hub-devices-0", "$JS.API.STREAM.PURGE.KV_hub-devices-0",
        "$JS.API.STREAM.UPDATE.KV_hub-devices-0", "devicehub.devices.D1.twin.update", "devicehub.registry.query",
        "devicehub.enrolment.open", "devicehub.broker.sessions.opened",
    )),
    *(("bridge", "publish", subject) for subject in (
        "devicehub.twins.D1.desire", "devicehub.registry.devices.D1.create", "devicehub.registry.query",
        "devicehub.enrolment.open", "devicehub.claims.create", "devicehub.whitelist.batch", "$KV.hub-devices-0.D1",
        "$JS.API.DIRECT.GET.KV_hub-devices-0", "devicehub.stored.telemetry.0.D1", "devicehub.broker.access.changed",
        "devicehub.devices.D1.twin.update.delta", "devicehub.devices.D1.presence", "$SRV.PING",
        "devicehub.tokens.prove", "devicehub.tokens.create", "devicehub.http.event",
    )),
    *((user, "publish", subject) for user in ("gateway", "cli") for subject in (
        "devicehub.devices.D1.twin.update", "devicehub.devices.D1.provision.request", "devicehub.devices.D1.telemetry",
        "devicehub.certificates.create-from-csr", "devicehub.broker.access.get", "devicehub.broker.sessions.opened",
        "devicehub.broker.bridges.start", "devicehub.broker.access.changed", "devicehub.devices.D1.presence",
        "devicehub.stored.events.0.D1", "$KV.hub-devices-0.D1", "$JS.API.STREAM.INFO.KV_hub-devices-0",
        "$JS.API.CONSUMER.CREATE.KV_hub-devices-0",
    )),
    *(("gateway", "publish", f"devicehub.tokens.{act}") for act in ("create", "list", "revoke")),
    ("gateway", "publish", "devicehub.http.event"),
    *(("gateway", "publish", subject) for subject in (
        "$SYS.REQ.SERVER.PING.VARZ", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$JS.API.STREAM.LIST",
    )),
    ("gateway", "publish", "devicehub.setup.open"),
    *((user, "publish", "devicehub.sessions.changed") for user in ("gateway", "cli", "bridge")),
    *(("cli", "publish", f"devicehub.sessions.{act}") for act in ("create", "prove")),
    *(("bridge", "publish", f"devicehub.{act}") for act in ("users.create", "sessions.prove", "setup.open")),
    ("cli", "publish", "devicehub.tokens.prove"),
    ("cli", "subscribe", "devicehub.http.event"),
    *(("bridge", "subscribe", subject) for subject in (
        "devicehub.>", "devicehub.claims.create", "devicehub.devices.*.twin.update", "$KV.>", "_INBOX_cli.>",
        "_INBOX.>",
    )),
    *(("cli", "subscribe", subject) for subject in ("devicehub.>", "_INBOX_functions.>", "$SRV.PING", "$KV.>")),
    *(("gateway", "subscribe", subject) for subject in ("devicehub.claims.create", "_INBOX_bridge.>", "$KV.>")),
    *(("functions", "subscribe", subject) for subject in ("_INBOX_bridge.>", "$KV.>", "_INBOX.>")),
]  # fmt: skip

ALLOWED = [
    ("admin", "publish", "$JS.API.STREAM.DELETE.x"),
    ("functions", "publish", "$KV.hub-devices-0.D1"),
    ("functions", "publish", "devicehub.devices.D1.presence"),
    ("functions", "subscribe", "devicehub.registry.query"),
    ("bridge", "publish", "devicehub.devices.D1.twin.update"),
    ("bridge", "subscribe", "devicehub.devices.*.twin.update.delta"),
    ("gateway", "publish", "devicehub.twins.D1.desire"),
    ("gateway", "publish", "devicehub.tokens.prove"),
    ("gateway", "subscribe", "devicehub.http.event"),
    ("gateway", "publish", "devicehub.sessions.create"),
    ("gateway", "subscribe", "devicehub.sessions.changed"),
    ("cli", "publish", "devicehub.setup.open"),
    ("cli", "publish", "devicehub.users.anna.update"),
    ("cli", "publish", "devicehub.claims.create"),
    ("cli", "publish", "devicehub.tokens.create"),
    ("cli", "publish", "devicehub.http.event"),
]


class Server:
    """A running server, and connections to it."""

    def __init__(self, url: str, passwords: dict[str, str]) -> None:
        self.url = url
        self._passwords = passwords

    @asynccontextmanager
    async def client(self, user: str, refused: Callable[[str], None] | None = None) -> AsyncIterator[Client]:
        async def failed(problem: Exception) -> None:
            if refused is not None:
                refused(str(problem))

        client = await bus.connect(self.url, user=user, password=self._passwords[user], failed=failed)
        try:
            yield client
        finally:
            await client.close()


@pytest.fixture
async def server(plan_for: Planner, tmp_path: Path) -> AsyncIterator[Server]:
    plan = await asyncio.to_thread(plan_for)
    passwords = {user: secret(plan, f"nats-{user}") for user in NATS_USERS}
    # One application, with more freedom than 'nats-credentials' gives.
    plan.paths.nats_integrations.write_text("users: [{ user: alice, password: wonder, permissions: {} }]")
    passwords["alice"] = "wonder"
    log = tmp_path / "nats.log"
    with running(plan, "nats", log):
        await asyncio.to_thread(wait_for, readiness.nats_address(plan.node.nats_url), log)
        yield Server(plan.node.nats_url, passwords)
    words = log.read_text()
    assert not [password for password in passwords.values() if password in words]


async def refusals(server: Server, acts: list[tuple[str, str, str]]) -> set[tuple[str, str, str]]:
    """Which of the acts the server refuses."""
    found: set[tuple[str, str, str]] = set()
    for user in {user for user, _, _ in acts}:
        own = [act for act in acts if act[0] == user]
        # Refused for all but admin; refusals come in order, so with this one all are there.
        last = asyncio.Event()
        refused: list[str] = []

        def note(text: str, last: asyncio.Event = last, refused: list[str] = refused) -> None:
            refused.append(text.casefold())
            if "last.act" in text:
                last.set()

        async with server.client(user, note) as client:
            for _, act, subject in [*own, (user, "publish", "last.act")]:
                if act == "publish":
                    await client.publish(subject, b"x")
                else:
                    await client.subscribe(subject)
            await client.flush()
            if user != "admin":
                await asyncio.wait_for(last.wait(), 10)
        found |= {act for act in own if any(f'"{act[2].casefold()}"' in text for text in refused)}
    return found


async def test_every_forbidden_act_is_refused(server: Server) -> None:
    assert await refusals(server, FORBIDDEN) == set(FORBIDDEN)


async def test_what_each_needs_is_not_refused(server: Server) -> None:
    assert await refusals(server, ALLOWED) == set()


@pytest.mark.parametrize(
    "told", [{}, {"user": "admin", "pass": "guess"}, {"user": "functions", "pass": ""}, {"user": "nobody", "pass": "x"}]
)
async def test_nobody_comes_in_without_a_name_or_with_a_wrong_password(server: Server, told: dict[str, str]) -> None:
    address = readiness.nats_address(server.url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        await reader.readline()
        writer.write(b"CONNECT " + orjson.dumps(told | {"verbose": False}) + b"\r\nPING\r\n")

        assert b"Authorization Violation" in await asyncio.wait_for(reader.readline(), 5)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_admin_makes_the_layout_and_the_functions_work_on_it(server: Server) -> None:
    async with server.client("admin") as admin:
        await preparing.prepare(admin)
        await preparing.prepare(admin)

    refused: list[str] = []
    async with server.client("functions", refused.append) as client:
        store = layout.open_stores(client)["enrolment"]
        assert await store.get("enrolment") is None
        # As large as a list of revoked certificates may become.
        acknowledgement = await client.request("$KV.hub-revocations.crl", b"x" * 7 * 1024 * 1024, timeout=10)
        assert "seq" in orjson.loads(acknowledgement.data)
    assert refused == []


async def test_a_call_is_answered_though_the_functions_may_not_publish_to_inboxes(server: Server) -> None:
    async def echo(message: Msg) -> None:
        await message.respond(b"done")

    async with server.client("functions") as functions, server.client("cli") as cli:
        await functions.subscribe("devicehub.claims.create", cb=echo)
        await functions.flush()

        assert (await cli.request("devicehub.claims.create", b"{}", timeout=5)).data == b"done"


async def answered(client: Client, subject: str, headers: dict[str, str]) -> Msg:
    """An answer from the other account: what it subscribes to becomes known here a moment later."""
    async with asyncio.timeout(5):
        while True:
            with suppress(nats.errors.NoRespondersError):
                return await client.request(subject, b"{}", timeout=5, headers=headers)


async def test_the_server_itself_says_who_calls_from_the_other_account(server: Server) -> None:
    heard: list[Msg] = []

    async def note(message: Msg) -> None:
        heard.append(message)
        await message.respond(b"done")

    async with server.client("functions") as functions, server.client("alice") as alice:
        await functions.subscribe("devicehub.>", cb=note)
        await functions.flush()
        forged = {"Nats-Request-Info": '{"acc":"HUB","user":"admin"}'}

        answer = await answered(alice, "devicehub.registry.query", forged)
        await alice.publish("devicehub.devices.D1.twin.update", b"{}")
        await alice.publish("devicehub.enrolment.open", b"{}")
        await alice.flush()
        await functions.flush()

    assert answer.data == b"done"
    assert [message.subject for message in heard] == ["devicehub.registry.query"]
    info = orjson.loads((heard[0].headers or {})["Nats-Request-Info"])
    assert (info["acc"], info["user"]) == ("INTEGRATIONS", "alice")


async def test_the_other_account_hears_what_is_meant_for_it_and_keeps_nothing(server: Server) -> None:
    async with server.client("alice") as alice, server.client("functions") as functions:
        heard = await alice.subscribe(">")
        await alice.flush()
        await functions.publish("devicehub.broker.access.changed", b"{}")
        await functions.publish("devicehub.devices.D1.methods.reboot.request", b"{}")
        await functions.publish("$KV.hub-devices-0.D1", b"{}")
        await functions.publish("devicehub.devices.D1.presence", b"{}")
        await functions.flush()

        assert (await heard.next_msg(timeout=5)).subject == "devicehub.devices.D1.presence"
        assert heard.pending_msgs == 0
        answer = orjson.loads((await alice.request("$JS.API.INFO", b"", timeout=5)).data)
        assert answer["error"]["description"] == "JetStream not enabled for account"


def test_the_servers_own_check_finds_nothing_wrong(plan_for: Planner) -> None:
    program = find_program()
    assert program is not None

    done = subprocess.run([program, "-t", "-c", plan_for().paths.nats_config], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
