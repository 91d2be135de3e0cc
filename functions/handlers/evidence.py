"""Presence by other evidence than the broker's log: when that is missing, and when heartbeats stop.

Writes     presence, dark, doubts
Publishes  devicehub.devices.<device>.presence, devicehub.broker.changed

Where nobody can tell who is connected to a broker, its devices are unknown
until something is heard of them, or the log is read again.
"""

from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Literal

from functions.contract.messages import BrokerChanged
from functions.contract.subjects import subject
from functions.domain import presence as rules
from functions.domain.faults import Conflict
from functions.domain.names import DeviceId, is_token
from functions.domain.presence import Darkness, Doubt
from functions.domain.sessions import Session
from functions.handlers.presence import tell
from functions.handlers.rewriting import amend
from functions.ports import Hub
from functions.storage import Kept


async def watch_evidence(hub: Hub) -> None:
    """Look at what bridges told since; for a timer. Several may do it at once: what one has written the others find."""
    for broker, word in hub.heard.brokers().items():
        if not is_token(broker):
            continue
        mark = await hub.dark.get(broker)
        if mark is None and rules.is_dark(word):
            await _darken(broker, hub)
        elif mark is not None and rules.is_light(word):
            await _lighten(broker, mark, hub)
    for device in hub.heard.overdue():
        await _miss(DeviceId(device), hub)
    for device, doubt in [one async for one in hub.doubts.entries()]:
        await _settle(DeviceId(device), doubt, hub)


async def _darken(broker: str, hub: Hub) -> None:
    """Nobody can tell any more: every device that is not known to be elsewhere is unknown, which is one event."""
    now = hub.clock.now()
    with suppress(Conflict):
        await hub.dark.create(broker, Darkness(now))
        elsewhere = {one.common_name for one in await _sessions(hub) if one.broker != broker}
        number = 0
        for device in [key async for key, kept in hub.presence.entries() if kept.value.unknown_since is None]:
            if device not in elsewhere:
                await amend(hub.presence, device, lambda kept: rules.doubted(kept, now))
                await _doubt(device, now, hub)
                number += 1
        await _changed(broker, "unknown", number, now, hub)


async def _lighten(broker: str, mark: Kept[Darkness], hub: Hub) -> None:
    """The log is read again, and all that it tells is known: who has no session is offline."""
    now = hub.clock.now().replace(microsecond=0)
    present = {one.client_id for one in await _sessions(hub) if one.client_id == one.common_name}
    number = 0
    for device in [key async for key, kept in hub.presence.entries() if kept.value.unknown_since is not None]:
        has_session = device in present
        written = await amend(hub.presence, device, partial(rules.known_again, has_session=has_session, now=now))
        if written is not None and written.changed:
            number += 1
            if rules.is_news(written.before, written.value):
                await tell(DeviceId(device), written.value, hub)
    with suppress(Conflict):
        await hub.dark.remove(broker, expect=mark.revision)
        await _changed(broker, "known", number, now, hub)


async def _miss(device: DeviceId, hub: Hub) -> None:
    now = hub.clock.now()
    written = await amend(hub.presence, device, lambda kept: rules.missed(kept, now))
    if written is not None and written.changed:
        await _doubt(device, now, hub)
        if rules.is_news(written.before, written.value):
            await tell(device, written.value, hub)


async def _settle(device: DeviceId, doubt: Kept[Doubt], hub: Hub) -> None:
    evidence = hub.heard.of(device)
    written = await amend(hub.presence, device, lambda kept: rules.heard_again(kept, evidence, doubt.value.since))
    if written is not None and written.changed and rules.is_news(written.before, written.value):
        await tell(device, written.value, hub)
    if written is None or not rules.in_doubt(written.value):
        with suppress(Conflict):
            await hub.doubts.remove(device, expect=doubt.revision)


async def _doubt(device: str, now: datetime, hub: Hub) -> None:
    with suppress(Conflict):
        await hub.doubts.create(device, Doubt(now))


async def _sessions(hub: Hub) -> list[Session]:
    return [kept.value async for _, kept in hub.sessions.entries()]


async def _changed(broker: str, change: Literal["unknown", "known"], number: int, now: datetime, hub: Hub) -> None:
    told = BrokerChanged(broker=broker, change=change, sessions=number, timestamp=now)
    await hub.events.publish(subject("broker", "changed"), told)
