"""Who may call what: every route with every kind of caller and every scope."""

import json
from itertools import combinations

import pytest

from functions.contract.messages import Done, Nothing
from functions.domain.callers import APP, CLAIM, DEVICE, OPERATOR, SYSTEM, Caller, Kind
from functions.domain.credentials import Credentials
from functions.domain.faults import Denied, Reason
from functions.domain.roles import LEAST, UserRole
from functions.domain.tokens import Scope
from functions.ports import Call, Hub
from functions.route import Route
from functions.routes import ROUTES
from functions.runtime.calls import answer
from functions.runtime.decoding import admit, caller_of, scopes_of
from functions.testing import START, MemoryHub, memory_hub

ID = "EDGB-0001"

# Written out here once more, so that a route that is opened by mistake fails.
STAFF, READERS = OPERATOR | SYSTEM, OPERATOR | APP | SYSTEM
WHO: dict[str, tuple[Kind, Scope | None]] = {
    "certificates.create-from-csr": (CLAIM, None),
    "devices.*.provision.request": (CLAIM | DEVICE, None),
    "devices.*.certificates.renew": (DEVICE, None),
    "devices.*.certificates.renew.confirm": (DEVICE, None),
    "devices.*.twin.get": (DEVICE, None),
    "devices.*.twin.update": (DEVICE, None),
    "devices.*.telemetry": (DEVICE, None),
    "devices.*.events.*": (DEVICE, None),
    "devices.*.messages.events": (DEVICE, None),
    "devices.*.heartbeat": (DEVICE, None),
    "devices.*.status": (DEVICE, None),
    "twins.*.get": (READERS, Scope.TWINS_READ),
    "twins.*.desire": (READERS, Scope.TWINS_WRITE),
    "twins.*.history": (READERS, Scope.TWINS_READ),
    "twins.*.at": (READERS, Scope.TWINS_READ),
    "twins.*.compare": (READERS, Scope.TWINS_READ),
    "devices.*.methods.*.call": (READERS, Scope.METHODS_CALL),
    "devices.*.messages.send": (READERS, Scope.METHODS_CALL),
    "registry.create": (READERS, Scope.DEVICES_WRITE),
    "registry.query": (READERS, Scope.DEVICES_READ),
    "registry.ids": (READERS, Scope.DEVICES_READ),
    "jobs.create.methods": (READERS, Scope.METHODS_CALL),
    "jobs.create.twins": (READERS, Scope.TWINS_WRITE),
    "jobs.create.tags": (READERS, Scope.DEVICES_WRITE),
    "jobs.list": (READERS, Scope.DEVICES_READ),
    "jobs.*.get": (READERS, Scope.DEVICES_READ),
    "jobs.*.cancel": (READERS, Scope.DEVICES_READ),
    "jobs.*.retry": (READERS, Scope.DEVICES_READ),
    "live.status.follow": (READERS, Scope.DEVICES_READ),
    "live.jobs.follow": (READERS, Scope.DEVICES_READ),
    "live.swap.follow": (READERS, Scope.DEVICES_READ),
    "live.presence.follow": (READERS, Scope.DEVICES_READ),
    "live.devices.follow": (READERS, Scope.DEVICES_READ),
    "live.twin.follow": (READERS, Scope.TWINS_READ),
    "live.telemetry.follow": (READERS, Scope.TELEMETRY_READ),
    "live.events.follow": (READERS, Scope.TELEMETRY_READ),
    "registry.facets": (READERS, Scope.DEVICES_READ),
    "registry.stats": (READERS, Scope.DEVICES_READ),
    "registry.groups.list": (READERS, Scope.DEVICES_READ),
    "registry.groups.create": (READERS, Scope.DEVICES_WRITE),
    "registry.groups.*.update": (READERS, Scope.DEVICES_WRITE),
    "registry.groups.*.delete": (READERS, Scope.DEVICES_WRITE),
    "registry.devices.*.get": (READERS, Scope.DEVICES_READ),
    "registry.devices.*.connections": (READERS, Scope.DEVICES_READ),
    "registry.devices.*.create": (STAFF, None),
    "registry.export": (READERS, Scope.DEVICES_READ),
    "twins.export": (READERS, Scope.TWINS_READ),
    "registry.import": (READERS, Scope.ADMIN),
    "registry.devices.*.update": (READERS, Scope.DEVICES_WRITE),
    "registry.devices.*.retire": (READERS, Scope.DEVICES_WRITE),
    "registry.devices.*.revoke": (STAFF, None),
    "registry.devices.*.swap": (READERS, Scope.DEVICES_WRITE),
    "registry.devices.*.suspend": (READERS, Scope.DEVICES_WRITE),
    "registry.devices.*.resume": (READERS, Scope.DEVICES_WRITE),
    "certificates.query": (READERS, Scope.ADMIN),
    "certificates.*.get": (READERS, Scope.ADMIN),
    "certificates.*.revoke": (READERS, Scope.ADMIN),
    "crl.get": (STAFF, None),
    "enrolment.get": (READERS, Scope.ADMIN),
    "enrolment.open": (READERS, Scope.ADMIN),
    "enrolment.close": (READERS, Scope.ADMIN),
    "enrolment.change": (READERS, Scope.ADMIN),
    "enrolment.files": (SYSTEM, None),
    "enrolment.enforce": (READERS, Scope.ADMIN),
    "settings.server.get": (READERS, Scope.ADMIN),
    "settings.server.change": (READERS, Scope.ADMIN),
    "whitelist.create": (READERS, Scope.ADMIN),
    "whitelist.batch": (READERS, Scope.ADMIN),
    "whitelist.list": (READERS, Scope.ADMIN),
    "whitelist.entries.*.update": (READERS, Scope.ADMIN),
    "whitelist.entries.*.remove": (READERS, Scope.ADMIN),
    "claims.create": (STAFF, None),
    "claims.issue": (READERS, Scope.ADMIN),
    "claims.get": (READERS, Scope.ADMIN),
    "claims.bundle": (READERS, Scope.ADMIN),
    "claims.list": (READERS, Scope.ADMIN),
    "claims.revoke": (READERS, Scope.ADMIN),
    "tokens.create": (STAFF, None),
    "tokens.list": (STAFF, None),
    "tokens.revoke": (STAFF, None),
    "credentials.create": (STAFF, None),
    "credentials.list": (STAFF, None),
    "credentials.revoke": (STAFF, None),
    "tokens.prove": (SYSTEM, None),
    "audit.export": (READERS, Scope.ADMIN),
    "audit.refused": (SYSTEM, None),
    "setup.get": (SYSTEM, None),
    "setup.open": (SYSTEM, None),
    "setup.complete": (SYSTEM, None),
    "sessions.create": (SYSTEM, None),
    "sessions.prove": (SYSTEM, None),
    "sessions.list": (STAFF, None),
    "sessions.*.end": (STAFF, None),
    "users.list": (STAFF, None),
    "users.create": (STAFF, None),
    "users.*.update": (STAFF, None),
    "users.*.delete": (STAFF, None),
    "users.change-password": (OPERATOR, None),
    "services.list": (READERS, Scope.ADMIN),
    "services.get": (READERS, Scope.ADMIN),
    "services.start": (READERS, Scope.ADMIN),
    "services.stop": (READERS, Scope.ADMIN),
    "services.restart": (READERS, Scope.ADMIN),
    "logs.read": (READERS, Scope.ADMIN),
    "logs.follow": (READERS, Scope.ADMIN),
    "live.services.follow": (READERS, Scope.ADMIN),
    "live.alarms.follow": (READERS, Scope.ADMIN),
    "live.certificates.follow": (READERS, Scope.ADMIN),
    "live.onboarding.follow": (READERS, Scope.ADMIN),
    "live.audit.follow": (READERS, Scope.ADMIN),
    "metrics.get": (READERS, Scope.ADMIN),
    "metrics.history": (READERS, Scope.ADMIN),
    "live.metrics.follow": (READERS, Scope.ADMIN),
    "checks.list": (READERS, Scope.ADMIN),
    "audit.query": (READERS, Scope.ADMIN),
    "telemetry.query": (READERS, Scope.TELEMETRY_READ),
    "telemetry.export": (READERS, Scope.TELEMETRY_READ),
    "telemetry.*.latest": (READERS, Scope.TELEMETRY_READ),
    "telemetry.report": (READERS, Scope.DEVICES_WRITE),
    "events.query": (READERS, Scope.TELEMETRY_READ),
    "alarms.list": (READERS, Scope.ADMIN),
    "alarms.*.ack": (READERS, Scope.ADMIN),
    "alarms.raise": (SYSTEM, None),
    "alarms.clear": (SYSTEM, None),
    "broker.access.get": (SYSTEM, None),
    "broker.sessions.opened": (SYSTEM, None),
    "broker.sessions.closed": (SYSTEM, None),
    "broker.sessions.list": (SYSTEM, None),
    "broker.restarted": (SYSTEM, None),
    "broker.bridges.start": (SYSTEM, None),
    "broker.certificate.sign": (SYSTEM, None),
    "broker.trust.taken": (SYSTEM, None),
    "ca.get": (READERS, Scope.ADMIN),
    "ca.create": (READERS, Scope.ADMIN),
    "ca.import": (READERS, Scope.ADMIN),
    "local.devices.query": (SYSTEM, None),
    "local.devices.*.get": (SYSTEM, None),
    "local.twins.*.get": (SYSTEM, None),
    "local.twins.*.desire": (SYSTEM, None),
}
# The roles of users, written out likewise: what a viewer and an operator may call; all else is an admin's.
VIEWERS = {
    "twins.*.get", "twins.*.history", "twins.*.at", "twins.*.compare", "twins.export",
    "registry.query", "registry.ids", "registry.facets", "registry.stats", "registry.groups.list",
    "registry.devices.*.get", "registry.devices.*.connections", "registry.export",
    "jobs.list", "jobs.*.get", "jobs.*.cancel", "jobs.*.retry",
    "live.status.follow", "live.jobs.follow", "live.swap.follow", "live.twin.follow", "live.telemetry.follow",
    "live.events.follow", "live.presence.follow", "live.devices.follow",
    "live.alarms.follow", "live.certificates.follow",
    "services.list", "services.get", "live.services.follow",
    "metrics.get", "metrics.history", "live.metrics.follow",
    "telemetry.query", "telemetry.export", "telemetry.*.latest", "events.query",
    "certificates.query", "certificates.*.get", "claims.list", "claims.get", "ca.get",
    "enrolment.get", "settings.server.get", "alarms.list", "checks.list",
    "sessions.list", "sessions.*.end", "users.change-password",
}  # fmt: skip
OPERATORS = {
    "twins.*.desire", "devices.*.methods.*.call", "devices.*.messages.send",
    "registry.create", "registry.groups.create", "registry.groups.*.update", "registry.groups.*.delete",
    "registry.devices.*.update", "registry.devices.*.retire", "registry.devices.*.swap",
    "registry.devices.*.suspend", "registry.devices.*.resume",
    "jobs.create.methods", "jobs.create.twins", "jobs.create.tags",
    "telemetry.report", "alarms.*.ack",
    "services.start", "services.stop", "services.restart", "logs.read", "logs.follow",
    "live.onboarding.follow",
}  # fmt: skip
CALLERS = {
    DEVICE: f"device:{ID}",
    CLAIM: "claim:default",
    OPERATOR: "user:anna",
    APP: "app:dashboard",
    SYSTEM: "system:gateway",
}
KEY = "K"
EVERY_SCOPE = [(), *((scope,) for scope in Scope), *combinations(Scope, 2), tuple(Scope)]
CREDENTIALS = [Credentials("reports", scopes, (), START) for scopes in EVERY_SCOPE]


def test_the_table_has_every_route() -> None:
    assert {route.subject: (route.allow, route.scope) for route in ROUTES} == WHO


@pytest.fixture(scope="module")
def hub() -> MemoryHub:
    return memory_hub(credentials={KEY: Credentials("reports", (), (), START)})


def subject_of(route: Route) -> str:
    return route.full_subject.replace("*", ID)


async def refusal(hub: Hub, route: Route, headers: dict[str, str]) -> dict[str, object] | None:
    """The answer that kept the handler from being called, or None where it was called."""
    called = False

    async def handler(call: Call[Nothing], hub: Hub) -> Done:
        nonlocal called
        called = True
        return Done()

    asked = Route(
        route.subject,
        handler,
        Nothing,
        route.allow,
        route.within,
        role=route.role,
        own=route.own,
        scope=route.scope,
        least=route.least,
    )
    reply = await answer(asked, hub, subject_of(route), b"", headers)
    assert called is (reply.reason is None)
    if called:
        return None
    assert reply.reason is Reason.DENIED
    told: dict[str, object] = json.loads(reply.body)
    return told


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_a_route_answers_those_it_names_and_nobody_else(hub: MemoryHub, route: Route) -> None:
    allowed, wanted = WHO[route.subject]
    for kind, caller in CALLERS.items():
        for scopes in EVERY_SCOPE:
            headers = {"Hub-Caller": caller, "Hub-Scopes": " ".join(scopes)}
            may = bool(kind & allowed) and (kind is not APP or wanted in scopes or Scope.ADMIN in scopes)
            if kind is OPERATOR:
                # The one scope that is the name of a role too.
                may = may and scopes == (Scope.ADMIN,)

            assert (await refusal(hub, route, headers) is None) is may, (caller, scopes)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_a_route_answers_users_of_the_roles_it_is_for_and_no_others(hub: MemoryHub, route: Route) -> None:
    least = UserRole.VIEWER if route.subject in VIEWERS else UserRole.ADMIN
    least = UserRole.OPERATOR if route.subject in OPERATORS else least
    ranks = list(UserRole)
    for words in ("", "viewer", "operator", "admin", "owner", "admin viewer", "viewer viewer", "Admin", "devices:read"):
        headers = {"Hub-Caller": "user:anna", "Hub-Scopes": words}
        is_role = words in ranks and ranks.index(UserRole(words)) >= ranks.index(least)
        may = bool(OPERATOR & route.allow) and is_role

        told = await refusal(hub, route, headers)

        assert (told is None) is may, words
        if told is not None and OPERATOR & route.allow:
            assert told["message"] == f"A user needs the role '{least}' for this."


def test_every_route_has_its_least_role_and_each_scope_one() -> None:
    assert not VIEWERS & OPERATORS
    assert WHO.keys() >= VIEWERS | OPERATORS
    assert LEAST.keys() == set(Scope)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.scope], ids=lambda route: route.name)
async def test_who_lacks_a_scope_is_told_which(hub: MemoryHub, route: Route) -> None:
    other = Scope.METHODS_CALL if route.scope is Scope.TELEMETRY_READ else Scope.TELEMETRY_READ

    told = await refusal(hub, route, {"Hub-Caller": "app:dashboard", "Hub-Scopes": other})

    assert told is not None
    assert told["code"] == 403
    assert told["message"] == f"The token needs the scope '{route.scope}' for this."


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_a_caller_from_another_account_without_scopes_has_none_whatever_it_says(
    hub: MemoryHub, route: Route
) -> None:
    headers = {
        "Nats-Request-Info": f'{{"acc":"INTEGRATIONS","user":"{KEY}"}}',
        "Hub-Caller": "system:cli",
        "Hub-Scopes": "admin",
    }

    assert await refusal(hub, route, headers) is not None


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_a_caller_from_another_account_has_the_scopes_of_its_credentials(route: Route) -> None:
    allowed, wanted = WHO[route.subject]
    hub = memory_hub(credentials={f"K{number}": one for number, one in enumerate(CREDENTIALS)})
    for number, one in enumerate(CREDENTIALS):
        headers = {"Nats-Request-Info": f'{{"acc":"INTEGRATIONS","user":"K{number}"}}', "Hub-Caller": "system:cli"}
        may = bool(APP & allowed) and (wanted in one.scopes or Scope.ADMIN in one.scopes)

        assert (await refusal(hub, route, headers) is None) is may, one.scopes


@pytest.mark.parametrize("text", ["", " ", "admins", "devices:read,admin", "ADMIN", "admin:", "\tdevices:raed"])
def test_what_is_no_scope_is_none(text: str) -> None:
    headers = {"Hub-Caller": "app:dashboard", "Hub-Scopes": text}
    for route in ROUTES:
        with pytest.raises(Exception, match="denied"):
            admit(route, caller_of(headers), (ID,), scopes_of(headers))


def test_a_route_for_applications_must_state_a_scope() -> None:
    async def handler(call: Call[Nothing], hub: Hub) -> Done:
        return Done()

    with pytest.raises(ValueError, match="scope"):
        Route("a", handler, Nothing, APP, 1.0)
    with pytest.raises(ValueError, match="scope"):
        Route("a", handler, Nothing, OPERATOR | APP | SYSTEM, 1.0)
    assert Route("a", handler, Nothing, OPERATOR | SYSTEM, 1.0).scope is None


@pytest.mark.parametrize("route", [route for route in ROUTES if route.part], ids=lambda route: route.name)
@pytest.mark.parametrize("name", ["cli", "gateway", "host", "dbus", "dbus1000", "adbus/1000"])
def test_what_is_for_local_programs_is_for_no_other_part(route: Route, name: str) -> None:
    admit(route, Caller(SYSTEM, "dbus/1000"), (ID,))

    with pytest.raises(Denied):
        admit(route, Caller(SYSTEM, name), (ID,))


def test_all_that_is_below_local_is_for_local_programs_alone() -> None:
    assert {route.subject for route in ROUTES if route.part} == {
        subject for subject in WHO if subject.startswith("local.")
    }
