"""The hub on the message bus: a real dbus-daemon with the hub's policy, and the tools of others to call with."""

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from nats.aio.client import Client

from functions.contract import bus
from functions.contract.messages import TwinDesire, TwinView
from functions.domain.audit import AuditWanted
from functions.domain.callers import SYSTEM, Caller
from tests.integration.gateway.conftest import DEVICE, Functions, Nats
from tests.integration.host.local.conftest import MessageBus

pytest.importorskip("gi", reason="needs python3-gi: apt-get install python3-gi gir1.2-glib-2.0")

from bridge.host.local.publishing import LocalInterface

HUB = "io.edgeberry.devicehub"
PATH = "/io/edgeberry/devicehub"
NOBODY, MEMBER = 65534, 1
LIMIT_SECONDS = 20.0


class Offered:
    """The hub on a message bus."""

    def __init__(self, message_bus: MessageBus, functions: Functions, client: Client) -> None:
        self.bus = message_bus
        self.functions = functions
        self.client = client
        self.interface = LocalInterface(bus.Bus(client), "1.2.3", message_bus.address)

    async def busctl(
        self, interface: str, method: str, *arguments: str, uid: int = 0
    ) -> subprocess.CompletedProcess[str]:
        words = (
            "busctl",
            "--system",
            "--json=short",
            "--",
            "call",
            HUB,
            PATH,
            f"{HUB}.{interface}",
            method,
            *arguments,
        )
        return await asyncio.to_thread(self.bus.run, *words, uid=uid)

    async def ask(self, interface: str, method: str, *arguments: str, uid: int = 0) -> Any:
        """The document that a call is answered with."""
        done = await self.busctl(interface, method, *arguments, uid=uid)
        assert done.returncode == 0, done.stderr
        return json.loads(json.loads(done.stdout)["data"][0])

    async def gdbus(self, method: str, *arguments: str, uid: int = 0) -> subprocess.CompletedProcess[str]:
        words = ("gdbus", "call", "--system", "-d", HUB, "-o", PATH, "-m", f"{HUB}.{method}", "--", *arguments)
        return await asyncio.to_thread(self.bus.run, *words, uid=uid)


@pytest.fixture
async def offered(message_bus: MessageBus, nats: Nats, functions: Functions) -> AsyncIterator[Offered]:
    nats.start()
    await functions.start()
    async with AsyncExitStack() as stack:
        client = await nats.connect("host")
        stack.push_async_callback(client.close)
        hub = Offered(message_bus, functions, client)
        work = asyncio.create_task(hub.interface.run())
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                await hub.interface.offered.wait()
            yield hub
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work


async def test_busctl_reads_and_changes_the_registry_and_twins(offered: Offered) -> None:
    page = await offered.ask("Registry1", "Query", "ssuu", "", "", "10", "0")
    view = await offered.ask("Registry1", "Get", "s", DEVICE)
    changed = await offered.ask("Twin1", "Update", "ssx", DEVICE, '{"rate": 12, "größe": null}', "-1")
    twin = await offered.ask("Twin1", "Get", "s", DEVICE)

    assert page["total"] == 1
    assert [one["deviceId"] for one in page["devices"]] == [view["deviceId"]] == [DEVICE]
    assert changed["desired"] == twin["desired"] == {"rate": 12}
    assert twin["desiredVersion"] == 1


async def test_gdbus_reads_and_changes_twins_and_the_version(offered: Offered) -> None:
    changed = await offered.gdbus("Twin1.Update", DEVICE, '{"rate": 7}', "0")
    stale = await offered.gdbus("Twin1.Update", DEVICE, '{"rate": 8}', "0")
    version = await asyncio.to_thread(
        offered.bus.run, "gdbus", "call", "--system", "-d", HUB, "-o", PATH,
        "-m", "org.freedesktop.DBus.Properties.GetAll", f"{HUB}.Hub1",
    )  # fmt: skip

    assert '"rate":7' in changed.stdout, changed.stderr
    assert f"{HUB}.Error.VersionConflict" in stale.stderr
    assert version.stdout.strip() == "({'Version': <'1.2.3'>},)"


async def test_it_says_what_it_offers(offered: Offered) -> None:
    told = await asyncio.to_thread(offered.bus.run, "busctl", "--system", "introspect", HUB, PATH)

    assert told.returncode == 0, told.stderr
    for word in ("Hub1", "Registry1", "Twin1", ".Query", ".Update", ".StatusChanged", ".Changed", ".Version"):
        assert word in told.stdout


async def test_a_member_of_the_group_may_call_and_stands_in_the_audit_trail(offered: Offered) -> None:
    await offered.ask("Twin1", "Update", "ssx", DEVICE, '{"rate": 12}', "-1", uid=MEMBER)

    kept = await offered.functions.hub.trails.find(AuditWanted())
    assert [(one.action, one.actor, one.origin, one.target) for one in kept.entries] == [
        ("twin.desired", f"system:dbus/{MEMBER}", "dbus", DEVICE)
    ]


async def test_any_other_user_is_refused_by_the_bus(offered: Offered) -> None:
    for interface, method, *arguments in (
        ("Registry1", "Query", "ssuu", "", "", "10", "0"),
        ("Twin1", "Get", "s", DEVICE),
        ("Twin1", "Update", "ssx", DEVICE, "{}", "-1"),
    ):
        done = await offered.busctl(interface, method, *arguments, uid=NOBODY)

        assert done.returncode != 0
        assert "Access denied" in done.stderr or "AccessDenied" in done.stderr
    assert (await offered.functions.hub.trails.find(AuditWanted())).total == 0


async def test_no_other_user_may_take_the_name(offered: Offered) -> None:
    done = await asyncio.to_thread(
        offered.bus.run, "gdbus", "call", "--system", "-d", "org.freedesktop.DBus", "-o", "/org/freedesktop/DBus",
        "-m", "org.freedesktop.DBus.RequestName", HUB, "4", uid=NOBODY,
    )  # fmt: skip

    assert done.returncode != 0
    assert "not allowed to own" in done.stderr


@pytest.mark.parametrize(
    ("interface", "method", "arguments", "error"),
    [
        ("Registry1", "Get", ("s", "no-such-pump"), "UnknownDevice"),
        ("Twin1", "Get", ("s", "no-such-pump"), "UnknownDevice"),
        ("Twin1", "Get", ("s", "a.b"), "BadRequest"),
        ("Twin1", "Get", ("s", ">"), "BadRequest"),
        ("Twin1", "Get", ("s", ""), "BadRequest"),
        ("Twin1", "Get", ("s", "x" * 5000), "BadRequest"),
        ("Twin1", "Update", ("ssx", DEVICE, "no json", "-1"), "BadRequest"),
        ("Twin1", "Update", ("ssx", DEVICE, "[1]", "-1"), "BadRequest"),
        ("Twin1", "Update", ("ssx", DEVICE, '{}, "expectedVersion": 3', "-1"), "BadRequest"),
        ("Twin1", "Update", ("ssx", DEVICE, '{"a":1,"a":2}', "-1"), "BadRequest"),
        ("Twin1", "Update", ("ssx", DEVICE, '{"a":NaN}', "-1"), "BadRequest"),
        ("Twin1", "Update", ("ssx", DEVICE, '{"a":1}', "-2"), "BadRequest"),
        ("Twin1", "Update", ("ssx", DEVICE, '{"a":' * 20_000 + "1" + "}" * 20_000, "-1"), "TooDeep"),
        ("Twin1", "Update", ("ssx", DEVICE, '{"a":' * 150 + "1" + "}" * 150, "-1"), "TooDeep"),
        ("Twin1", "Update", ("ssx", DEVICE, '{"a":"' + "x" * 60_000 + '"}', "-1"), "TooLarge"),
        ("Registry1", "Query", ("ssuu", "status:", "", "10", "0"), "BadRequest"),
        ("Registry1", "Query", ("ssuu", "", "nothing", "10", "0"), "BadRequest"),
        ("Registry1", "Query", ("ssuu", "", "", "0", "0"), "BadRequest"),
        ("Registry1", "Query", ("ssuu", "", "", "4294967295", "0"), "BadRequest"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_wrong_is_told_by_name(
    offered: Offered, interface: str, method: str, arguments: tuple[str, ...], error: str
) -> None:
    # busctl prints the sentence alone, gdbus the name as well.
    done = await offered.gdbus(f"{interface}.{method}", *arguments[1:])

    assert done.returncode != 0
    assert f"{HUB}.Error.{error}" in done.stderr
    assert (await offered.ask("Registry1", "Get", "s", DEVICE))["deviceId"] == DEVICE


async def test_a_document_of_megabytes_is_refused_before_it_is_read(offered: Offered) -> None:
    from gi.repository import Gio, GLib

    def send() -> str:
        flags = Gio.DBusConnectionFlags
        connection = Gio.DBusConnection.new_for_address_sync(
            offered.bus.address, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None
        )
        try:
            arguments = GLib.Variant("(ssx)", (DEVICE, '{"a":"' + "x" * 8_000_000 + '"}', -1))
            connection.call_sync(HUB, PATH, f"{HUB}.Twin1", "Update", arguments, None, 0, 10_000, None)
        except GLib.Error as problem:
            return str(Gio.DBusError.get_remote_error(problem))
        finally:
            connection.close_sync(None)
        return "taken"

    assert await asyncio.to_thread(send) == f"{HUB}.Error.TooLarge"


async def test_text_that_is_no_utf_8_is_cut_off_by_the_bus_and_nobody_else_feels_it(offered: Offered) -> None:
    def send() -> bytes:
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(LIMIT_SECONDS)
            raw.connect(offered.bus.address.removeprefix("unix:path="))
            raw.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n")
            assert raw.recv(4096).startswith(b"OK")
            raw.sendall(b"BEGIN\r\n")
            # Type 1, a call; its fields are PATH, MEMBER and DESTINATION, of which one is no text.
            body = b"\x01\x01o\0" + (5).to_bytes(4, "little") + b"/\xff\xfe\xfd/\0"
            raw.sendall(b"l\x01\0\x01" + bytes(4) + b"\x01\0\0\0" + len(body).to_bytes(4, "little") + body + bytes(8))
            return raw.recv(4096)

    assert await asyncio.to_thread(send) == b""
    assert (await offered.ask("Registry1", "Get", "s", DEVICE))["deviceId"] == DEVICE


async def test_it_comes_back_with_the_message_bus(offered: Offered) -> None:
    for _ in range(3):
        offered.bus.stop()
        async with asyncio.timeout(LIMIT_SECONDS):
            while offered.interface.offered.is_set():  # noqa: ASYNC110 - It is told by another thread.
                await asyncio.sleep(0.01)
        offered.bus.start()
        async with asyncio.timeout(LIMIT_SECONDS):
            await offered.interface.offered.wait()

        assert (await offered.ask("Registry1", "Get", "s", DEVICE))["deviceId"] == DEVICE


async def test_a_call_while_the_functions_are_away_is_told_so(offered: Offered) -> None:
    await offered.functions.stop()

    done = await offered.gdbus("Registry1.Get", DEVICE)

    assert f"{HUB}.Error.Unavailable" in done.stderr


async def test_a_change_is_told_to_who_may_hear_it(offered: Offered, nats: Nats) -> None:
    async def listen(uid: int) -> asyncio.subprocess.Process:
        # It says on its first line that it listens.
        process = await asyncio.create_subprocess_exec(
            "gdbus", "monitor", "--system", "-d", HUB, "-o", PATH,
            env={"PATH": os.environ["PATH"], "DBUS_SYSTEM_BUS_ADDRESS": offered.bus.address},
            user=uid, group=uid, extra_groups=[], cwd="/", stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        await process.stdout.readline()
        await process.stdout.readline()
        return process

    member, nobody = await listen(MEMBER), await listen(NOBODY)
    try:
        client = await nats.connect("cli")
        body = TwinDesire(desired={"rate": 3})
        await bus.Bus(client).call(f"devicehub.twins.{DEVICE}.desire", body, TwinView, caller=Caller(SYSTEM, "cli"))
        # The functions here tell nobody: their hub is in memory.
        teller = await nats.connect("functions")
        await teller.publish(f"devicehub.devices.{DEVICE}.twin.update.documents", b"{}")
        await teller.close()
        await client.close()
        assert member.stdout is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            line = await member.stdout.readline()
        nobody.terminate()
        assert nobody.stdout is not None
        heard = await nobody.stdout.read()
    finally:
        for process in (member, nobody):
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    assert line.decode().strip() == f"{PATH}: {HUB}.Twin1.Changed (['{DEVICE}'],)"
    assert b"Changed" not in heard


async def test_a_user_with_too_many_calls_is_told_so_and_all_are_answered(offered: Offered) -> None:
    from gi.repository import Gio, GLib

    def flood() -> list[str]:
        flags = Gio.DBusConnectionFlags
        connection = Gio.DBusConnection.new_for_address_sync(
            offered.bus.address, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None
        )
        answers: list[str] = []
        loop = GLib.MainLoop.new(GLib.MainContext.default(), False)

        def took(source: Any, result: Any, _: Any = None) -> None:
            try:
                source.call_finish(result)
                answers.append("ok")
            except GLib.Error as problem:
                answers.append(str(Gio.DBusError.get_remote_error(problem)).rpartition(".")[2])
            if len(answers) == 100:
                loop.quit()

        for _ in range(100):
            arguments = GLib.Variant("(s)", (DEVICE,))
            connection.call(HUB, PATH, f"{HUB}.Twin1", "Get", arguments, None, 0, 20_000, None, took)
        GLib.timeout_add_seconds(20, loop.quit)
        loop.run()
        connection.close_sync(None)
        return answers

    answers = await asyncio.to_thread(flood)

    assert len(answers) == 100
    assert set(answers) <= {"ok", "RateLimited"}
    assert answers.count("ok") >= 16
    assert (await offered.ask("Registry1", "Get", "s", DEVICE))["deviceId"] == DEVICE


async def test_the_shim_can_speak_for_nobody_else(offered: Offered, nats: Nats) -> None:
    """Neither on the subjects of others, nor as another caller on its own."""
    refused = asyncio.Event()

    async def failed(problem: Exception) -> None:
        if "permissions violation" in str(problem).lower():
            refused.set()

    client = await bus.connect(nats.url, user="host", password="host-password", failed=failed)
    try:
        await client.publish(f"devicehub.twins.{DEVICE}.desire", b'{"desired":{}}', headers={"Hub-Caller": "user:anna"})
        async with asyncio.timeout(LIMIT_SECONDS):
            await refused.wait()
        for caller in ("user:anna", "app:dashboard", "system:cli", f"device:{DEVICE}"):
            answer = await client.request(
                f"devicehub.local.twins.{DEVICE}.get", b"", timeout=5, headers={"Hub-Caller": caller}
            )
            assert json.loads(answer.data)["error"] == "denied"
    finally:
        await client.close()
