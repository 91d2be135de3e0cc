"""The adapter for systemd against one that errs, is silent or goes away: it answers in time and comes back."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bridge.host.allowed import Allowed
from bridge.host.ports import Verb
from bridge.host.units import Units
from functions.domain.faults import Conflict, Denied, Fault, NotFound, Reason, Unavailable

if TYPE_CHECKING:
    from bridge.host.systemd import Systemd

DEMO = "demo.service"
PROGRAM = Path(__file__).with_name("fake_systemd.py")
# What a call is given here, and what an answer may take: several calls, on a busy machine.
PATIENCE, IN_TIME = 0.5, 10.0
BUS = "org.freedesktop.DBus.Error"


class Stand:
    """A systemd that does as a test says; it can go away and come back."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.begin()

    def begin(self) -> None:
        words = [sys.executable, str(PROGRAM), self.address]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._expect("ready")

    def tell(self, method: str, doing: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{method} {doing}\n")
        self._process.stdin.flush()
        self._expect("ok")

    def end(self) -> None:
        # Its input ends, and so does it.
        self._process.communicate(timeout=10)

    def _expect(self, word: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"{word}\n"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A message bus of its own, for any user."""
    pytest.importorskip("gi", reason="python3-gi is not linked into this environment: '.ci/prepare dev' does it")
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed: apt-get install dbus-daemon")
    words = ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        yield daemon.stdout.readline().strip()
        daemon.terminate()


@pytest.fixture
def stand(address: str) -> Iterator[Stand]:
    one = Stand(address)
    yield one
    one.end()


@pytest.fixture
async def systemd(stand: Stand) -> AsyncIterator["Systemd"]:
    from bridge.host.systemd import Systemd

    one = Systemd(stand.address, seconds=PATIENCE)
    yield one
    await one.close()


async def refusal(systemd: "Systemd") -> Fault:
    """What a restart ends with instead."""
    async with asyncio.timeout(IN_TIME):
        with pytest.raises(Fault) as caught:
            await systemd.act(DEMO, Verb.RESTART)
    return caught.value


@pytest.mark.parametrize(
    ("method", "error", "kind", "reason"),
    [
        ("Subscribe", f"{BUS}.AccessDenied", Denied, Reason.HOST_REFUSED),
        ("LoadUnit", f"{BUS}.InvalidArgs", NotFound, Reason.UNKNOWN_UNIT),
        ("LoadUnit", f"{BUS}.Failed", Unavailable, Reason.UNAVAILABLE),
        ("GetAll", f"{BUS}.NoMemory", Unavailable, Reason.UNAVAILABLE),
        ("RestartUnit", f"{BUS}.AccessDenied", Denied, Reason.HOST_REFUSED),
        ("RestartUnit", "org.freedesktop.systemd1.UnitMasked", Conflict, Reason.JOB_FAILED),
        ("RestartUnit", f"{BUS}.LimitsExceeded", Unavailable, Reason.UNAVAILABLE),
    ],
)
async def test_an_error_of_each_method_is_a_named_fault_and_passes(
    stand: Stand, systemd: "Systemd", method: str, error: str, kind: type[Fault], reason: Reason
) -> None:
    stand.tell(method, error)

    fault = await refusal(systemd)

    assert (type(fault), fault.reason) == (kind, reason)
    stand.tell(method, "answer")
    assert (await systemd.act(DEMO, Verb.RESTART)).state == "active"


@pytest.mark.parametrize("method", ["Subscribe", "LoadUnit", "GetAll", "RestartUnit"])
async def test_silence_of_each_method_ends_in_time_and_passes(stand: Stand, systemd: "Systemd", method: str) -> None:
    stand.tell(method, "silent")

    fault = await refusal(systemd)

    assert (type(fault), fault.reason) == (Unavailable, Reason.TIMEOUT)
    assert method in fault.detail
    stand.tell(method, "answer")
    assert (await systemd.act(DEMO, Verb.RESTART)).state == "active"


@pytest.mark.parametrize("result", ["canceled", "timeout", "dependency", "failed", "something-new"])
async def test_a_job_that_ends_otherwise_is_told_by_its_result(stand: Stand, systemd: "Systemd", result: str) -> None:
    stand.tell("job", result)

    fault = await refusal(systemd)

    assert (type(fault), fault.reason) == (Conflict, Reason.JOB_FAILED)
    assert f"'{result}'" in fault.detail


async def test_a_job_that_systemd_still_has_is_followed_for_longer_than_a_call_may_take(
    stand: Stand, systemd: "Systemd"
) -> None:
    stand.tell("job", "held")
    order = asyncio.ensure_future(systemd.act(DEMO, Verb.RESTART))

    # So long that it was asked of several times.
    done, _ = await asyncio.wait({order}, timeout=4 * PATIENCE)
    assert not done
    stand.tell("end", "done")

    async with asyncio.timeout(IN_TIME):
        assert (await order).restarts == 1


async def test_a_job_whose_end_is_never_told_is_in_doubt_and_not_waited_for(stand: Stand, systemd: "Systemd") -> None:
    stand.tell("job", "unsaid")

    fault = await refusal(systemd)

    assert (type(fault), fault.reason) == (Unavailable, Reason.TIMEOUT)
    assert "may have been done" in fault.detail


@pytest.mark.parametrize("doing", ["silent", "vanish"])
async def test_a_systemd_that_fails_under_a_job_leaves_it_in_doubt(
    stand: Stand, systemd: "Systemd", doing: str
) -> None:
    stand.tell("job", "held")
    order = asyncio.ensure_future(systemd.act(DEMO, Verb.RESTART))
    done, _ = await asyncio.wait({order}, timeout=PATIENCE)
    assert not done
    stand.tell("GetAll", doing)

    async with asyncio.timeout(IN_TIME):
        with pytest.raises(Unavailable) as caught:
            await order
    assert caught.value.reason is Reason.TIMEOUT
    assert "may have been done" in caught.value.detail


async def test_one_that_went_away_is_unavailable_and_its_units_are_unknown_until_it_is_back(
    stand: Stand, systemd: "Systemd"
) -> None:
    units = Units(systemd, Allowed.of([DEMO]), node="site-1", version="1.0")
    assert [one.state for one in (await units.here()).services] == ["active"]
    stand.tell("RestartUnit", "vanish")

    assert isinstance(await refusal(systemd), Unavailable)
    away = await units.here()
    stand.end()
    stand.begin()
    back = await units.here()

    assert away.problem
    assert [one.state for one in away.services] == ["unknown"]
    assert (back.problem, [one.state for one in back.services]) == (None, ["active"])
    assert (await systemd.act(DEMO, Verb.RESTART)).state == "active"
