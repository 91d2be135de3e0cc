"""Every address asks for the scope that its function needs, and the function sees to it."""

from collections.abc import Iterator
from typing import Any

import pytest

from functions.adapters.roots import make_root
from functions.domain.ca import trust_alone
from functions.domain.groups import Group
from functions.domain.jobs import Asker, Item, ItemState, Job, JobKind, JobState, Part
from functions.domain.roles import UserRole
from functions.domain.sessions import Presence
from functions.domain.tokens import Scope
from functions.routes import ROUTES
from functions.testing import START, make_host
from gateway.callers import GATEWAY
from tests.unit.gateway.rig import ALARM, DEVICE, OPERATOR, SERIAL, Rig, make_device, make_rig, matches

# What an address must be told before its function is asked.
QUERIES = {
    "/api/logs": "?unit=bridge",
    "/api/export/devices": "?twins=false",
    "/api/devices/{device}/twin/at": "?desired=0&reported=0",
    "/api/devices/{device}/twin/compare": "?fromDesired=0&fromReported=0",
}
SPARE = "pump-0003"
CA = make_root()
# What an address must be sent before its function is asked, by method and path.
BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", "/api/devices/{device}"): {"notes": "in the cellar"},
    ("PATCH", "/api/devices/{device}/twin"): {"desired": {"a": 1}},
    ("POST", "/api/groups"): {"group": "new"},
    ("POST", "/api/batch/methods"): {"devices": [DEVICE], "method": "reboot"},
    ("POST", "/api/batch/twins"): {"devices": [DEVICE], "desired": {"a": 1}},
    ("POST", "/api/batch/tags"): {"q": "", "tags": {"a": "b"}},
    ("POST", "/api/telemetry"): {"deviceId": DEVICE, "data": {"temperature": 21.5}},
    ("PATCH", "/api/groups/{group}"): {"query": "pump"},
    ("POST", "/api/devices/{device}/swap"): {"replacement": SPARE},
    ("POST", "/api/devices/{device}/messages"): {"payload": 1},
    ("POST", "/api/devices"): {"deviceId": "pump-0002"},
    ("POST", "/api/settings/certs/root"): {"cn": "Pumps CA"},
    ("POST", "/api/settings/certs/root/import"): {"chainPem": CA[0], "keyPem": CA[1]},
    ("POST", "/api/settings/certs/provisioning"): {"name": "factory-2"},
    ("PUT", "/api/settings/enrolment"): {"minutes": 30},
    ("PUT", "/api/settings/server"): {"deviceDays": 30},
    ("POST", "/api/admin/uuid-whitelist"): {"uuid": "board-0002"},
    ("POST", "/api/admin/uuid-whitelist/batch"): {"entries": ["board-0002"]},
    ("PATCH", "/api/admin/uuid-whitelist/{id}"): {"disabled": True},
}
# What else a token must allow there, by what the job does.
BESIDES = {"/api/jobs/{job}/cancel": [Scope.DEVICES_WRITE], "/api/jobs/{job}/retry": [Scope.DEVICES_WRITE]}
JOB = Job("0a-01", JobKind.TAGS, {"tags": {}}, 1, Asker("user:bert", "c", "cli"), START, state=JobState.DONE)
CLAIM = "fleet"
BOARD = "board-0001"
GROUP = "old-pumps"
UNIT = "bridge"
# For whom there is no token yet: see test_bundles.
STRANGERS = {"/api/provisioning/certs/{file}"}
OPEN = {"/health", "/healthz", "/readyz", "/", "/docs", "/openapi.json", "/asyncapi.json", "/api/crl"}


def addresses() -> Iterator[tuple[str, str]]:
    for route in make_rig().app.routes:
        for method in sorted(getattr(route, "methods", None) or ()):
            yield method, getattr(route, "path", "")


# For users alone: see test_auth and test_users.
USERS = {
    "/api/setup",
    "/api/auth/login",
    "/api/auth/logout",
    "/api/auth/refresh",
    "/api/auth/change-password",
    "/api/auth/me",
    "/api/users",
    "/api/users/{name}",
    "/api/sessions",
    "/api/sessions/{id}",
}
# It answers until the client leaves: see test_logs.
ENDLESS = {"/api/logs/stream"}
PROTECTED = [one for one in addresses() if one[1] not in OPEN | STRANGERS | USERS | ENDLESS]


@pytest.fixture
async def rig() -> Rig:
    return await furnished()


async def furnished() -> Rig:
    """A rig with one of each thing that a path can name."""
    rig = make_rig(
        devices={name: make_device(name) for name in (DEVICE, SPARE)},
        presence={DEVICE: Presence(True, START, "connected")},
        jobs={JOB.id: JOB},
        job_parts={f"{JOB.id}-0": Part((Item(DEVICE, ItemState.FAILED, "timeout"),))},
    )
    # The certificate there is of an older CA: this one can still be replaced.
    await rig.hub.trust.create("trust", trust_alone(rig.hub.authority.active, at=START, by="system:hub"))
    await rig.bus.request("devicehub.claims.issue", b'{"name":"%s"}' % CLAIM.encode(), caller=OPERATOR)
    await rig.bus.request("devicehub.whitelist.create", b'{"uuid":"%s"}' % BOARD.encode(), caller=OPERATOR)
    rig.hub.hosts.here["hub-1"] = make_host("hub-1", UNIT)
    await rig.hub.groups.create(GROUP, Group(GROUP, START, START))
    rig.bus.asked.clear()
    return rig


async def ask(rig: Rig, method: str, path: str, token: str | None, client: Any = None) -> Any:
    sent = BODIES.get((method, path))
    body: dict[str, Any] = {"json": sent} if sent is not None else {}
    if path == "/api/import/devices":
        body = {"content": '{"deviceId":"pump-0001"}', "headers": {"Content-Type": "application/x-ndjson"}}
    target = (
        path.replace("{device}", DEVICE)
        .replace("{method}", "reboot")
        .replace("{name}", CLAIM)
        .replace("{group}", GROUP)
        .replace("{serial}", SERIAL)
        .replace("{alarm}", ALARM.id)
        .replace("{job}", JOB.id)
        .replace("{unit}", UNIT)
    )
    target = target.replace("{id}", rig.hub.hasher.hash(BOARD))
    async with client or rig.client(token) as used:
        return await used.request(method, target + QUERIES.get(path, ""), **body)


def needed(rig: Rig, path: str) -> Scope:
    """The scope of the function that was called, by the functions' own table."""
    (subject,) = {
        one.subject
        for one in rig.bus.asked
        # What the gateway asks for itself needs nothing of who asks it.
        if "tokens" not in one.subject and one.subject[0] != "$" and one.caller != str(GATEWAY)
    }
    (scope,) = {route.scope for route in ROUTES if matches(route.full_subject, subject)}
    assert scope is not None, path
    return scope


_described: dict[str, Any] = {}


async def description(path: str, method: str) -> dict[str, Any]:
    """What /openapi.json says of an address; it is the same for every rig."""
    if not _described:
        async with make_rig().client() as client:
            _described.update((await client.get("/openapi.json")).json()["paths"])
    told: dict[str, Any] = _described[path][method.lower()]
    return told


def test_all_addresses_are_walked() -> None:
    assert len(PROTECTED) >= 6
    assert {path for _, path in addresses()} >= OPEN


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_each_scope_opens_what_needs_it_and_admin_all(method: str, path: str) -> None:
    for scope in Scope:
        rig = await furnished()
        answer = await ask(rig, method, path, await rig.token(scope, *BESIDES.get(path, ())))

        wanted = needed(rig, path)
        if scope in (wanted, Scope.ADMIN):
            assert answer.is_success, answer.text
        else:
            assert answer.status_code == 403
            assert answer.json()["error"] == "denied"
            assert f"'{wanted}'" in answer.json()["detail"]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_each_role_opens_what_it_is_for(method: str, path: str) -> None:
    ranks = list(UserRole)
    for role in UserRole:
        rig = await furnished()
        answer = await ask(rig, method, path, None, await rig.signed_in(role))

        (least,) = {
            route.least_role
            for route in ROUTES
            for one in rig.bus.asked
            if one.caller.startswith("user:") and matches(route.full_subject, one.subject)
        }
        if path in BESIDES:
            least = UserRole.OPERATOR
        described = await description(path, method)
        assert described["x-required-role"] == least
        if ranks.index(role) >= ranks.index(least):
            assert answer.is_success, answer.text
        else:
            assert answer.status_code == 403
            assert f"'{least}'" in answer.json()["detail"]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_the_description_names_the_scope_that_the_function_needs(rig: Rig, method: str, path: str) -> None:
    answer = await ask(rig, method, path, await rig.token(Scope.ADMIN))
    assert answer.is_success

    described = await description(path, method)
    assert described["x-required-scope"] == needed(rig, path)
    assert f"the scope `{described['x-required-scope']}`" in described["description"]
    assert described["security"] == [{"bearer": []}, {"session": []}]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_without_a_token_no_function_is_asked(rig: Rig, method: str, path: str) -> None:
    answer = await ask(rig, method, path, None)

    assert answer.status_code == 401
    assert not rig.bus.asked


# The description of messages is a file that the stack makes: see test_hub.
@pytest.mark.parametrize("path", sorted(OPEN - {"/asyncapi.json"}))
async def test_what_is_open_needs_no_token_and_takes_any(rig: Rig, path: str) -> None:
    for token in (None, "dh_" + "x" * 43):
        async with rig.client(token) as client:
            assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_without_functions_each_address_says_so_and_recovers(rig: Rig, method: str, path: str) -> None:
    token = await rig.token(Scope.ADMIN)
    for away in ({"parts": frozenset[str]()}, {"is_connected": False}):
        before = {name: getattr(rig.bus, name) for name in away}
        for name, value in away.items():
            setattr(rig.bus, name, value)
        rig.clock.now += 10
        answer = await ask(rig, method, path, token)
        assert answer.status_code == 503
        assert answer.json()["error"] == "unavailable"
        assert answer.headers["retry-after"] == "1"
        for name, value in before.items():
            setattr(rig.bus, name, value)
        # By then what is made may be there, and what is removed gone.
        assert (await ask(rig, method, path, token)).status_code in (200, 201, 202, 404, 409)
