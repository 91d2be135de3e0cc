"""Operations over several records, carried out so that a crash leaves none of them half done.

``perform`` writes the intent, takes the records, decides and does the steps.
What it leaves behind when it is cut short is finished or undone by ``settled``
(where a call meets it) and by ``finish_intents`` (a timer).

Writes     intents, devices, names, and what the operations themselves write
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from random import sample

from pydantic_core import to_jsonable_python

from functions.domain.audit import Agent, entry
from functions.domain.callers import parse_caller
from functions.domain.devices import Device
from functions.domain.faults import Conflict, Fault, Unavailable
from functions.domain.intents import PLACES, Intent, Operation, Phase, is_left, key_in, place_of, what_changed
from functions.handlers import changing, retiring, swapping
from functions.handlers.auditing import record_all
from functions.handlers.locking import BUSY, unlock
from functions.handlers.names import release_role
from functions.handlers.rewriting import value_of
from functions.ports import Hub
from functions.storage import Kept

_ENTRY_DIGITS = 16
# An operation is prepared for a few milliseconds; one that crashed meanwhile is left as it is for longer than a call.
_WAIT_SECONDS = 0.02
_WAITS = 25


@dataclass(frozen=True, slots=True)
class _Steps:
    """What an operation does: ``prepare`` takes its records and gives the intent that says all, ``finish`` the rest."""

    prepare: Callable[[Hub, str, Intent], Awaitable[Intent]]
    finish: Callable[[Hub, str, Intent], Awaitable[None]]


_STEPS: Mapping[Operation, _Steps] = {
    Operation.CHANGE: _Steps(changing.prepare, changing.finish),
    Operation.RETIRE: _Steps(retiring.prepare, retiring.finish),
    Operation.SWAP: _Steps(swapping.prepare, swapping.finish),
}


async def perform(hub: Hub, intent: Intent) -> Intent:
    """Carry an operation out, whole or not at all; the intent as it was decided.

    Raises:
        Fault: why it cannot be; then nothing is changed.
        Unavailable: another operation came first, or the storage failed: then
            it may be done, and a timer finishes or undoes it.
    """
    intent, revision = await _begin(hub, intent)
    try:
        prepared = await _STEPS[intent.operation].prepare(hub, intent.key, intent)
    except Fault:
        # The first fault is what the caller must know; what this leaves, the timer undoes.
        with suppress(Conflict, Unavailable):
            await _abandon(hub, intent)
        raise
    decided = replace(prepared, phase=Phase.DECIDED)
    try:
        await hub.intents.replace(place_of(intent.key), decided, expect=revision)
    except Conflict as lost:
        # Taken for one that was left, or pushed aside by the device's retirement.
        await _abandon(hub, intent)
        raise Unavailable(detail=BUSY) from lost
    await _finish(hub, decided)
    return decided


async def settled(hub: Hub, device: str, *, at_once: bool = False) -> Kept[Device] | None:
    """The record of a device that no operation has to itself; None if there is none.

    An operation that is decided is finished first, one that was left is
    undone, and one that is being prepared is waited for, half a second at
    most; ``at_once`` has it undone instead.

    Raises:
        Unavailable: one operation follows the other.
    """
    for _ in range(_WAITS):
        kept = await hub.devices.get(device)
        if kept is None or kept.value.intent is None:
            return kept
        key = kept.value.intent
        intent = value_of(await _read(hub, key))
        if intent is None:
            # Over, and its mark came after its end: nobody will take it away.
            await unlock(hub, key, device)
        elif at_once or is_left(intent, hub.clock.now()):
            await _settle(hub, intent)
        else:
            await asyncio.sleep(_WAIT_SECONDS)
    raise Unavailable(detail=BUSY)


async def finish_intents(hub: Hub) -> None:
    """Finish or undo every operation that was left; for a timer, in as many processes as there are.

    Raises:
        Unavailable: the storage; what is left is done the next time.
    """
    now = hub.clock.now()
    # Read to the end first: what is done to an intent changes the store.
    left = [kept.value async for _, kept in hub.intents.entries() if is_left(kept.value, now)]
    failed: Fault | None = None
    for intent in left:
        try:
            await _settle(hub, intent)
        except Fault as fault:
            # The others shall not wait for it.
            failed = fault
    if failed is not None:
        raise failed


async def _begin(hub: Hub, intent: Intent) -> tuple[Intent, int]:
    """Write an intent where there is place for it; with its key, and the revision it has."""
    lost: Conflict | None = None
    # Every one of them, the last free place too: each that is taken costs a millisecond.
    for place in sample(range(PLACES), PLACES):
        begun = replace(intent, key=key_in(place, secrets.token_hex(16)))
        try:
            return begun, await hub.intents.create(place_of(begun.key), begun)
        except Conflict as conflict:
            lost = conflict
    raise Unavailable(detail="Too many operations are under way. Try again in a moment.") from lost


async def _read(hub: Hub, key: str) -> Kept[Intent] | None:
    """The intent of an operation; None if that is over."""
    kept = await hub.intents.get(place_of(key))
    return kept if kept is not None and kept.value.key == key else None


async def _settle(hub: Hub, intent: Intent) -> None:
    if intent.phase is Phase.DECIDED:
        await _finish(hub, intent)
    else:
        await _abandon(hub, intent)


async def _finish(hub: Hub, intent: Intent) -> None:
    await _STEPS[intent.operation].finish(hub, intent.key, intent)
    await _record(hub, intent)
    await _forget(hub, intent.key)


async def _record(hub: Hub, intent: Intent) -> None:
    """Write down what was done, in the name of who wanted it; who does the same steps writes the same entry."""
    assert intent.before is not None
    action, before, after = what_changed(intent)
    if before == after:
        return
    doer = Agent(parse_caller(intent.by), intent.call, intent.origin)
    made = entry(
        doer,
        action,
        intent.device,
        at=intent.at,
        random=intent.key[-_ENTRY_DIGITS:],
        before=to_jsonable_python(before),
        after=to_jsonable_python(after),
    )
    await record_all(hub, [made])


async def _abandon(hub: Hub, intent: Intent) -> None:
    """Undo what is not decided; if it was decided meanwhile, it stays so."""
    while (kept := await _read(hub, intent.key)) is not None and kept.value.phase is not Phase.ABANDONED:
        if kept.value.phase is Phase.DECIDED:
            return
        with suppress(Conflict):
            abandoned = replace(kept.value, phase=Phase.ABANDONED)
            await hub.intents.replace(place_of(intent.key), abandoned, expect=kept.revision)
    # Also where the intent is gone: its records may have been taken after its end.
    for device in intent.devices:
        await unlock(hub, intent.key, device)
    if intent.patch is not None and intent.patch.role:
        await release_role(hub, intent.patch.role, intent.device)
    await _forget(hub, intent.key)


async def _forget(hub: Hub, key: str) -> None:
    kept = await _read(hub, key)
    if kept is None:
        return
    # Whoever did the same was first.
    with suppress(Conflict):
        await hub.intents.remove(place_of(key), expect=kept.revision)
