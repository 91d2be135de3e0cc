"""Every function that changes something for somebody writes to the audit trail: the route table is walked.

A new route must be named here: with an act that changes something, or among
those that need no entry, with the reason.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from argon2 import PasswordHasher

from functions.adapters.audit import TinyAudit
from functions.adapters.authority import LocalAuthority
from functions.adapters.hasher import HmacHasher
from functions.adapters.roots import make_root
from functions.domain.alarms import Alarm, Severity
from functions.domain.audit import AuditEntry
from functions.domain.ca import trust_alone
from functions.domain.certificates import Certificate, Purpose
from functions.domain.devices import Device
from functions.domain.enrolment import Claim, Enrolment
from functions.domain.jobs import Asker, Item, ItemState, Job, JobKind, JobState, Part
from functions.domain.logins import SetupCode, UserSession, code_digest
from functions.domain.roles import UserRole
from functions.domain.sessions import Presence
from functions.domain.users import User
from functions.handlers.pledging import Pledges
from functions.route import Route
from functions.routes import ROUTES
from functions.runtime.calls import Reply, answer
from functions.testing import SECRET, START, MemoryHub, SettableClock, make_host, memory_hub
from tests.unit.handlers.onboarding import csr

STAFF = "user:anna"

READS = "it changes nothing"
TOLD = "a device's own word, of which the hub keeps the history elsewhere"
KEPT = "what was measured is kept itself, with who told it"
FACTS = "what the hub's own parts observe; it is nobody's act"

# By the subject in the table.
NEED_NONE = {
    "devices.*.twin.get": READS,
    "devices.*.twin.update": TOLD,
    "devices.*.telemetry": TOLD,
    "devices.*.events.*": TOLD,
    "devices.*.messages.events": TOLD,
    "devices.*.heartbeat": TOLD,
    "devices.*.status": TOLD,
    "twins.*.get": READS,
    "twins.*.history": READS,
    "twins.*.at": READS,
    "twins.*.compare": READS,
    "registry.query": READS,
    "local.devices.query": READS,
    "local.devices.*.get": READS,
    "local.twins.*.get": READS,
    "registry.export": READS,
    "twins.export": READS,
    "registry.stats": READS,
    "registry.facets": READS,
    "registry.ids": READS,
    "jobs.list": READS,
    "jobs.*.get": READS,
    "live.status.follow": READS,
    "live.jobs.follow": READS,
    "live.swap.follow": READS,
    "live.presence.follow": READS,
    "live.devices.follow": READS,
    "live.alarms.follow": READS,
    "live.certificates.follow": READS,
    "live.onboarding.follow": READS,
    "live.audit.follow": READS,
    "live.twin.follow": READS,
    "live.telemetry.follow": READS,
    "live.events.follow": READS,
    "registry.groups.list": READS,
    "registry.devices.*.get": READS,
    "registry.devices.*.connections": READS,
    "certificates.query": READS,
    "certificates.*.get": READS,
    "crl.get": READS,
    "enrolment.get": READS,
    "settings.server.get": READS,
    "whitelist.list": READS,
    "claims.list": READS,
    "claims.get": READS,
    "tokens.list": READS,
    "credentials.list": READS,
    "audit.query": READS,
    "telemetry.query": READS,
    "telemetry.export": READS,
    "telemetry.*.latest": READS,
    "telemetry.report": KEPT,
    "events.query": READS,
    "services.list": READS,
    "services.get": READS,
    "logs.read": READS,
    "logs.follow": READS,
    "live.services.follow": READS,
    "metrics.get": READS,
    "metrics.history": READS,
    "live.metrics.follow": READS,
    "checks.list": READS,
    "alarms.list": READS,
    "alarms.raise": FACTS,
    "alarms.clear": FACTS,
    "tokens.prove": FACTS,
    "setup.get": READS,
    "sessions.prove": FACTS,
    "sessions.list": READS,
    "users.list": READS,
    "audit.export": READS,
    "audit.refused": FACTS,
    "broker.access.get": FACTS,
    "broker.sessions.opened": FACTS,
    "broker.sessions.closed": FACTS,
    "broker.sessions.list": READS,
    "broker.restarted": FACTS,
    "broker.bridges.start": FACTS,
    "broker.certificate.sign": FACTS,
    "broker.trust.taken": FACTS,
    "ca.get": READS,
}

# Their entry is pledged by the change itself, so that it follows whatever becomes of the process.
PLEDGED = (
    "registry.groups.create",
    "registry.groups.*.update",
    "registry.groups.*.delete",
    "enrolment.open",
    "enrolment.close",
    "enrolment.enforce",
    "enrolment.change",
    "whitelist.create",
    "whitelist.entries.*.update",
    "whitelist.entries.*.remove",
    "settings.server.change",
    "claims.issue",
    "claims.create",
    "alarms.*.ack",
    "ca.create",
    "ca.import",
    "setup.open",
    "setup.complete",
    "sessions.*.end",
    "users.create",
    "users.*.update",
    "users.*.delete",
    "users.change-password",
    "credentials.create",
    "credentials.revoke",
    "tokens.create",
    "tokens.revoke",
)

# Each time that a private key leaves the hub, or a device is asked to do something, is an act of its own.
EVERY_TIME = (
    "claims.bundle",
    "enrolment.files",
    "devices.*.methods.*.call",
    "devices.*.messages.send",
    "jobs.create.methods",
    "jobs.create.twins",
    "jobs.create.tags",
    "jobs.*.retry",
    "setup.open",
    "sessions.create",
    "services.start",
    "services.stop",
    "services.restart",
)


@dataclass(frozen=True)
class Call:
    """A call of a function: its subject below the root, its body (made when needed), who calls."""

    subject: str
    body: Callable[[], dict[str, Any]] = dict
    caller: str = STAFF


def _csr(name: str) -> Callable[[], dict[str, Any]]:
    return lambda: {"csrPem": csr(name)}


def _body(**values: Any) -> Callable[[], dict[str, Any]]:
    return lambda: values


@dataclass(frozen=True)
class Act:
    """A call that changes something, what must come before it, and what its last entry says was done to what."""

    call: Call
    action: str
    target: str
    before: tuple[Call, ...] = ()


# Made now, and so valid at the hub's time too.
ROOT = make_root()
AUTHORITY = LocalAuthority(*ROOT, SettableClock())
OTHER_CA = make_root()
OPEN = Call("enrolment.open")
SERIAL = "ab12"
ALARM = Alarm("clock-skew", "the broker", Severity.WARNING, "", START, START)
END = START + timedelta(days=1)
# In the place of a target that is drawn at random.
ANY = ""
RUNNING = Job("0a-01", JobKind.TWINS, {"desired": {}}, 1, Asker("user:bert", "c", "cli"), START)
OVER = replace(RUNNING, id="0a-02", state=JobState.DONE, finished_at=START)
FAILED = Part((Item("pump-0001", ItemState.FAILED, "timeout"),))
RENEWED = Certificate(
    "cd34", Purpose.DEVICE, "pump-0002", "f2", START, END, START, "renewal", "device:pump-0002", "0", "PEM"
)
RENEWAL = Claim("", "pump-0002", "device:pump-0002", END, "0", "cd34", ("cd12",))
GROUP = Call("registry.groups.create", _body(group="north"))
SUSPEND = Call("registry.devices.pump-0001.suspend")
ENTRY = Call("whitelist.create", _body(uuid="board-0001", note="lot 7"))
BOARD = HmacHasher(SECRET).hash("board-0001")
TOKEN = Call("tokens.create", _body(name="dashboard", scopes=["devices:read"]))
PASSWORD = "correct horse battery"
CODE = "0123-4567-89AB-CDEF"
SESSION_ID = "ab" * 16
HASHED = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
ANNA = User("anna", UserRole.ADMIN, HASHED, "s1", START, START)
# A hub that nobody was signed in to yet.
NOBODY = Call("users.anna.delete", caller="nobody")
KEYED = Call(
    "credentials.create",
    _body(
        name="reports",
        publicKey="UBBLPB67FIKPE6N4DBRFLRAYCMT22GY566EN4NFPJDPIHAPOBBVVHZYM",
        scopes=["devices:read"],
        groups=["north"],
    ),
)
ISSUE = Call("claims.issue", _body(name="fleet"))
CLAIM = Call("claims.create", lambda: {"name": "fleet", "csrPem": csr("fleet")})

ACTS = {
    "certificates.create-from-csr": Act(
        Call("certificates.create-from-csr", _csr("pump-0007"), "claim:fleet"),
        "onboarding.accepted",
        "pump-0007",
        (OPEN, CLAIM),
    ),
    "devices.*.provision.request": Act(
        Call("devices.pump-0007.provision.request", _csr("pump-0007"), "claim:fleet"),
        "onboarding.accepted",
        "pump-0007",
        (OPEN, CLAIM),
    ),
    "devices.*.certificates.renew": Act(
        Call("devices.pump-0002.certificates.renew", _csr("pump-0002"), "device:pump-0002"),
        "device.renewed",
        "pump-0002",
    ),
    "devices.*.certificates.renew.confirm": Act(
        Call("devices.pump-0002.certificates.renew.confirm", _body(certificateId=RENEWED.serial), "device:pump-0002"),
        "device.renewal-confirmed",
        "pump-0002",
    ),
    "local.twins.*.desire": Act(
        Call("local.twins.pump-0001.desire", _body(desired={"led": "on"}), "system:dbus/1000"),
        "twin.desired",
        "pump-0001",
    ),
    "twins.*.desire": Act(
        Call("twins.pump-0001.desire", _body(desired={"led": "on"}), "app:dashboard"), "twin.desired", "pump-0001"
    ),
    "devices.*.methods.*.call": Act(
        Call("devices.pump-0001.methods.reboot.call", _body(payload=1)), "method.called", "pump-0001"
    ),
    "services.start": Act(Call("services.start", _body(unit="bridge")), "service.started", "bridge"),
    "services.stop": Act(Call("services.stop", _body(unit="bridge")), "service.stopped", "bridge"),
    "services.restart": Act(Call("services.restart", _body(unit="bridge")), "service.restarted", "bridge"),
    "devices.*.messages.send": Act(
        Call("devices.pump-0001.messages.send", _body(payload=1)), "message.sent", "pump-0001"
    ),
    "registry.devices.*.create": Act(
        Call("registry.devices.pump-0007.create", _csr("pump-0007")), "device.created", "pump-0007"
    ),
    "registry.import": Act(
        Call("registry.import", _body(devices=[{"deviceId": "pump-0009"}])), "device.imported", "pump-0009"
    ),
    "registry.devices.*.update": Act(
        Call("registry.devices.pump-0001.update", _body(notes="behind the door")), "device.changed", "pump-0001"
    ),
    "registry.devices.*.retire": Act(Call("registry.devices.pump-0001.retire"), "device.retired", "pump-0001"),
    "registry.devices.*.revoke": Act(Call("registry.devices.pump-0001.revoke"), "device.retired", "pump-0001"),
    "registry.devices.*.swap": Act(
        Call("registry.devices.pump-0001.swap", _body(replacement="pump-0002")), "device.swapped", "pump-0001"
    ),
    "registry.devices.*.suspend": Act(SUSPEND, "device.suspended", "pump-0001"),
    "registry.devices.*.resume": Act(
        Call("registry.devices.pump-0001.resume"), "device.resumed", "pump-0001", (SUSPEND,)
    ),
    "registry.groups.create": Act(GROUP, "group.created", "north"),
    "registry.groups.*.update": Act(
        Call("registry.groups.north.update", _body(query="tag:site=A")), "group.changed", "north", (GROUP,)
    ),
    "registry.groups.*.delete": Act(Call("registry.groups.north.delete"), "group.deleted", "north", (GROUP,)),
    "certificates.*.revoke": Act(Call(f"certificates.{SERIAL}.revoke"), "certificate.revoked", SERIAL),
    "jobs.create.methods": Act(
        Call("jobs.create.methods", _body(devices=["pump-0001"], method="reboot")), "job.created", ANY
    ),
    "jobs.create.twins": Act(Call("jobs.create.twins", _body(q="", desired={"led": "on"})), "job.created", ANY),
    "jobs.create.tags": Act(Call("jobs.create.tags", _body(q="", tags={"site": "A"})), "job.created", ANY),
    "jobs.*.cancel": Act(Call(f"jobs.{RUNNING.id}.cancel"), "job.cancelled", RUNNING.id),
    "jobs.*.retry": Act(Call(f"jobs.{OVER.id}.retry"), "job.retried", OVER.id),
    "enrolment.open": Act(OPEN, "enrolment.opened", "enrolment"),
    "enrolment.close": Act(Call("enrolment.close"), "enrolment.closed", "enrolment", (OPEN,)),
    "enrolment.enforce": Act(Call("enrolment.enforce", _body(enforced=True)), "enrolment.changed", "enrolment"),
    "whitelist.create": Act(ENTRY, "whitelist.added", BOARD),
    "whitelist.batch": Act(Call("whitelist.batch", _body(lines=[["board-2"], ["board-3"]])), "whitelist.added", "-"),
    "whitelist.entries.*.update": Act(
        Call(f"whitelist.entries.{BOARD}.update", _body(disabled=True)), "whitelist.changed", BOARD, (ENTRY,)
    ),
    "whitelist.entries.*.remove": Act(Call(f"whitelist.entries.{BOARD}.remove"), "whitelist.removed", BOARD, (ENTRY,)),
    "enrolment.change": Act(Call("enrolment.change", _body(isOpen=True)), "enrolment.changed", "enrolment"),
    "settings.server.change": Act(Call("settings.server.change", _body(deviceDays=30)), "settings.changed", "server"),
    "registry.create": Act(Call("registry.create", _body(deviceId="pump-0007")), "device.created", "pump-0007"),
    "claims.issue": Act(Call("claims.issue", _body(name="fleet")), "claim.created", "fleet"),
    "claims.create": Act(CLAIM, "claim.created", "fleet"),
    "claims.revoke": Act(Call("claims.revoke", _body(name="fleet")), "claim.revoked", "fleet", (CLAIM,)),
    "claims.bundle": Act(Call("claims.bundle", _body(name="fleet")), "claim.key-given", "fleet", (ISSUE,)),
    "enrolment.files": Act(
        Call("enrolment.files", _body(name="provisioning.key"), "system:gateway"),
        "onboarding.key-given",
        "fleet",
        (ISSUE, Call("enrolment.open", _body(minutes=5, serveFiles="fleet"))),
    ),
    "alarms.*.ack": Act(Call(f"alarms.{ALARM.id}.ack"), "alarm.acknowledged", ALARM.id),
    "ca.create": Act(Call("ca.create", lambda: {"replaces": AUTHORITY.active.fingerprint}), "ca.replaced", "-"),
    "ca.import": Act(Call("ca.import", _body(chainPem=OTHER_CA[0], keyPem=OTHER_CA[1])), "ca.replaced", "-"),
    "setup.open": Act(Call("setup.open", caller="system:cli"), "setup.opened", "setup", (NOBODY,)),
    "setup.complete": Act(
        Call("setup.complete", _body(code=CODE, name="bert", password=PASSWORD), "system:gateway"),
        "user.created",
        "bert",
        (NOBODY,),
    ),
    "sessions.create": Act(
        Call("sessions.create", _body(user="Anna", password=PASSWORD), "system:gateway"), "user.signed-in", "anna"
    ),
    "sessions.*.end": Act(Call(f"sessions.{SESSION_ID}.end"), "session.ended", SESSION_ID),
    "users.create": Act(
        Call("users.create", _body(name="bert", role="viewer", password=PASSWORD)), "user.created", "bert"
    ),
    "users.*.update": Act(Call("users.carl.update", _body(role="admin")), "user.changed", "carl"),
    "users.*.delete": Act(Call("users.carl.delete"), "user.deleted", "carl"),
    "users.change-password": Act(
        Call("users.change-password", _body(currentPassword=PASSWORD, newPassword="another long one")),
        "user.changed",
        "anna",
    ),
    "credentials.create": Act(KEYED, "credentials.created", "reports"),
    "credentials.revoke": Act(
        Call("credentials.revoke", _body(name="reports")), "credentials.revoked", "reports", (KEYED,)
    ),
    "tokens.create": Act(TOKEN, "token.created", "dashboard"),
    "tokens.revoke": Act(Call("tokens.revoke", _body(name="dashboard")), "token.revoked", "dashboard", (TOKEN,)),
}


def _hub() -> MemoryHub:
    old = Certificate(
        SERIAL, Purpose.DEVICE, "pump-0001", "f1", START, END, START, "provision", "claim:fleet", "0", "PEM"
    )
    hub = memory_hub(
        alarms={ALARM.id: ALARM},
        jobs={RUNNING.id: RUNNING, OVER.id: OVER},
        job_parts={f"{RUNNING.id}-0": Part((Item("pump-0001"),)), f"{OVER.id}-0": FAILED},
        devices={
            "pump-0001": Device("pump-0001", START, START),
            "pump-0002": Device("pump-0002", START, START, certificate=RENEWED.serial),
        },
        certificates={SERIAL: old, RENEWED.serial: RENEWED},
        renewals={"pump-0002": RENEWAL},
        users={"anna": ANNA, "carl": replace(ANNA, name="carl", role=UserRole.OPERATOR)},
        user_sessions={SESSION_ID: UserSession("anna", "s1", START, START, "http:192.0.2.7")},
        setup_codes={"setup": SetupCode(code_digest(CODE), END)},
        presence={"pump-0001": Presence(True, START, "connected")},
        enrolment={"enrolment": Enrolment(is_open=False)},
        # The certificate above is of an older CA: this one can still be replaced.
        authority=LocalAuthority(*ROOT, SettableClock()),
        trust={"trust": trust_alone(AUTHORITY.active, at=START, by="system:hub")},
    )
    hub.hosts.here["hub-1"] = make_host("hub-1", "bridge")
    return hub


def _route(subject: str) -> Route:
    tokens = subject.split(".")
    for route in ROUTES:
        wanted = route.subject.split(".")
        if len(wanted) == len(tokens) and all(want in ("*", has) for want, has in zip(wanted, tokens, strict=True)):
            return route
    raise AssertionError(f"no route serves {subject}")


async def _do(hub: MemoryHub, asked: Call) -> Reply | None:
    if asked is NOBODY:
        for key in ("anna", "carl"):
            await hub.users.remove(key, expect=1)
        return None
    headers = {
        "Hub-Caller": asked.caller,
        "Hub-Call": "c0ffee",
        "Hub-Origin": "http:192.0.2.7",
        "Hub-Scopes": "admin",
        "Hub-Session": f"{int(START.timestamp()) + 1}/192.0.2.7:50001",
    }
    return await answer(_route(asked.subject), hub, f"devicehub.{asked.subject}", orjson.dumps(asked.body()), headers)


async def _before(subject: str) -> MemoryHub:
    """A hub in which all is done that the act of a route needs."""
    hub = _hub()
    for first in ACTS[subject].before:
        await _do(hub, first)
    return hub


async def _done(hub: MemoryHub, asked: Call) -> list[AuditEntry]:
    """What was written of a call that must succeed."""
    known = len(hub.audit.written)
    reply = await _do(hub, asked)
    assert reply is not None
    assert reply.reason is None, reply.body
    return hub.audit.written[known:]


def test_every_function_is_here() -> None:
    known = ACTS.keys() | NEED_NONE.keys()

    assert {route.subject for route in ROUTES} == known, "what changes something has its act, the others say why not"
    assert not ACTS.keys() & NEED_NONE.keys()


@pytest.mark.parametrize("subject", ACTS)
async def test_a_change_is_written_down(subject: str) -> None:
    hub, act = await _before(subject), ACTS[subject]

    entries = await _done(hub, act.call)

    last = entries[-1]
    assert (last.action, last.target) == (act.action, act.target or last.target)
    assert {(one.actor, one.origin, one.call) for one in entries} == {(act.call.caller, "http:192.0.2.7", "c0ffee")}
    assert (last.before, last.after) != (None, None)


def _cut(hub: MemoryHub) -> MemoryHub:
    """The same hub, of a process that is killed before it writes anything down."""
    return replace(hub, audit=_Cut(hub.audit))  # type: ignore[arg-type]


class _KilledError(BaseException):
    """A process ended."""


class _Cut:
    def __init__(self, audit: TinyAudit) -> None:
        self.written = audit.written

    async def append(self, _: Sequence[AuditEntry]) -> None:
        raise _KilledError


@pytest.mark.parametrize("subject", PLEDGED)
async def test_a_change_whose_process_is_killed_is_written_down_by_another(subject: str) -> None:
    whole, hub, act, pledges = await _before(subject), await _before(subject), ACTS[subject], Pledges()
    (wanted,) = [one for one in await _done(whole, act.call) if one.action == act.action]
    known = len(hub.audit.written)

    with pytest.raises(_KilledError):
        await _do(_cut(hub), act.call)
    await pledges.keep(hub)
    assert hub.audit.written[known:] == []
    hub.clock.advance(60)
    await pledges.keep(hub)
    await Pledges().keep(hub)

    (entry,) = hub.audit.written[known:]
    assert (entry.action, entry.actor, entry.origin, entry.call) == (
        wanted.action,
        wanted.actor,
        wanted.origin,
        wanted.call,
    )
    assert act.target in (ANY, entry.target)
    assert (entry.before, entry.after) != (None, None)


@pytest.mark.parametrize("subject", PLEDGED)
async def test_what_is_written_down_is_not_again_by_another(subject: str) -> None:
    hub, act = await _before(subject), ACTS[subject]
    await _done(hub, act.call)
    hub.clock.advance(60)
    known = len(hub.audit.written)

    await Pledges().keep(hub)

    assert hub.audit.written[known:] == []


@pytest.mark.parametrize("subject", sorted(ACTS.keys() - set(EVERY_TIME)))
async def test_a_repeat_that_changes_nothing_is_not(subject: str) -> None:
    hub, act = await _before(subject), ACTS[subject]
    await _done(hub, act.call)
    known = len(hub.audit.written)

    await _do(hub, act.call)

    assert hub.audit.written[known:] == []


@pytest.mark.parametrize("subject", EVERY_TIME)
async def test_what_is_an_act_each_time_is_written_down_again(subject: str) -> None:
    hub, act = await _before(subject), ACTS[subject]
    await _done(hub, act.call)

    (again,) = await _done(hub, act.call)

    assert (again.action, again.target) == (act.action, act.target or again.target)
    assert "PRIVATE KEY" not in repr(hub.audit.written)


async def test_a_certificate_that_a_device_fetches_is_no_secret() -> None:
    hub = _hub()
    for first in ACTS["enrolment.files"].before:
        await _do(hub, first)

    entries = await _done(hub, Call("enrolment.files", _body(name="provisioning.crt"), "system:gateway"))

    assert entries == []


@pytest.mark.parametrize("subject", NEED_NONE)
def test_what_needs_no_entry_says_why(subject: str) -> None:
    assert NEED_NONE[subject] in (READS, TOLD, KEPT, FACTS)
