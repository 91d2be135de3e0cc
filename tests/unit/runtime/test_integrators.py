"""Callers of another account: only the server's word and the hub's record of their key count."""

from dataclasses import replace
from datetime import timedelta

import pytest

from functions.contract.messages import Done, Nothing
from functions.domain.callers import APP
from functions.domain.credentials import Credentials
from functions.domain.devices import Device
from functions.domain.enrolment import Reservation
from functions.domain.faults import Denied, Reason
from functions.domain.tokens import Scope
from functions.ports import Call, Hub
from functions.route import Route
from functions.routes import ROUTES
from functions.runtime.calls import Reply, answer
from functions.runtime.integrators import prove
from functions.testing import START, memory_hub

KEY = "UKEY"
GOOD = Credentials("reports", tuple(Scope), (), START, START + timedelta(days=1))
NORTH = replace(GOOD, groups=("north", "west"))
DEVICES = {
    "pump-0001": Device("pump-0001", START, START, role="gate", groups=("north", "red")),
    "pump-0002": Device("pump-0002", START, START, groups=("south",)),
}


def said(user: str = KEY) -> dict[str, str]:
    return {"Nats-Request-Info": f'{{"acc":"INTEGRATIONS","user":"{user}","rtt":5}}', "Hub-Caller": "system:cli"}


@pytest.mark.parametrize(
    "info",
    [
        "", "{", "null", "[]", '"reports"', "{}", '{"user":null}', '{"user":5}', '{"user":""}', '{"user":"a b"}',
        '{"user":"system:cli"}', '{"acc":"INTEGRATIONS"}', '{"user":["UKEY"]}',
    ],
)  # fmt: skip
async def test_a_call_from_elsewhere_without_a_user_is_denied_even_if_it_claims_one(info: str) -> None:
    with pytest.raises(Denied):
        await prove({"Nats-Request-Info": info, "Hub-Caller": "system:cli"}, memory_hub(credentials={KEY: GOOD}))


async def test_credentials_are_known_by_their_key_and_not_by_their_name() -> None:
    hub = memory_hub(credentials={KEY: GOOD})

    assert await prove(said(), hub) == GOOD
    with pytest.raises(Denied) as refused:
        await prove(said("reports"), hub)
    assert refused.value.reason is Reason.UNAUTHENTICATED


async def test_what_is_over_or_revoked_is_refused_from_that_moment() -> None:
    hub = memory_hub(credentials={KEY: GOOD})
    hub.clock.set(START + timedelta(days=1, microseconds=-1))
    await prove(said(), hub)
    hub.clock.advance(timedelta(microseconds=1))
    with pytest.raises(Denied, match="unauthenticated"):
        await prove(said(), hub)

    hub = memory_hub(credentials={KEY: replace(GOOD, revoked_at=START)})
    with pytest.raises(Denied, match="unauthenticated"):
        await prove(said(), hub)


async def tried(route: Route, name: str, credentials: Credentials) -> Reply:
    async def handler(call: Call[Nothing], hub: Hub) -> Done:
        assert (str(call.caller), call.scopes, call.origin) == ("app:reports", tuple(Scope), "nats")
        return Done()

    hub = memory_hub(credentials={KEY: credentials}, devices=DEVICES)
    subject = route.full_subject.replace("*", name)
    return await answer(replace(route, handler=handler, body=Nothing), hub, subject, b"", said())


ASKED = [route for route in ROUTES if route.allow & APP]
OF_ONE = [route for route in ASKED if route.by_role and not route.beyond]


@pytest.mark.parametrize("route", OF_ONE, ids=lambda route: route.name)
async def test_a_limit_to_groups_leaves_the_devices_that_are_in_one_of_them(route: Route) -> None:
    assert (await tried(route, "pump-0001", NORTH)).reason is None
    assert (await tried(route, "pump-0002", NORTH)).reason is Reason.DENIED
    assert (await tried(route, "pump-0003", NORTH)).reason is Reason.DENIED
    assert (await tried(route, "pump-0002", GOOD)).reason is None


@pytest.mark.parametrize("route", [route for route in ASKED if route not in OF_ONE], ids=lambda route: route.name)
async def test_a_limit_to_groups_leaves_nothing_that_is_of_several_devices(route: Route) -> None:
    reply = await tried(route, "pump-0001", NORTH)

    assert reply.reason is Reason.DENIED
    assert b"limited to groups" in reply.body


async def test_a_role_is_no_way_around_a_limit_to_groups() -> None:
    hub = memory_hub(
        credentials={KEY: replace(NORTH, groups=("south",))},
        devices=DEVICES,
        names={"id-gate": Reservation("pump-0001", None, "gate")},
    )
    route = next(route for route in ROUTES if route.subject == "twins.*.get")

    reply = await answer(route, hub, "devicehub.twins.gate.get", b"", said())

    assert reply.reason is Reason.DENIED


def test_a_swap_reaches_beyond_the_device_it_names() -> None:
    assert [route.subject for route in ROUTES if route.beyond] == ["registry.devices.*.swap"]
