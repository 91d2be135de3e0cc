"""Presence: who is connected, by the lines of the brokers' connect logs.

Subjects   devicehub.broker.sessions.opened, .closed, .list, devicehub.broker.restarted,
           devicehub.registry.devices.<device>.connections
Writes     sessions, presence, queued, flapping, restarts
Publishes  devicehub.devices.<device>.presence, .twin.update.delta, devicehub.broker.changed

A session is whose its certificate says. Only a session whose client id is
that name makes a device present: another one is no device's own, and the
broker's keeper ends it.

Lines may come late or twice, from several brokers, and the log knows whole
seconds only. So all times here are cut to them; a line gives way to what is
newer, and of two in one second the one that comes later holds. One broker's
lines must therefore be told one after the other.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TypeVar

from functions.contract.messages import (
    BrokerChanged,
    BrokerName,
    BrokerRestarted,
    ConnectionFact,
    ConnectionList,
    Done,
    Nothing,
    PresenceChanged,
    SessionClosed,
    SessionFact,
    SessionList,
    SessionOpened,
)
from functions.contract.subjects import subject
from functions.domain import presence as rules
from functions.domain.devices import Lifecycle
from functions.domain.enrolment import CLAIM_LIFETIME
from functions.domain.faults import Conflict, Denied, NotFound, Reason
from functions.domain.inventory import status_of
from functions.domain.names import CLAIM_PREFIX, DeviceId, is_device_id, is_token
from functions.domain.presence import RESTARTED, BrokerRestart, Flapping
from functions.domain.sessions import Presence, Session, follow
from functions.handlers.methods import deliver_queued
from functions.handlers.rewriting import rewrite
from functions.handlers.twins import publish_open_delta
from functions.ports import Call, Hub
from functions.storage import Kept, Store

T = TypeVar("T")

# Sessions of a restarted broker that are ended at once: enough to keep the
# storage busy (it syncs some fifty writes together), few enough to leave room.
_AT_ONCE = 50


async def opened(call: Call[SessionOpened], hub: Hub) -> Done:
    """Keep a session that was opened; its device is online, and is told its open delta.

    A session that took over a device's client id with another certificate
    ends that device's own: the broker writes no line of its end.

    Raises:
        Denied: a claim certificate's session has the id of a device that has
            joined already; its keeper ends it.
    """
    line = call.body
    session = Session(line.client_id, line.common_name, line.address, _second(line.at), line.broker)
    now = _second(hub.clock.now())
    await _refuse_claimer(session, hub)
    if _is_devices_own(session) and _ended(await hub.presence.get(session.common_name), session, now):
        return Done()
    written = await rewrite(
        hub.sessions,
        _key(line.broker, line.client_id),
        lambda kept: follow(kept, session, now),
    )
    if (written.value.since, written.value.address) != (session.since, session.address):
        return Done()
    replaced = written.before
    if replaced is not None and replaced.common_name != session.common_name:
        await _leave(replaced, "replaced", session.since, hub)
    if _is_devices_own(session):
        await _come(session, hub)
    return Done()


async def closed(call: Call[SessionClosed], hub: Hub) -> Done:
    """Forget a session that was closed; its device is offline, unless it has come back since."""
    line, at = call.body, _second(call.body.at)
    key, now = _key(line.broker, line.client_id), _second(hub.clock.now())
    await _end(key, lambda kept: kept.value.since <= at or kept.value.since > now, line.evidence, at, hub)
    return Done()


async def sessions(call: Call[BrokerName], hub: Hub) -> SessionList:
    """Every session of a broker that is open by its log, for a keeper that starts."""
    found = [session async for _, session in _of_broker(call.body.broker, hub)]
    return SessionList(
        sessions=[
            SessionFact(
                client_id=kept.value.client_id,
                common_name=kept.value.common_name,
                address=kept.value.address,
                since=kept.value.since,
            )
            for kept in found
        ]
    )


async def broker_restarted(call: Call[BrokerRestarted], hub: Hub) -> Done:
    """End every session from before a broker's start; safe to repeat, for an ended session is gone.

    That is one event, of the broker: of its devices only those are told which
    have not come back a minute later.

    A session that was opened in the second of the start may be either's: it
    is an old one if the hub knew it before the start.
    """
    at, second = call.body.at, _second(call.body.at)
    broker, now = call.body.broker, _second(hub.clock.now())

    def is_old(kept: Kept[Session]) -> bool:
        since = kept.value.since
        return since < second or since > now or (since == second and kept.at < at)

    if is_token(broker):
        await rewrite(hub.restarts, broker, lambda kept: BrokerRestart(second))
    old = [key async for key, kept in _of_broker(call.body.broker, hub) if is_old(kept)]
    for begin in range(0, len(old), _AT_ONCE):
        ends = (_end(key, is_old, RESTARTED, second, hub) for key in old[begin : begin + _AT_ONCE])
        await asyncio.gather(*ends)
    if old:
        told = BrokerChanged(broker=broker, change="restarted", sessions=len(old), timestamp=second)
        await hub.events.publish(subject("broker", "changed"), told)
    return Done()


async def connections(call: Call[Nothing], hub: Hub) -> ConnectionList:
    """A device's connections, the newest first, as far as its last 32 comings and goings tell.

    Raises:
        NotFound: no such device.
    """
    if await hub.devices.get(call.device) is None:
        raise NotFound(Reason.UNKNOWN_DEVICE)
    kept = await hub.presence.history(call.device)
    return ConnectionList(
        connections=[
            ConnectionFact(
                connected_at=one.since, disconnected_at=one.until, address=one.address or None, evidence=one.evidence
            )
            for one in rules.connections([one.value for one in kept])
        ]
    )


async def settle_presence(hub: Hub) -> None:
    """Tell what was kept back: of devices that were flapping, and of those a broker's restart has lost; for a timer."""
    now = hub.clock.now()
    flapping = [key async for key, _ in hub.flapping.entries()]
    for device in flapping:
        presence, mark = await hub.presence.get(device), await hub.flapping.get(device)
        if mark is not None and (presence is None or rules.is_calm(presence.value, now)):
            await _let_go(hub.flapping, device, mark)
            if presence is not None:
                await _publish(DeviceId(device), presence.value, hub)
    due = [(key, kept) async for key, kept in hub.restarts.entries() if not _is_fresh(kept.value.at, now)]
    for broker, restart in due:
        if not await _let_go(hub.restarts, broker, restart):
            # Another worker tells.
            continue
        async for device, kept in hub.presence.entries():
            if rules.lost(kept.value, restart.value):
                await tell(DeviceId(device), kept.value, hub)


async def _end(key: str, is_over: Callable[[Kept[Session]], bool], evidence: str, at: datetime, hub: Hub) -> None:
    """Remove a session if it is over.

    The device leaves first: if the hub dies in between, the session is still
    there for the same line to be told again.
    """
    while (kept := await hub.sessions.get(key)) is not None and is_over(kept):
        await _leave(kept.value, evidence, at, hub)
        try:
            await hub.sessions.remove(key, expect=kept.revision)
        except Conflict:
            # Opened again meanwhile: the new one is looked at for itself.
            continue
        return


async def _refuse_claimer(session: Session, hub: Hub) -> None:
    """Refuse a claim certificate under a device's id, but for the time in which that device may still be joining.

    A device that joins in one round does so under its own id, and asks again
    over a new session when the answer to its first request was lost.
    """
    if not session.common_name.startswith(CLAIM_PREFIX) or not is_device_id(session.client_id):
        return
    record = await hub.devices.get(session.client_id)
    if record is not None and record.value.created_at + CLAIM_LIFETIME <= session.since:
        raise Denied(detail="A claim certificate has no business under the id of a device that has joined.")


async def _come(session: Session, hub: Hub) -> None:
    device, now = DeviceId(session.common_name), _second(hub.clock.now())
    record = await hub.devices.get(device)
    if record is None:
        return
    online = Presence(True, session.since, "connected", session.address)
    written = await rewrite(
        hub.presence,
        device,
        lambda kept: rules.turned(kept, online) if kept is None or rules.gives_way(kept, online.at, now) else kept,
    )
    if written.value != online:
        return
    if rules.is_news(written.before, written.value):
        await tell(device, written.value, hub)
    if record.value.lifecycle is Lifecycle.ACTIVE:
        await publish_open_delta(device, hub)
        await deliver_queued(device, hub)


async def _leave(session: Session, evidence: str, at: datetime, hub: Hub) -> None:
    """A device is offline when the session ends by which it is online; one through another broker may live."""
    if not _is_devices_own(session):
        return
    kept = await hub.presence.get(session.common_name)
    if kept is None or not rules.is_by(kept.value, session):
        return
    offline = Presence(False, at, evidence, session.address)
    written = await rewrite(
        hub.presence,
        session.common_name,
        lambda kept: rules.turned(kept, offline) if kept is None or rules.is_by(kept, session) else kept,
    )
    if written.changed and written.value == offline and rules.is_news(written.before, written.value):
        await tell(DeviceId(session.common_name), written.value, hub)


async def tell(device: DeviceId, presence: Presence, hub: Hub) -> None:
    """Tell that a device came or went; of one that does so all the time, only that it does."""
    if not rules.is_flapping(presence):
        await _publish(device, presence, hub)
        return
    with suppress(Conflict):
        await hub.flapping.create(device, Flapping(presence.at))
        await _publish(device, presence, hub, flapping=True)


async def _publish(device: DeviceId, presence: Presence, hub: Hub, *, flapping: bool = False) -> None:
    changed = PresenceChanged(
        device_id=device,
        online=presence.online and presence.unknown_since is None,
        status=status_of(presence).value,
        evidence=presence.evidence,
        timestamp=presence.unknown_since or presence.at,
        **({"flapping": True} if flapping else {}),
    )
    await hub.events.publish(subject("devices", device, "presence"), changed)


async def _let_go(store: Store[T], key: str, kept: Kept[T]) -> bool:
    """Remove what is to be told, so that it is told once; False if another did."""
    try:
        await store.remove(key, expect=kept.revision)
    except Conflict:
        return False
    return True


def _is_fresh(at: datetime, now: datetime) -> bool:
    return timedelta() <= now - at < rules.RETURNS_WITHIN


async def _of_broker(broker: str, hub: Hub) -> AsyncIterator[tuple[str, Kept[Session]]]:
    async for key, kept in hub.sessions.entries():
        if kept.value.broker == broker:
            yield key, kept


def _ended(kept: Kept[Presence] | None, session: Session, now: datetime) -> bool:
    """Whether the end of this very session was told already: it alone had this address then."""
    if kept is None or kept.value.online:
        return False
    return kept.value.address == session.address and session.since <= kept.value.at <= now


def _is_devices_own(session: Session) -> bool:
    return session.client_id == session.common_name and is_device_id(session.common_name)


def _second(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def _key(broker: str, client_id: str) -> str:
    # Client ids are free text of any length; a NUL can be in none of them.
    return sha256(f"{broker}\0{client_id}".encode()).hexdigest()[:40]
