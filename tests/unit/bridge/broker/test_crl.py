"""A CRL reaches the disk whole or not at all, and the broker for certain."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.broker.alarms import Alarms
from bridge.broker.crl import CrlFile, Loader, check, is_lapsed
from bridge.broker.lines import ReloadFailed, Reloading
from functions.adapters.authority import LocalAuthority
from functions.adapters.roots import make_root
from functions.domain.faults import Denied, Malformed, Unavailable
from functions.testing import START, SettableClock
from tests.unit.bridge.broker.memory import NOW, MemoryFunctions

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def authority() -> LocalAuthority:
    return LocalAuthority(*make_root(), SettableClock())


async def sign(authority: LocalAuthority, number: int) -> str:
    return await authority.sign_crl([], number=number, next_update=START + timedelta(days=number))


class Broker:
    """A broker's side of a reload: what it does at each SIGHUP, one after the other, and then the last for ever.

    ``loads`` logs and loads, ``is deaf`` does nothing, ``fails`` logs a fault
    and refuses all from then on, ``loads unheard`` loads without a line.
    """

    def __init__(self, file: CrlFile, *answers: str) -> None:
        self.file = file
        self.signals = 0
        self.refuses = False
        self.loaded: list[bytes] = []
        self.path: Path | None = None
        self._plan = list(answers)
        self.loader: Loader | None = None

    def reload(self) -> None:
        assert self.loader is not None
        self.signals += 1
        deed = self._plan.pop(0) if len(self._plan) > 1 else self._plan[0]
        if deed == "is deaf":
            return
        if deed != "loads unheard":
            self.loader.hear(Reloading(NOW))
        self.refuses = deed == "fails"
        if self.refuses:
            self.loader.hear(ReloadFailed(NOW, "Error: Unable to load certificate revocation file"))

    async def answers(self) -> None:
        await asyncio.sleep(0)
        if self.refuses:
            raise Denied()


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[Loader, Broker, Alarms]]:
    def made(*plan: str) -> tuple[Loader, Broker, Alarms]:
        file = CrlFile(tmp_path / "crl.pem")
        broker = Broker(file, *plan)
        alarms = Alarms(MemoryFunctions())
        broker.loader = Loader(file, reload=broker.reload, answers=broker.answers, alarms=alarms, told_within=0.01)
        return broker.loader, broker, alarms

    return made


async def test_the_file_is_replaced_whole_and_the_broker_can_read_it(tmp_path: Path, authority: LocalAuthority) -> None:
    file = CrlFile(tmp_path / "crl.pem")
    first, second = await sign(authority, 1), await sign(authority, 2)

    file.write(first)
    assert file.holds(first)
    file.write(second)

    assert file.holds(second)
    assert not file.holds(first)
    assert (tmp_path / "crl.pem").stat().st_mode & 0o777 == 0o644
    assert not (tmp_path / "crl.pem.new").exists()


@pytest.mark.parametrize("text", ["", "no CRL", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
async def test_what_is_no_crl_never_replaces_one(tmp_path: Path, authority: LocalAuthority, text: str) -> None:
    file = CrlFile(tmp_path / "crl.pem")
    good = await sign(authority, 1)
    file.write(good)

    with pytest.raises(Malformed):
        file.write(text)
    with pytest.raises(Malformed):
        file.write(good[:-40])

    assert file.holds(good)


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path, authority: LocalAuthority) -> None:
    with pytest.raises(Unavailable, match="cannot be written"):
        CrlFile(tmp_path / "nowhere" / "crl.pem").write(await sign(authority, 1))


async def test_the_lists_of_several_authorities_stand_in_one_file(authority: LocalAuthority) -> None:
    other = LocalAuthority(*make_root(), SettableClock())

    lists = check(await sign(authority, 1) + await sign(other, 2))

    assert not is_lapsed(lists, START)
    assert is_lapsed(lists, START + timedelta(days=1))


async def test_a_list_is_loaded_once(
    make: Callable[..., tuple[Loader, Broker, Alarms]], authority: LocalAuthority
) -> None:
    loader, broker, _ = make("loads")
    pem = await sign(authority, 1)

    assert await loader.load(pem)
    assert not await loader.load(pem)

    assert broker.signals == 1


async def test_at_the_start_the_broker_loads_even_what_is_on_disk(
    make: Callable[..., tuple[Loader, Broker, Alarms]], authority: LocalAuthority
) -> None:
    loader, broker, _ = make("loads")
    pem = await sign(authority, 1)
    broker.file.write(pem)

    assert await loader.load(pem)

    assert broker.signals == 1


async def test_a_lost_signal_is_sent_again(
    make: Callable[..., tuple[Loader, Broker, Alarms]], authority: LocalAuthority
) -> None:
    loader, broker, _ = make("is deaf", "is deaf", "loads")

    await loader.load(await sign(authority, 1))

    assert broker.signals == 3


async def test_a_failed_reload_is_an_alarm_and_told(
    make: Callable[..., tuple[Loader, Broker, Alarms]], authority: LocalAuthority
) -> None:
    loader, broker, alarms = make("fails")

    with pytest.raises(Denied):
        await loader.load(await sign(authority, 1))

    assert broker.signals == 1
    assert alarms.counts["broker-reload-failed"] == 1


async def test_a_broker_that_refuses_us_has_loaded_when_it_takes_a_message_again(
    make: Callable[..., tuple[Loader, Broker, Alarms]], authority: LocalAuthority
) -> None:
    loader, broker, _ = make("loads unheard")
    broker.refuses = True

    assert await loader.load(await sign(authority, 1))

    assert broker.signals == 1


async def test_a_broker_that_goes_on_refusing_us_is_told(
    make: Callable[..., tuple[Loader, Broker, Alarms]], authority: LocalAuthority
) -> None:
    loader, broker, _ = make("is deaf")
    broker.refuses = True

    with pytest.raises(Denied):
        await loader.load(await sign(authority, 1))


async def test_somebody_else_s_failed_reload_makes_the_list_load_again(
    make: Callable[..., tuple[Loader, Broker, Alarms]], authority: LocalAuthority
) -> None:
    loader, broker, alarms = make("loads")
    pem = await sign(authority, 1)
    await loader.load(pem)

    loader.hear(ReloadFailed(NOW, "Error when reloading certificate"))

    assert await loader.load(pem)
    assert broker.signals == 2
    assert alarms.counts["broker-reload-failed"] == 1


async def test_a_list_lost_from_the_disk_is_written_and_loaded_again(
    make: Callable[..., tuple[Loader, Broker, Alarms]], authority: LocalAuthority, tmp_path: Path
) -> None:
    loader, broker, _ = make("loads")
    pem = await sign(authority, 1)
    await loader.load(pem)
    (tmp_path / "crl.pem").unlink()

    assert await loader.load(pem)

    assert broker.file.holds(pem)
    assert broker.signals == 2


async def test_a_broker_that_never_reloads_is_told(
    make: Callable[..., tuple[Loader, Broker, Alarms]], authority: LocalAuthority
) -> None:
    loader, _, _ = make("is deaf")

    with pytest.raises(Unavailable, match="does not load"):
        await loader.load(await sign(authority, 1))


async def test_a_lapsed_list_is_an_alarm(make: Callable[..., tuple[Loader, Broker, Alarms]]) -> None:
    loader, _, alarms = make("loads")
    root = make_root()
    clock = SettableClock()
    authority = LocalAuthority(*root, clock)
    await loader.load(await authority.sign_crl([], number=1, next_update=START + timedelta(days=1)))
    before = dict(alarms.counts)

    clock.set(LONG_AGO)
    await loader.load(await authority.sign_crl([], number=2, next_update=LONG_AGO + timedelta(days=1)))

    assert not before
    assert alarms.counts == {"crl-lapsed": 1}
