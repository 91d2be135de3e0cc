"""What the tests of onboarding share: CSRs, calls, and stores that make calls meet or cut them short."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Any

from cryptography import x509

from functions.contract.messages import CertificateCreated, CreateFromCsr, DeviceCreate, Issued, Provisioned
from functions.contract.messages import ProvisionRequest as Request
from functions.contract.requests import make_request
from functions.domain.audit import AuditEntry
from functions.domain.certificates import Certificate
from functions.domain.devices import Device
from functions.domain.enrolment import ClaimCertificate, Enrolment
from functions.domain.faults import Conflict, Unavailable
from functions.handlers import certificates, provisioning
from functions.ports import Audit, Hub
from functions.storage import Kept, Spoiled, Store
from functions.testing import START, MemoryHub, call, collect, memory_hub

FLEET = "claim:fleet"
AFTER_ALL = datetime(2054, 1, 1, tzinfo=UTC)
UUID = "9205fa1c-7e57-4bad-8c0d-e51a7edcab1e"
NAME = "EDGB-9205"
ACCESS_CHANGED = "devicehub.broker.access.changed"


def fleet_claim(**facts: Any) -> ClaimCertificate:
    """The claim certificate that ``FLEET`` calls with."""
    return ClaimCertificate(
        **{"name": "fleet", "serial": "f1ee7", "created_at": START, "not_after": AFTER_ALL, **facts}
    )


def claim_hub(**kept: Any) -> MemoryHub:
    """A hub that knows the fleet's claim certificate; enrolment is closed."""
    return memory_hub(**{"claim_certificates": {"fleet": fleet_claim()}, **kept})


def open_hub(**kept: Any) -> MemoryHub:
    """The same with enrolment open."""
    return claim_hub(**{"enrolment": {"enrolment": Enrolment(is_open=True)}, **kept})


def new_csr(name: str) -> str:
    return make_request(name)[0]


@cache
def csr(name: str) -> str:
    """Always the same one for a name."""
    return new_csr(name)


async def provision(hub: Hub, topic_id: str, *, caller: str = FLEET, **body: Any) -> Provisioned:
    return await provisioning.request(call(Request(**body), caller=caller, names=(topic_id,)), hub)


async def join(hub: Hub, uuid: str = UUID, *, request: str | None = None, **body: Any) -> Provisioned:
    """Both rounds."""
    name = (await provision(hub, uuid)).device_id
    return await provision(hub, uuid, csr_pem=request or new_csr(name), device_id=name, **body)


async def create_from_csr(hub: Hub, request: str, **body: Any) -> CertificateCreated:
    return await certificates.create_from_csr(call(CreateFromCsr(csr_pem=request, **body), caller=FLEET), hub)


async def create_device(hub: Hub, name: str, request: str | None = None, **body: Any) -> Issued:
    create = DeviceCreate(csr_pem=request or csr(name), **body)
    return await certificates.create_device(call(create, caller="user:anna", names=(name,)), hub)


def serial_of(answer: Provisioned | CertificateCreated | Issued) -> str:
    assert answer.cert_pem is not None
    return f"{x509.load_pem_x509_certificate(answer.cert_pem.encode()).serial_number:x}"


async def device(hub: Hub, name: str = NAME) -> Device:
    kept = await hub.devices.get(name)
    assert kept is not None
    return kept.value


async def certificate(hub: Hub, serial: str) -> Certificate:
    kept = await hub.certificates.get(serial)
    assert kept is not None
    return kept.value


async def is_revoked(hub: Hub, serial: str) -> bool:
    """Whether register and list of the revoked both say so; they must agree."""
    marked = (await certificate(hub, serial)).revoked_at is not None
    assert marked == (await hub.revoked.get(serial) is not None)
    return marked


async def listed(hub: Hub) -> set[str]:
    """The serials on the CRL as it was made last."""
    kept = await hub.revocations.get("crl")
    crl = x509.load_pem_x509_crl(kept.value.crl_pem.encode()) if kept is not None else ()
    return {f"{entry.serial_number:x}" for entry in crl}


async def registered(hub: Hub) -> dict[str, Certificate]:
    return {serial: kept.value for serial, kept in (await collect(hub.certificates.entries())).items()}


class Meddled:
    """A store in front of which something may happen; it remembers as a process does, which others write around."""

    def __init__(self, store: Store[Any], meddler: "Meddler") -> None:
        self._store = store
        self._meddler = meddler
        self._remembered: dict[str, tuple[Any, int]] = {}

    async def get(self, key: str) -> Kept[Any] | None:
        await self._meddler.before_read()
        kept = await self._store.get(key)
        if kept is not None:
            self._remembered[key] = kept.value, kept.revision
        return kept

    def recall(self, key: str) -> tuple[Any, int] | None:
        return self._remembered.get(key)

    async def create(self, key: str, value: Any, *, pledge: AuditEntry | None = None) -> int:
        self._remembered.pop(key, None)
        await self._meddler.before_write()
        revision = await self._store.create(key, value, pledge=pledge)
        await self._meddler.after_write()
        self._remembered[key] = value, revision
        return revision

    async def create_all(self, values: Mapping[str, Any]) -> dict[str, Kept[Any]]:
        found = {}
        for key, value in values.items():
            try:
                await self.create(key, value)
            except Conflict:
                kept = await self.get(key)
                assert kept is not None
                found[key] = kept
        return found

    async def get_all(self, keys: Iterable[str]) -> dict[str, Kept[Any]]:
        await self._meddler.before_read()
        return await self._store.get_all(keys)

    async def replace(self, key: str, value: Any, *, expect: int, pledge: AuditEntry | None = None) -> int:
        self._remembered.pop(key, None)
        await self._meddler.before_write()
        revision = await self._store.replace(key, value, expect=expect, pledge=pledge)
        await self._meddler.after_write()
        self._remembered[key] = value, revision
        return revision

    async def remove(self, key: str, *, expect: int, pledge: AuditEntry | None = None) -> None:
        self._remembered.pop(key, None)
        await self._meddler.before_write()
        await self._store.remove(key, expect=expect, pledge=pledge)
        await self._meddler.after_write()

    async def history(self, key: str) -> list[Kept[Any]]:
        return await self._store.history(key)

    async def pledged(self, seen: dict[str, int]) -> list[AuditEntry]:
        return await self._store.pledged(seen)

    async def entries(self, spoiled: list[Spoiled] | None = None) -> AsyncIterator[tuple[str, Kept[Any]]]:
        await self._meddler.before_read()
        async for entry in self._store.entries(spoiled):
            yield entry


class MeddledAudit:
    """An audit trail in front of which something may happen."""

    def __init__(self, audit: Audit, meddler: "Meddler") -> None:
        self._audit = audit
        self._meddler = meddler

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        await self._meddler.before_write()
        await self._audit.append(entries)
        await self._meddler.after_write()

    async def catch_up(self) -> None:
        await self._audit.catch_up()


class Meddler:
    """Does nothing; see those below."""

    async def before_read(self) -> None: ...

    async def before_write(self) -> None: ...

    async def after_write(self) -> None: ...


class Shuffle(Meddler):
    """Lets other tasks run before each operation, in an order that the seed decides."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    async def before_read(self) -> None:
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)

    async def before_write(self) -> None:
        await self.before_read()


class Once(Meddler):
    """Has something happen right before the first write."""

    def __init__(self, deed: Callable[[], Awaitable[object]]) -> None:
        self._deed: Callable[[], Awaitable[object]] | None = deed

    async def before_write(self) -> None:
        if self._deed is not None:
            deed, self._deed = self._deed, None
            await deed()


class Outage(Meddler):
    """Lets some writes through; then the storage is gone, with the last write done or not."""

    def __init__(self, writes: int, *, last_is_done: bool) -> None:
        self.left = writes
        self._last_is_done = last_is_done

    async def before_write(self) -> None:
        if self.left == 0:
            raise Unavailable
        self.left -= 1
        if self.left == 0 and not self._last_is_done:
            raise Unavailable

    async def after_write(self) -> None:
        if self.left == 0:
            raise Unavailable


def meddled(hub: MemoryHub, meddler: Meddler, *, audit: bool = False) -> MemoryHub:
    """The same hub, with the meddler in front of each store, and of the audit trail where asked for."""
    found = {field.name: getattr(hub, field.name) for field in fields(Hub)}
    parts: dict[str, Any] = {
        name: Meddled(store, meddler) for name, store in found.items() if hasattr(store, "entries")
    }
    if audit:
        parts["audit"] = MeddledAudit(hub.audit, meddler)
    return replace(hub, **parts)
