"""Import functions: devices registered and changed as the lines of an export say, each line for itself.

Subjects   devicehub.registry.import
Writes     names, suspensions, devices, desired, reported
Publishes  devicehub.devices.<device>.twin.update.delta
Records    device.imported, device.changed

A line is safe to repeat: what it says already holds is left, and what an
attempt cut short left undone is done by the next one. A device that was not
here gets its names first, its twin next and its record last, so it is there
whole or not at all, but for its role.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import ValidationError

from functions.contract.faults import CATALOGUE
from functions.contract.messages import DeviceImport, DeviceImported, DeviceLine, ImportResult
from functions.domain.audit import AuditEntry
from functions.domain.certificates import Certificate, is_usable
from functions.domain.devices import Device, Lifecycle, Suspension
from functions.domain.documents import same
from functions.domain.enrolment import Reservation
from functions.domain.faults import Conflict, Fault, Malformed, Reason, Unavailable
from functions.domain.history import difference
from functions.domain.imports import (
    TAKEN_HARDWARE,
    Imported,
    check_imported,
    first_half,
    first_record,
    remarks,
    with_facts,
)
from functions.domain.names import DeviceId, id_key, uuid_key
from functions.domain.records import RecordPatch, amend_record
from functions.domain.twins import Half, apply
from functions.handlers.auditing import make, record_all
from functions.handlers.intents import settled
from functions.handlers.names import check_role
from functions.handlers.records import change, refuse_own_id
from functions.handlers.rewriting import amend, rewrite, value_of
from functions.handlers.twins import wish
from functions.ports import Call, Hub
from functions.storage import Kept, Store

_AT_ONCE = 16
_SHOWN_CHARACTERS = 64
_SHOWN_PROBLEMS = 5

_FACTS = ("model", "firmware", "metadata", "replaces", "replaced_by")

Outcome = Literal["created", "updated", "unchanged"]


async def import_(call: Call[DeviceImport], hub: Hub) -> DeviceImported:
    """Register or change the device of each line, and say what became of it; a line that is wrong stops no other.

    Lines of one device are done in their order. With ``dryRun`` nothing is
    written; that two lines want one role is found then only by doing it.

    Raises:
        Unavailable: the storage; what was done stands, and the same call goes on from there.
    """
    turns: dict[str, asyncio.Lock] = {}
    gate = asyncio.Semaphore(_AT_ONCE)

    acts: list[AuditEntry] = []

    async def take(raw: dict[str, Any]) -> ImportResult:
        name = str(raw.get("deviceId", ""))[:_SHOWN_CHARACTERS]
        async with turns.setdefault(name.lower(), asyncio.Lock()), gate:
            try:
                return await _import(_Import(call, hub, acts), name, raw)
            except Unavailable:
                raise
            except Fault as fault:
                told = fault.detail or CATALOGUE[fault.reason].sentence
                failed = ImportResult(device_id=name, result="failed", error=str(fault.reason), message=told)
                return failed.model_copy(update={"fields": fault.fields}) if fault.fields else failed

    try:
        # To the end of each: nothing is to be written any more once the call has been answered.
        ended = await asyncio.gather(*map(take, call.body.devices), return_exceptions=True)
    finally:
        # One write for all, as each takes as long as a device; and if time was over before, of what was done till then.
        await record_all(hub, acts)
    for one in ended:
        if isinstance(one, BaseException):
            raise one
    return DeviceImported(results=[one for one in ended if isinstance(one, ImportResult)])


@dataclass(frozen=True, slots=True)
class _Import:
    """A call, and what of it is to be written down at its end."""

    call: Call[DeviceImport]
    hub: Hub
    acts: list[AuditEntry]

    @property
    def by(self) -> str:
        return str(self.call.caller)

    @property
    def is_dry(self) -> bool:
        return self.call.body.dry_run

    def note(self, action: str, device: str, *, before: Any = None, after: Any = None) -> None:
        self.acts.append(make(self.hub, self.call, action, device, before=before, after=after))


async def _import(run: _Import, name: str, raw: dict[str, Any]) -> ImportResult:
    hub = run.hub
    line = _read(raw)
    check_imported(line)
    device = DeviceId(line.id)
    refuse_own_id(device, line.patch)
    kept = await settled(hub, device)
    certificate = await _certificate(line, hub) if kept is None else None
    told = remarks(line, value_of(kept), certificate)
    if kept is None:
        await _create(run, line, certificate)
        outcome: Outcome = "created"
    else:
        outcome = "updated" if await _update(run, line, kept.value) else "unchanged"
    result = ImportResult(device_id=name, result=outcome)
    return result.model_copy(update={"remarks": told}) if told else result


async def _create(run: _Import, line: Imported, certificate: Certificate | None) -> None:
    hub = run.hub
    now = hub.clock.now()
    device = first_record(line, certificate, now)
    desired = first_half(line.desired, line.desired_version, now, run.by)
    reported = first_half(line.reported, line.reported_version, now, run.by)
    await _check_names(hub, line)
    if line.patch.role:
        await check_role(hub, line.patch.role, line.id)
    if run.is_dry:
        return
    await _take_names(hub, line)
    if device.lifecycle is Lifecycle.SUSPENDED:
        # Before the record, as the broker's keeper goes by it.
        await rewrite(hub.suspensions, device.id, lambda found: found or Suspension(now, run.by, holds=True))
    await _put_first(hub.desired, device.id, desired)
    await _put_first(hub.reported, device.id, reported)
    await rewrite(hub.devices, device.id, lambda found: found or device)
    after = {"lifecycle": device.lifecycle, "name": device.name, "groups": device.groups, "tags": device.tags}
    run.note("device.imported", device.id, after=after)
    if line.patch.role:
        await change(run.call, hub, DeviceId(device.id), RecordPatch(role=line.patch.role))


async def _update(run: _Import, line: Imported, device: Device) -> bool:
    """Change the record and the desired half of a device that is here; whether anything is (or would be) changed."""
    hub = run.hub
    now = hub.clock.now()
    reported = (value_of(await hub.reported.get(device.id)) or Half()).doc
    facts = with_facts(device, line, reported, now)
    after = amend_record(device, line.patch, now)
    wishes = line.desired is not None and device.lifecycle is not Lifecycle.RETIRED
    desired = (value_of(await hub.desired.get(device.id)) or Half()).doc if wishes else {}
    is_wished = wishes and not same(desired, line.desired)
    if after.role is not None and after.role != device.role:
        await check_role(hub, after.role, device.id)
    if facts.uuid_hash != device.uuid_hash:
        await _check_names(hub, line)
    if run.is_dry or not (facts is not device or after is not device or is_wished):
        return facts is not device or after is not device or is_wished
    if facts is not device:
        if facts.uuid_hash != device.uuid_hash:
            await _take_names(hub, line)
        await _put_facts(run, line, reported)
    await change(run.call, hub, DeviceId(device.id), line.patch)
    if is_wished:
        await _wish(run, line)
    return True


async def _put_facts(run: _Import, line: Imported, reported: dict[str, Any]) -> None:
    hub = run.hub
    written = await amend(hub.devices, line.id, lambda found: with_facts(found, line, reported, hub.clock.now()))
    if written is None or written.before is None or not written.changed:
        return
    before, after = ({name: getattr(one, name) for name in _FACTS} for one in (written.before, written.value))
    run.note("device.imported", line.id, before=before, after=after)


async def _wish(run: _Import, line: Imported) -> None:
    """Make the desired half the document of the line, as an operator's wish would."""
    wanted = line.desired or {}
    now = run.hub.clock.now()

    def change(half: Half) -> Half:
        return apply(half, difference(half.doc, wanted), at=now, by=run.by)

    # Written down by itself, as a twin's history is read from the records that lie under its name.
    await wish(run.call, run.hub, DeviceId(line.id), change)


async def _check_names(hub: Hub, line: Imported) -> None:
    """Refuse an id or a hardware UUID that is another's.

    Raises:
        Conflict: ``device_exists``.
    """
    _judge_id(line, value_of(await hub.names.get(id_key(line.id))))
    if line.uuid_hash is not None:
        _judge_uuid(line, value_of(await hub.names.get(uuid_key(line.uuid_hash))))


async def _take_names(hub: Hub, line: Imported) -> None:
    await rewrite(hub.names, id_key(line.id), lambda found: _judge_id(line, found))
    if line.uuid_hash is not None:
        await rewrite(hub.names, uuid_key(line.uuid_hash), lambda found: _judge_uuid(line, found))


def _judge_id(line: Imported, reserved: Reservation | None) -> Reservation:
    if reserved is None:
        return Reservation(line.id, line.uuid_hash)
    if reserved.role is not None:
        raise Conflict(Reason.DEVICE_EXISTS, "This id is the role of a device here.")
    if reserved.device != line.id:
        raise Conflict(Reason.DEVICE_EXISTS, "A device is here whose id differs only in upper and lower case.")
    if reserved.uuid_hash is None or line.uuid_hash is None:
        return replace(reserved, uuid_hash=reserved.uuid_hash or line.uuid_hash)
    if reserved.uuid_hash != line.uuid_hash:
        raise Conflict(Reason.DEVICE_EXISTS, "This id is kept for another piece of hardware.")
    return reserved


def _judge_uuid(line: Imported, bound: Reservation | None) -> Reservation:
    if bound is not None and bound.device != line.id:
        raise Conflict(Reason.DEVICE_EXISTS, TAKEN_HARDWARE)
    return bound or Reservation(line.id, line.uuid_hash)


async def _certificate(line: Imported, hub: Hub) -> Certificate | None:
    """The certificate that the line names, where this hub issued it to this device and it is still good."""
    if line.certificate is None or line.lifecycle is Lifecycle.RETIRED:
        return None
    found = value_of(await hub.certificates.get(line.certificate))
    if found is None or found.common_name != line.id or not is_usable(found, hub.clock.now()):
        return None
    return found if await hub.revoked.get(line.certificate) is None else None


async def _put_first(store: Store[Half], device: str, half: Half | None) -> None:
    kept: Kept[Half] | None = await store.get(device)
    if half is not None and kept is None:
        await store.create(device, half)


def _read(raw: dict[str, Any]) -> Imported:
    """What a line says.

    Raises:
        Malformed: with ``fields``.
    """
    try:
        line = DeviceLine.model_validate(raw)
    except ValidationError as problem:
        errors = problem.errors(include_url=False, include_context=False, include_input=False)[:_SHOWN_PROBLEMS]
        wrong = {".".join(str(step)[:_SHOWN_CHARACTERS] for step in error["loc"]): error["msg"] for error in errors}
        raise Malformed(detail="; ".join(f"{name}: {text}" for name, text in wrong.items()), fields=wrong) from None
    given = {name for name in line.model_fields_set if getattr(line, name) is not None}
    return Imported(
        id=line.device_id,
        patch=RecordPatch(
            name=line.display_name,
            # Null says that it has none, and so does an empty cell.
            role=(line.role or "") if "role" in line.model_fields_set else None,
            groups=tuple(line.groups or ()) if "groups" in given else None,
            tags=dict(line.tags or {}),
            clears_tags="tags" in given,
            notes=line.notes,
        ),
        model=line.model,
        firmware=line.firmware,
        metadata=line.metadata,
        lifecycle=None if line.lifecycle is None else Lifecycle(line.lifecycle),
        uuid_hash=line.uuid_hash,
        certificate=line.certificate,
        created_at=line.created_at,
        replaces=line.replaces,
        replaced_by=line.replaced_by,
        desired=line.desired,
        desired_version=line.desired_version,
        reported=line.reported,
        reported_version=line.reported_version,
    )
