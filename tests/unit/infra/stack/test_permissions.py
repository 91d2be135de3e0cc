"""The lists are what keeps the parts apart, so they are held against the tables they must cover."""

import pytest

from bridge.mqtt.topics import OUTBOUND, Outbound
from functions.domain.callers import APP, CLAIM, DEVICE, OPERATOR, SYSTEM
from functions.domain.tokens import Scope
from functions.route import Route
from functions.routes import ROUTES
from infra.stack.paths import NATS_USERS
from infra.stack.permissions import FOR_INTEGRATIONS, HEARD_BY_INTEGRATIONS, USERS, integrator


def matches(pattern: str, subject: str) -> bool:
    """Whether a subject (or all that a pattern stands for) is covered by a pattern, as the server sees it."""
    wanted, given = pattern.split("."), subject.split(".")
    for place, token in enumerate(wanted):
        if token == ">":
            return len(given) > place
        if place >= len(given) or (token not in ("*", given[place])):
            return False
    return len(wanted) == len(given)


def may_publish(user: str, subject: str) -> bool:
    return any(matches(pattern, subject) for pattern in USERS[user].publish)


def may_hear(user: str, subject: str) -> bool:
    return any(matches(pattern, subject) for pattern in USERS[user].subscribe)


DEVICES = [route for route in ROUTES if route.allow & (DEVICE | CLAIM)]
STAFF = [route for route in ROUTES if route.allow & (OPERATOR | APP)]
KEEPERS = [route for route in ROUTES if route.subject.startswith(("broker.", "alarms.")) and route.allow == SYSTEM]
TOKENS = [route for route in STAFF if route.subject.startswith(("tokens.", "credentials."))]
# What programs of a host's machine ask, by its shim.
LOCAL = [route for route in ROUTES if route.part]
PROVE = "devicehub.tokens.prove"
REFUSED = "devicehub.audit.refused"
SERVED = "devicehub.enrolment.files"
# What the gateway asks for who is nobody yet, and the commands for who has the machine.
NOBODYS = {"devicehub.setup.complete", "devicehub.sessions.create", "devicehub.sessions.prove"}
SETUP = {"devicehub.setup.get", "devicehub.setup.open"}


def test_every_user_has_a_password_file_and_only_admin_has_no_list() -> None:
    assert set(NATS_USERS) == {*USERS, "admin"}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_the_functions_may_hear_every_route(route: Route) -> None:
    assert may_hear("functions", route.full_subject)


@pytest.mark.parametrize("route", DEVICES + KEEPERS, ids=lambda route: route.name)
def test_the_bridge_may_call_what_devices_and_the_keeper_ask(route: Route) -> None:
    assert may_publish("bridge", route.full_subject)


@pytest.mark.parametrize("route", STAFF, ids=lambda route: route.name)
def test_the_bridge_may_not_act_as_an_operator(route: Route) -> None:
    assert not may_publish("bridge", route.full_subject)


def test_every_route_is_of_one_of_these() -> None:
    assert {route.full_subject for route in DEVICES + STAFF + KEEPERS + LOCAL} | {
        PROVE,
        REFUSED,
        SERVED,
    } | NOBODYS | SETUP == {route.full_subject for route in ROUTES}


@pytest.mark.parametrize("route", STAFF, ids=lambda route: route.name)
def test_operators_reach_their_functions(route: Route) -> None:
    assert may_publish("cli", route.full_subject)
    assert may_publish("gateway", route.full_subject) is (route not in TOKENS)


def test_only_the_gateway_signs_in_and_only_the_machine_opens_the_setup() -> None:
    for subject in NOBODYS:
        assert [user for user in USERS if may_publish(user, subject)] == ["gateway"]
    assert [user for user in USERS if may_publish(user, "devicehub.setup.open")] == ["cli"]
    assert [user for user in USERS if may_publish(user, "devicehub.sessions.changed")] == ["functions"]


def test_only_the_gateway_asks_what_a_token_allows() -> None:
    assert [user for user in USERS if may_publish(user, PROVE)] == ["gateway"]


def test_only_the_gateway_tells_what_it_refused() -> None:
    assert [user for user in USERS if may_publish(user, REFUSED)] == ["gateway"]


def test_the_bridge_does_not_ask_for_claim_files() -> None:
    assert [user for user in USERS if may_publish(user, SERVED)] == ["gateway", "cli"]


def test_requests_in_events_are_for_the_gateway() -> None:
    assert [user for user in USERS if may_publish(user, "devicehub.http.event")] == ["cli"]
    assert may_hear("gateway", "devicehub.http.event")


@pytest.mark.parametrize("user", ["gateway", "cli"])
@pytest.mark.parametrize("route", DEVICES + KEEPERS, ids=lambda route: route.name)
def test_operators_may_not_act_as_a_device_or_the_keeper(user: str, route: Route) -> None:
    assert not may_publish(user, route.full_subject)


@pytest.mark.parametrize("told", OUTBOUND, ids=lambda told: told.subject)
def test_the_bridge_hears_what_goes_to_devices(told: Outbound) -> None:
    assert may_hear("bridge", f"devicehub.{told.subject}")


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("others", NATS_USERS)
def test_each_hears_only_its_own_inbox(user: str, others: str) -> None:
    assert may_hear(user, f"_INBOX_{others}.x") is (user == others)
    assert not may_hear(user, "_INBOX.x")


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(
    "api", ["STREAM.CREATE.x", "STREAM.UPDATE.x", "STREAM.DELETE.x", "STREAM.PURGE.KV_hub-devices"]
)
def test_only_admin_changes_streams(user: str, api: str) -> None:
    assert not may_publish(user, f"$JS.API.{api}")


@pytest.mark.parametrize("user", ["bridge", "gateway", "cli"])
@pytest.mark.parametrize(
    "subject", ["$KV.hub-devices.D1", "$JS.API.DIRECT.GET.KV_hub-devices", "devicehub.stored.events.0.D1"]
)
def test_only_functions_touch_storage(user: str, subject: str) -> None:
    assert not may_publish(user, subject)


# What takes all there is to take need not be reached: a token for it is shown over HTTP.
REACHED = [route for route in ROUTES if route.allow & APP and route.scope is not Scope.ADMIN]


@pytest.mark.parametrize("route", REACHED, ids=lambda route: route.name)
def test_applications_in_the_other_account_reach_what_they_may_call(route: Route) -> None:
    assert any(matches(pattern, route.full_subject) for pattern in FOR_INTEGRATIONS)


OPEN = [route for route in REACHED if not route.subject.startswith("tokens.")]


@pytest.mark.parametrize("scope", Scope)
def test_credentials_may_say_what_their_scope_allows_and_nothing_that_is_not_a_function(scope: Scope) -> None:
    may = integrator("reports", (scope,), (), ROUTES)

    needed = {route.full_subject: route.scope for route in ROUTES}
    assert {route.full_subject for route in OPEN if scope in (route.scope, Scope.ADMIN)} <= set(may.publish)
    assert {needed[subject] for subject in may.publish} <= (set(Scope) if scope is Scope.ADMIN else {scope})
    assert [subject for subject in may.publish if not any(matches(one, subject) for one in FOR_INTEGRATIONS)] == []
    assert set(may.subscribe) - {"_INBOX_reports.>"} <= set(HEARD_BY_INTEGRATIONS)


def test_credentials_of_groups_hear_only_their_answers_and_ask_only_of_single_devices() -> None:
    may = integrator("reports", tuple(Scope), ("north",), ROUTES)

    assert may.subscribe == ("_INBOX_reports.>",)
    assert set(may.publish) == {route.full_subject for route in OPEN if route.by_role and not route.beyond}


@pytest.mark.parametrize("subject", HEARD_BY_INTEGRATIONS)
def test_no_event_that_programs_hear_is_one_that_they_may_tell(subject: str) -> None:
    assert not [pattern for pattern in FOR_INTEGRATIONS if matches(pattern, subject)]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_host_shim_may_call_what_local_programs_ask_and_nobody_else_may(route: Route) -> None:
    assert may_publish("host", route.full_subject) is (route in LOCAL)
    assert [user for user in USERS if may_publish(user, route.full_subject) and route in LOCAL] in ([], ["host"])
