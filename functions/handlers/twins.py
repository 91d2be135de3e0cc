"""Twin functions: what a device reports of itself, and what it should be.

Subjects   devicehub.devices.<device>.twin.get, .twin.update   (the device)
           devicehub.twins.<device>.get, .desire               (operators, applications)
Writes     reported (the device's own half) or desired, only over the revision it read
Publishes  devicehub.devices.<device>.twin.update.delta, .documents, .reached

A change is written first, and the other half read only then. Of a report and
a wish that happen at once, at least one sees both halves as they now are, so
no difference goes untold.

Replies and events are made with ``model_construct``, or as JSON at once: their
documents were checked when they came in, and checking them again took a tenth
of a call.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

from functions.contract.halves import accepted, documents
from functions.contract.messages import (
    Encoded,
    Nothing,
    TwinAccepted,
    TwinDelta,
    TwinDesire,
    TwinGet,
    TwinReached,
    TwinReport,
    TwinView,
)
from functions.contract.subjects import subject
from functions.domain.audit import Doer
from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Conflict, Denied, Malformed, NotFound, Reason, Unavailable
from functions.domain.names import DeviceId
from functions.domain.twins import Half, apply, check_client_token, delta, metadata
from functions.domain.wishes import WISHED, wished
from functions.handlers.admission import admit_device
from functions.handlers.auditing import record
from functions.handlers.locking import BUSY
from functions.handlers.rewriting import value_of
from functions.ports import Call, Hub
from functions.storage import Kept, Store

_ATTEMPTS = 5
_UNWRITTEN = Half()


@dataclass(frozen=True)
class Twin:
    """Both halves of a twin, read one after the other."""

    desired: Half
    reported: Half

    @cached_property
    def delta(self) -> dict[str, Any]:
        """What of ``desired`` the device does not report."""
        return delta(self.desired.doc, self.reported.doc)


async def get(call: Call[TwinGet], hub: Hub) -> Encoded[TwinAccepted]:
    """Both halves of the calling device's twin.

    Raises:
        NotFound: no such device.
        Denied: the device is suspended or retired.
    """
    await admit_device(call, hub)
    desired, reported = await asyncio.gather(hub.desired.get(call.device), hub.reported.get(call.device))
    check_client_token(call.body.client_token)
    return _accepted(call, hub, "get", Twin(_half(desired), _half(reported)))


async def update(call: Call[TwinReport], hub: Hub) -> Encoded[TwinAccepted]:
    """Merge a device's report into the reported half.

    A report that changes nothing gives version and document as they are; a
    repeat of the report that made this version is answered as it was then.

    Raises:
        NotFound: no such device.
        Denied: the device is suspended or retired, or sent ``desired``.
        Malformed: there is no ``reported``, or it breaks a limit.
        Conflict: the version is not the expected one, or a later report of
            the device was applied already.
    """
    await admit_device(call, hub)
    patch = _reported(call.body)
    before, after = await _change(hub.reported, call.device, _merging(call, hub, patch))
    desired = _half(await hub.desired.get(call.device))
    twin = Twin(desired, after)
    if after.version != before.version:
        await _tell_delta(call.device, hub, twin)
        await _tell_reached(call.device, hub, Twin(desired, before), twin)
        await _tell_documents(call, call.device, hub, Twin(desired, before), twin)
    return _accepted(call, hub, "update", twin, is_updated=after.digest == call.digest)


async def view(call: Call[Nothing], hub: Hub) -> TwinView:
    """The twin of a device in any state; a device that never reported has an empty one.

    Raises:
        NotFound: no such device.
    """
    device, desired, reported = await asyncio.gather(
        hub.devices.get(call.device), hub.desired.get(call.device), hub.reported.get(call.device)
    )
    registered(value_of(device))
    return view_of(call.device, Twin(_half(desired), _half(reported)))


async def desire(call: Call[TwinDesire], hub: Hub) -> TwinView:
    """Merge a wish into the desired half and tell the device what it does not show of it.

    A suspended device is told when it may take part again. A repeat of the
    wish that made this version tells the device once more: the first attempt
    may have died between writing and telling. (A repeated report does not: its
    answer has both halves, and a device that answers a delta with the same
    report again and again would never come to rest.)

    Raises:
        NotFound: no such device.
        Denied: the device is retired.
        Malformed: the wish breaks a limit.
        Conflict: the version is not the expected one.
        Unavailable: the device is being replaced at this moment.
    """
    change = _merging(call, hub, call.body.desired)
    return view_of(call.device, await wish(call, hub, call.device, change, call.digest))


async def wish(doer: Doer, hub: Hub, device: DeviceId, change: Callable[[Half], Half], digest: str = "") -> Twin:
    """Change the desired half, tell who is to know, and write it down; the twin after it.

    Args:
        doer: who wishes.
        hub: the ports.
        device: of whom.
        change: the half after it, or the very same one; it may be asked several times.
        digest: of the message that it is made by, as ``change`` puts it into the half.

    Raises:
        NotFound, Denied, Malformed, Conflict, Unavailable: as ``desire``.
    """
    lifecycle = Lifecycle.ACTIVE

    async def admit() -> None:
        nonlocal lifecycle
        record = registered(value_of(await hub.devices.get(device)))
        lifecycle = record.lifecycle
        if lifecycle is Lifecycle.RETIRED:
            raise Denied(Reason.DEVICE_RETIRED)
        if record.intent is not None:
            raise Unavailable(detail=BUSY)

    before, after = await _change_read(hub.desired, device, change, admit)
    reported = _half(await hub.reported.get(device))
    twin = Twin(after, reported)
    if after.digest == digest and lifecycle is Lifecycle.ACTIVE:
        await _tell_delta(device, hub, twin)
    if after.version != before.version:
        await _tell_reached(device, hub, Twin(before, reported), twin)
        await _tell_documents(doer, device, hub, Twin(before, reported), twin)
        undo, done = wished(before, after)
        await record(hub, doer, WISHED, device, before=undo, after=done)
    return twin


async def publish_open_delta(device: DeviceId, hub: Hub) -> None:
    """Tell a device all that is desired and that it does not report, if there is any."""
    desired, reported = await asyncio.gather(hub.desired.get(device), hub.reported.get(device))
    await _tell_delta(device, hub, Twin(_half(desired), _half(reported)))


async def _change(store: Store[Half], device: DeviceId, merge: Callable[[Half], Half]) -> tuple[Half, Half]:
    """Write the merged half over the one it was merged with; the half before and after."""
    written = await _change_recalled(store, device, merge)
    return written if written is not None else await _change_read(store, device, merge)


async def _change_read(
    store: Store[Half],
    device: DeviceId,
    merge: Callable[[Half], Half],
    admit: Callable[[], Awaitable[None]] | None = None,
) -> tuple[Half, Half]:
    """As ``_change``, with the half that is kept; ``admit`` may refuse by what holds after it was read.

    So a wish that meets a swap is either there when the swap moves the half,
    or is refused: had the half been moved since, the write over it is lost.
    """
    lost: Conflict | None = None
    for _ in range(_ATTEMPTS):
        kept = await store.get(device)
        if admit is not None:
            await admit()
        before = _half(kept)
        after = merge(before)
        if after is before:
            return before, after
        try:
            if kept is None:
                await store.create(device, after)
            else:
                await store.replace(device, after, expect=kept.revision)
        except Conflict as conflict:
            lost = conflict
            continue
        return before, after
    raise Conflict(detail="Others changed the same twin at every attempt. Try again in a moment.") from lost


async def _change_recalled(
    store: Store[Half], device: DeviceId, merge: Callable[[Half], Half]
) -> tuple[Half, Half] | None:
    """As ``_change``, with the half that is remembered, which saves the read; None if nothing was written.

    The write proves that the memory was right. A refusal, or that there is
    nothing to change, proves nothing: that must be decided by what is read.
    """
    recalled = store.recall(device)
    if recalled is None:
        return None
    before, revision = recalled
    try:
        after = merge(before)
        if after is before:
            return None
        await store.replace(device, after, expect=revision)
    except (Conflict, Malformed):
        return None
    return before, after


def _merging(call: Call[TwinReport] | Call[TwinDesire], hub: Hub, patch: dict[str, Any]) -> Callable[[Half], Half]:
    return partial(
        apply,
        patch=patch,
        at=hub.clock.now(),
        by=str(call.caller),
        order=call.order,
        digest=call.digest,
        expected_version=call.body.expected_version,
    )


def _reported(report: TwinReport) -> dict[str, Any]:
    if "desired" in report.model_fields_set:
        raise Denied(Reason.DESIRED_IS_READ_ONLY)
    if report.reported is None:
        raise Malformed(detail="'reported' is missing: an object with what changed.")
    check_client_token(report.client_token)
    return report.reported


async def _tell_documents(doer: Doer, device: DeviceId, hub: Hub, before: Twin, after: Twin) -> None:
    told = documents(
        device,
        (before.desired, before.reported),
        (after.desired, after.reported),
        by=str(doer.caller),
        at=hub.clock.now(),
    )
    await hub.events.publish(subject("devices", device, "twin", "update", "documents"), told)


async def _tell_delta(device: DeviceId, hub: Hub, twin: Twin) -> None:
    if not twin.delta:
        return
    told = TwinDelta.model_construct(
        device_id=device,
        delta=twin.delta,
        desired_version=twin.desired.version,
        reported_version=twin.reported.version,
        metadata=metadata(twin.delta, twin.desired.times),
        timestamp=hub.clock.now(),
    )
    await hub.events.publish(subject("devices", device, "twin", "update", "delta"), told)


async def _tell_reached(device: DeviceId, hub: Hub, before: Twin, after: Twin) -> None:
    """Tell that nothing is open any more, where something was.

    A report and a wish that meet may each see the other and both tell it,
    with the same versions.
    """
    if after.delta or not before.delta:
        return
    told = TwinReached.model_construct(
        device_id=device,
        desired_version=after.desired.version,
        reported_version=after.reported.version,
        timestamp=hub.clock.now(),
    )
    await hub.events.publish(subject("devices", device, "twin", "update", "reached"), told)


def _accepted(
    call: Call[TwinGet] | Call[TwinReport],
    hub: Hub,
    operation: Literal["get", "update"],
    twin: Twin,
    *,
    is_updated: bool = False,
) -> Encoded[TwinAccepted]:
    return accepted(
        call.device,
        operation,
        twin.desired,
        twin.reported,
        is_updated=is_updated,
        token=call.body.client_token,
        at=hub.clock.now(),
    )


def view_of(device: DeviceId, twin: Twin) -> TwinView:
    """A twin as operators and applications see it."""
    times = [half.at for half in (twin.desired, twin.reported) if half.at is not None]
    return TwinView.model_construct(
        device_id=device,
        desired=twin.desired.doc,
        reported=twin.reported.doc,
        delta=twin.delta,
        desired_version=twin.desired.version,
        reported_version=twin.reported.version,
        metadata={
            "desired": metadata(twin.desired.doc, twin.desired.times),
            "reported": metadata(twin.reported.doc, twin.reported.times),
        },
        last_updated=max(times, default=None),
    )


def registered(device: Device | None) -> Device:
    """The record of a device.

    Raises:
        NotFound: there is none.
    """
    if device is None:
        raise NotFound(Reason.UNKNOWN_DEVICE)
    return device


def _half(kept: Kept[Half] | None) -> Half:
    return _UNWRITTEN if kept is None else kept.value
