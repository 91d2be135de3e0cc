"""What is recorded: an entry with the call's own facts, told once it is kept."""

from dataclasses import dataclass
from datetime import UTC, datetime

from functions.contract.messages import Nothing
from functions.handlers.auditing import make, record, record_all, timer
from functions.testing import START, call, memory_hub


@dataclass(frozen=True)
class Thing:
    at: datetime
    names: tuple[str, ...]


async def test_an_act_is_recorded_with_the_facts_of_its_call() -> None:
    hub = memory_hub()
    asked = call(Nothing(), caller="user:anna", origin="http:192.0.2.7")

    await record(hub, asked, "device.suspended", "EDGB-0001", before={"n": 1}, after=Thing(START, ("a",)))

    (entry,) = hub.audit.written
    assert (entry.actor, entry.origin, entry.call, entry.at) == ("user:anna", "http:192.0.2.7", "test-call", START)
    assert (entry.action, entry.kind, entry.target) == ("device.suspended", "device", "EDGB-0001")
    assert (entry.before, entry.after) == ({"n": 1}, {"at": "2035-01-01T12:00:00Z", "names": ["a"]})


async def test_an_entry_is_told_without_what_it_holds() -> None:
    hub = memory_hub()

    await record(hub, timer(), "certificate.revoked", "ab12", kind="certificate", before={"n": 1})

    (told,) = hub.events.on("devicehub.audit.recorded")
    assert (told.action, told.actor, told.origin, told.target) == ("certificate.revoked", "system:timer", "hub", "ab12")
    assert set(told.model_dump()) == {"id", "at", "action", "actor", "origin", "kind", "target"}


async def test_nothing_is_recorded_for_nothing() -> None:
    hub = memory_hub()

    await record_all(hub, [])

    assert hub.audit.written == []
    assert hub.events.sent == []


async def test_every_entry_is_of_its_own() -> None:
    hub = memory_hub()
    asked = call(Nothing())

    assert make(hub, asked, "a.b", "x").id != make(hub, asked, "a.b", "x").id
    assert make(hub, asked, "a.b", "x").at.tzinfo is UTC
