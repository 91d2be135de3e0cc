"""The adapter for systemd against a real one: what it tells, what it does, and what it survives."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bridge.host.ports import Unit, Verb
from functions.domain.faults import Conflict, Denied, Fault, NotFound, Reason, Unavailable
from tests.box import Box

if TYPE_CHECKING:
    from bridge.host.systemd import Systemd

RUNS = "[Unit]\nDescription=A unit that runs\n[Service]\nType=exec\nExecStart=/bin/sleep 1000\n"
MISSING = "[Service]\nType=exec\nExecStart=/nonexistent/program\n"
SLOW_STOP = (
    "[Service]\nType=exec\nExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'\nTimeoutStopSec=60\n"
)
ALIASED = "[Service]\nType=exec\nExecStart=/bin/sleep 1000\n[Install]\nAlias=hub-alias.service\n"
RULES = Path(__file__).parents[3] / "infra/systemd/40-devicehub-host.rules"


@pytest.fixture(scope="module")
def units(box: Box) -> Box:
    for name, text in (
        ("devicehub-a.service", RUNS),
        ("hub-b.service", RUNS),
        ("hub-missing.service", MISSING),
        ("hub-slow.service", SLOW_STOP),
        ("hub-real.service", ALIASED),
    ):
        (box.units / name).write_text(text)
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "enable", "hub-real.service")
    return box


@pytest.fixture
async def systemd(units: Box) -> AsyncIterator["Systemd"]:
    from bridge.host.systemd import Systemd

    one = Systemd(units.address)
    yield one
    await one.close()


async def test_a_unit_is_told_with_its_process_and_since_when(systemd: "Systemd", units: Box) -> None:
    unit = await systemd.act("devicehub-a.service", Verb.RESTART)

    assert unit == await systemd.get("devicehub-a.service")
    assert (unit.state, unit.sub_state, unit.description) == ("active", "running", "A unit that runs")
    assert unit.since is not None
    assert str(unit.pid) == units.run("systemctl", "show", "-P", "MainPID", "devicehub-a.service").strip()


async def test_units_come_in_the_order_asked_and_those_that_are_not_are_left_out(systemd: "Systemd") -> None:
    found = await systemd.list(["hub-b.service", "hub-none.service", "devicehub-a.service"])

    assert [unit.name for unit in found] == ["hub-b.service", "devicehub-a.service"]


async def test_a_unit_is_stopped_started_and_restarted_and_each_job_is_followed_to_its_end(systemd: "Systemd") -> None:
    started = await systemd.act("devicehub-a.service", Verb.START)
    assert started.state == "active"
    assert (await systemd.act("devicehub-a.service", Verb.START)).pid == started.pid

    restarted = await systemd.act("devicehub-a.service", Verb.RESTART)
    assert restarted.pid not in (None, started.pid)

    stopped = await systemd.act("devicehub-a.service", Verb.STOP)
    assert (stopped.state, stopped.pid) == ("inactive", None)
    assert (await systemd.act("devicehub-a.service", Verb.STOP)).state == "inactive"


async def test_many_jobs_at_once_each_get_their_own_end(systemd: "Systemd") -> None:
    names = ["devicehub-a.service", "hub-b.service", "hub-real.service"]

    found = await asyncio.gather(*(systemd.act(name, Verb.RESTART) for name in names))

    assert [unit.name for unit in found] == names
    assert {unit.state for unit in found} == {"active"}


async def test_a_job_that_fails_is_told_as_that(systemd: "Systemd") -> None:
    with pytest.raises(Conflict) as refusal:
        await systemd.act("hub-missing.service", Verb.START)

    assert refusal.value.reason is Reason.JOB_FAILED
    assert (await systemd.get("hub-missing.service")).state == "failed"


@pytest.mark.parametrize("name", ["hub-none.service", "hub none", "../etc/passwd", "", "devicehub-a", "a@.service"])
async def test_a_name_that_no_unit_has_is_refused(systemd: "Systemd", name: str) -> None:
    with pytest.raises(NotFound):
        await systemd.get(name)
    with pytest.raises(NotFound):
        await systemd.act(name, Verb.START)


async def test_another_name_of_a_unit_is_no_way_to_it(systemd: "Systemd") -> None:
    with pytest.raises(Denied) as refusal:
        await systemd.act("hub-alias.service", Verb.RESTART)

    assert refusal.value.reason is Reason.UNIT_NOT_ALLOWED
    assert "hub-real.service" in refusal.value.detail


async def test_what_others_do_is_noticed(systemd: "Systemd", units: Box) -> None:
    await systemd.act("hub-b.service", Verb.START)
    async with aclosing(systemd.changes()) as changes:
        first = asyncio.ensure_future(anext(changes))
        await asyncio.to_thread(units.run, "systemctl", "stop", "hub-b.service")
        async with asyncio.timeout(10):
            await first
            while (await systemd.get("hub-b.service")).state != "inactive":
                await anext(changes)


async def test_it_goes_on_after_systemd_was_executed_anew(systemd: "Systemd", units: Box) -> None:
    before = await systemd.act("devicehub-a.service", Verb.START)

    await asyncio.to_thread(units.run, "systemctl", "daemon-reexec")

    assert (await _when_there(systemd, "devicehub-a.service")).pid == before.pid
    assert (await systemd.act("devicehub-a.service", Verb.RESTART)).pid != before.pid


async def test_it_connects_again_when_the_bus_was_restarted_and_a_job_under_way_is_in_doubt(
    systemd: "Systemd", units: Box
) -> None:
    await systemd.act("hub-slow.service", Verb.START)
    async with aclosing(systemd.changes()) as changes:
        stopping = asyncio.ensure_future(systemd.act("hub-slow.service", Verb.STOP))
        async with asyncio.timeout(10):
            while (await systemd.get("hub-slow.service")).state != "deactivating":
                await anext(changes)
    await asyncio.to_thread(units.run, "systemctl", "kill", "--signal=KILL", "dbus.service")

    async with asyncio.timeout(10):
        with pytest.raises(Unavailable) as refusal:
            await stopping
    assert refusal.value.reason is Reason.TIMEOUT
    await asyncio.to_thread(units.run, "systemctl", "kill", "--signal=KILL", "hub-slow.service")
    assert (await _when_there(systemd, "devicehub-a.service")).name == "devicehub-a.service"
    assert (await systemd.act("hub-b.service", Verb.RESTART)).state == "active"


async def test_polkit_has_the_last_word(units: Box) -> None:
    from bridge.host.systemd import Systemd

    rule = RULES.read_text().replace('"devicehub-host"', '"nobody"')
    units.run("sh", "-c", f"cat > /etc/polkit-1/rules.d/40-devicehub-host.rules <<'END'\n{rule}\nEND")
    systemd = Systemd(units.address)
    os.seteuid(65534)
    try:
        await systemd.list(["devicehub-a.service"])
    finally:
        os.seteuid(0)
    try:
        assert (await systemd.act("devicehub-a.service", Verb.RESTART)).state == "active"
        with pytest.raises(Denied) as refusal:
            await systemd.act("hub-b.service", Verb.RESTART)
        assert refusal.value.reason is Reason.HOST_REFUSED
    finally:
        await systemd.close()


async def test_a_bus_that_is_not_there_is_a_named_fault() -> None:
    pytest.importorskip("gi", reason="python3-gi is not linked into this environment: '.ci/prepare dev' does it")
    from bridge.host.systemd import Systemd

    systemd = Systemd("unix:path=/nonexistent/socket")

    for _ in range(2):
        with pytest.raises(Unavailable):
            await systemd.list(["devicehub-a.service"])


async def _when_there(systemd: "Systemd", name: str) -> Unit:
    """A unit, as soon as systemd answers again."""
    async with asyncio.timeout(15):
        while True:
            try:
                return await systemd.get(name)
            except Unavailable:
                # Nothing tells when the bus takes connections again.
                await asyncio.sleep(0.05)


async def test_a_systemd_that_is_silent_is_given_up_and_asked_again(units: Box) -> None:
    from bridge.host.systemd import Systemd

    systemd = Systemd(units.address, seconds=0.5)
    init = int((units.folder / "pid").read_text())
    try:
        await systemd.act("devicehub-a.service", Verb.START)
        os.kill(init, signal.SIGSTOP)
        try:
            for ask in (systemd.get("devicehub-a.service"), systemd.act("devicehub-a.service", Verb.STOP)):
                with pytest.raises(Unavailable) as refusal:
                    await ask
                assert refusal.value.reason is Reason.TIMEOUT
        finally:
            os.kill(init, signal.SIGCONT)

        assert (await _when_there(systemd, "devicehub-a.service")).state == "active"
    finally:
        await systemd.close()


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        ("org.freedesktop.DBus.Error.AccessDenied", Denied, Reason.HOST_REFUSED),
        ("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", Denied, Reason.HOST_REFUSED),
        ("org.freedesktop.systemd1.NoSuchUnit", NotFound, Reason.UNKNOWN_UNIT),
        ("org.freedesktop.systemd1.UnitMasked", Conflict, Reason.JOB_FAILED),
        ("org.freedesktop.systemd1.OnlyByDependency", Conflict, Reason.JOB_FAILED),
        ("org.freedesktop.DBus.Error.NoReply", Unavailable, Reason.TIMEOUT),
        ("org.freedesktop.DBus.Error.ServiceUnknown", Unavailable, Reason.UNAVAILABLE),
        ("org.example.Unheard", Unavailable, Reason.UNAVAILABLE),
    ],
)
def test_each_error_of_the_bus_is_a_fault_of_the_hub(error: str, kind: type[Fault], reason: Reason) -> None:
    pytest.importorskip("gi", reason="python3-gi is not linked into this environment: '.ci/prepare dev' does it")
    from gi.repository import Gio

    from bridge.host.link import fault_of

    fault = fault_of(Gio.DBusError.new_for_dbus_error(error, "It says why."), "RestartUnit")

    assert (type(fault), fault.reason) == (kind, reason)
    assert "GDBus" not in fault.detail
