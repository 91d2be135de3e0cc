"""The register follows the buckets on a real nats-server, also when the server dies under it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import structlog
from nats.aio.client import Client

from functions.adapters import preparing
from functions.adapters.jetstream import JetStreamStore
from functions.adapters.layout import BUCKETS
from functions.adapters.register_index import SqliteRegister
from functions.domain.certificates import Certificate, Purpose
from functions.domain.devices import Device
from functions.domain.register import CertificatesWanted, State
from functions.testing import START
from tests.integration.nats_server import NatsServer, restart

CERTIFICATES, DEVICES = BUCKETS["certificates"], BUCKETS["devices"]


def certificate(number: int, name: str = "pump-7", **facts: Any) -> Certificate:
    at = START + timedelta(seconds=number)
    plain = Certificate(
        f"{0xA0000 + number:x}", Purpose.DEVICE, name, "cd", at, at, at, "staff", "user:anna", "ef", "PEM\n"
    )
    return replace(plain, not_after=START + timedelta(days=1), **facts)


@pytest.fixture
async def certificates(admin: Client, functions: Client) -> JetStreamStore[Certificate]:
    await preparing.prepare(admin, buckets=(CERTIFICATES, DEVICES), streams=())
    return JetStreamStore(functions, CERTIFICATES.names, CERTIFICATES.codec())


@pytest.fixture
def devices(functions: Client) -> JetStreamStore[Device]:
    return JetStreamStore(functions, DEVICES.names, DEVICES.codec())


@pytest.fixture
async def register(certificates: JetStreamStore[Certificate], functions: Client) -> AsyncIterator[SqliteRegister]:
    register = SqliteRegister(functions)
    yield register
    await register.stop()


async def create(store: JetStreamStore[Certificate], numbers: range) -> None:
    for start in range(numbers.start, numbers.stop, 100):
        some = range(start, min(start + 100, numbers.stop))
        made = [certificate(number, f"pump-{number}") for number in some]
        await asyncio.gather(*(store.create(one.serial, one) for one in made))


async def serials(register: SqliteRegister, **asked: Any) -> list[str]:
    return [entry.serial for entry in (await register.find(CertificatesWanted(**asked), START)).entries]


async def total(register: SqliteRegister) -> int:
    return (await register.find(CertificatesWanted(limit=1), START)).total


async def until(register: SqliteRegister, condition: Callable[[SqliteRegister], Any], wanted: object) -> None:
    """Wait until the register shows something; it tells nobody when it has taken a change in."""
    async with asyncio.timeout(5):
        while await condition(register) != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_it_is_ready_when_it_has_read_everything(
    register: SqliteRegister, certificates: JetStreamStore[Certificate]
) -> None:
    await create(certificates, range(1000))

    await register.start()
    await asyncio.wait_for(register.ready(), 5)

    assert await total(register) == 1000
    assert await serials(register, common_name="pump-77") == [certificate(77).serial]


async def test_it_sees_what_is_issued_superseded_and_revoked(
    register: SqliteRegister, certificates: JetStreamStore[Certificate], devices: JetStreamStore[Device]
) -> None:
    await register.start()
    await register.ready()
    one, two = certificate(1), certificate(2)

    async def superseded(register: SqliteRegister) -> list[str]:
        return await serials(register, state=State.SUPERSEDED)

    async def revoked(register: SqliteRegister) -> list[str]:
        return await serials(register, state=State.REVOKED)

    revision = await certificates.create(one.serial, one)
    device = Device("pump-7", START, START, certificate=one.serial)
    of_device = await devices.create("pump-7", device)
    await until(register, total, 1)
    assert await superseded(register) == []
    await certificates.create(two.serial, two)
    await devices.replace("pump-7", replace(device, certificate=two.serial), expect=of_device)
    await until(register, superseded, [one.serial])
    await certificates.replace(one.serial, replace(one, revoked_at=START), expect=revision)
    await until(register, revoked, [one.serial])
    assert await superseded(register) == []


async def test_it_misses_nothing_when_the_server_is_killed_under_it(
    nats_server: NatsServer,
    functions: Client,
    register: SqliteRegister,
    certificates: JetStreamStore[Certificate],
) -> None:
    await create(certificates, range(100))
    await register.start()
    await register.ready()

    for turn in range(1, 4):
        await restart(nats_server, functions)
        # At once, while the register has yet to find out.
        await create(certificates, range(turn * 100, turn * 100 + 100))
        await until(register, total, turn * 100 + 100)


async def test_a_record_that_cannot_be_read_hides_no_other(
    admin: Client, register: SqliteRegister, certificates: JetStreamStore[Certificate]
) -> None:
    await create(certificates, range(5))
    for name in (*CERTIFICATES.names, *DEVICES.names):
        await admin.jetstream().publish(f"$KV.{name}.abcd", b"{secret")
    await create(certificates, range(5, 10))

    with structlog.testing.capture_logs() as logs:
        await register.start()
        await register.ready()

    assert await total(register) == 10
    assert [line["key"] for line in logs if line["event"] == "unreadable record"] == ["abcd"] * 8
    assert "secret" not in str(logs)
