"""One call from payload and headers to its reply, on a hub in memory."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from functions.contract.faults import CATALOGUE, CODE_HEADER, ERROR_HEADER
from functions.contract.messages import Done, Message, Nothing, TwinReport
from functions.domain.callers import APP, CLAIM, DEVICE, SYSTEM
from functions.domain.credentials import Credentials
from functions.domain.devices import Device
from functions.domain.faults import Reason, Unavailable
from functions.domain.tokens import Scope
from functions.domain.twins import Half
from functions.ports import Call, Hub
from functions.route import Route
from functions.routes import ROUTES
from functions.runtime.calls import Reply, answer, fitting
from functions.testing import START, MemoryHub, memory_hub

ID = "EDGB-0001"
SUBJECT = f"devicehub.devices.{ID}.twin.update"
UPDATE = next(route for route in ROUTES if route.full_subject == "devicehub.devices.*.twin.update")
CALLER = {"Hub-Caller": f"device:{ID}"}


def a_hub() -> MemoryHub:
    return memory_hub(devices={ID: Device(ID, START, START)})


async def update(hub: Hub, body: object, **headers: str) -> Reply:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await answer(
        UPDATE, hub, SUBJECT, payload, CALLER | {name.replace("_", "-"): headers[name] for name in headers}
    )


async def serve(handler: Any, *, within: float = 1.0, echo: tuple[str, ...] = (), **headers: str) -> Reply:
    """Answer one call of a handler of the test's own."""
    route = Route("tests.*.run", handler, Nothing, SYSTEM, within, echo)
    stamped = {"Hub-Caller": "system:test"} | {name.replace("_", "-"): headers[name] for name in headers}
    return await answer(route, a_hub(), "devicehub.tests.T1.run", b"", stamped)


def fault(reply: Reply) -> tuple[str, int, str]:
    body = json.loads(reply.body)
    assert reply.headers == {ERROR_HEADER: body["error"], CODE_HEADER: str(body["code"])}
    assert reply.reason == body["error"]
    return body["error"], body["code"], body["message"]


# --- Answers --------------------------------------------------------------------


async def test_an_answer_is_the_handlers_message_without_headers() -> None:
    reply = await update(a_hub(), {"reported": {"led": "on"}, "clientToken": "t"})

    assert (reply.headers, reply.reason) == ({}, None)
    assert json.loads(reply.body)["reported"] == {"version": 1, "doc": {"led": "on"}}


async def test_a_call_has_all_that_the_request_said() -> None:
    seen: list[Call[TwinReport]] = []

    async def handler(call: Call[TwinReport], hub: Hub) -> Done:
        seen.append(call)
        return Done()

    route = Route("devices.*.x.*", handler, TwinReport, DEVICE, 1.0)
    headers = CALLER | {"Hub-Call": "c1", "Hub-Order": "local-control/2/17"}
    payload = b' {"reported": {}} '
    await answer(route, a_hub(), f"devicehub.devices.{ID}.x.y", payload, headers)

    (call,) = seen
    assert (call.device, call.names, call.id, str(call.caller)) == (ID, (ID, "y"), "c1", f"device:{ID}")
    assert (str(call.order), call.payload, call.body.reported) == ("local-control/2/17", payload, {})


async def test_the_same_payload_twice_has_the_same_digest() -> None:
    digests: list[str] = []

    async def handler(call: Call[Message], hub: Hub) -> Done:
        digests.append(call.digest)
        return Done()

    route = Route("a", handler, TwinReport, SYSTEM, 1.0)
    for payload in (b'{"reported":{}}', b'{"reported":{}}', b'{"reported": {}}'):
        await answer(route, a_hub(), "devicehub.a", payload, {"Hub-Caller": "system:test"})

    assert digests[0] == digests[1] != digests[2]


# --- Refusals -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"{", ("bad_request", 400)),
        (b"\xff", ("bad_request", 400)),
        (b'{"reported":[1]}', ("bad_request", 400)),
        (b'{"reported":{"a":1e999}}', ("bad_request", 400)),
        (b'{"reported":{"a":NaN}}', ("bad_request", 400)),
        (b"{}", ("bad_request", 400)),
        (b"[" * 100_000, ("too_deep", 400)),
        (b'{"reported":' + b'{"a":' * 11 + b"1" + b"}" * 12, ("too_deep", 400)),
        (b'{"reported":{"a":"' + b"x" * 33_000 + b'"}}', ("too_large", 413)),
        (b'{"reported":{"a":"' + b"x" * 300_000 + b'"}}', ("too_large", 413)),
        (b'{"desired":{}}', ("desired_is_read_only", 403)),
        (b'{"reported":{"a":1},"expectedVersion":3}', ("version_conflict", 409)),
    ],
)
async def test_bad_input_is_refused_with_its_code_and_nothing_is_stored(payload: bytes, code: tuple[str, int]) -> None:
    hub = a_hub()

    reply = await update(hub, payload)

    assert fault(reply)[:2] == code
    assert await hub.reported.get(ID) is None
    assert hub.events.sent == []


@pytest.mark.parametrize(
    ("subject", "headers", "reason"),
    [
        (SUBJECT, {}, Reason.DENIED),
        (SUBJECT, {"Hub-Caller": "nobody"}, Reason.DENIED),
        (SUBJECT, {"Hub-Caller": "device:EDGB-0002"}, Reason.DENIED),
        (SUBJECT, {"Hub-Caller": "user:anna"}, Reason.DENIED),
        (SUBJECT, {"Hub-Caller": "claim:default"}, Reason.DENIED),
        (SUBJECT, CALLER | {"Nats-Request-Info": f'{{"user":"{ID}"}}'}, Reason.UNAUTHENTICATED),
        (SUBJECT, CALLER | {"Nats-Request-Info": "forged"}, Reason.DENIED),
        (SUBJECT, CALLER | {"Hub-Order": "x"}, Reason.BAD_REQUEST),
        (SUBJECT, CALLER | {"Hub-Deadline": "x"}, Reason.BAD_REQUEST),
        ("devicehub.devices.EDGB 0001.twin.update", CALLER, Reason.BAD_REQUEST),
        ("devicehub.devices.*.twin.update", CALLER, Reason.BAD_REQUEST),
    ],
)
async def test_a_call_that_is_not_admitted_does_nothing(subject: str, headers: dict[str, str], reason: Reason) -> None:
    hub = a_hub()

    reply = await answer(UPDATE, hub, subject, b'{"reported":{"a":1}}', headers)

    assert reply.reason is reason
    assert await hub.reported.get(ID) is None


async def test_a_caller_of_another_account_is_who_the_server_says_whatever_it_says() -> None:
    async def handler(call: Call[Nothing], hub: Hub) -> Done:
        raise AssertionError("called")

    info = '{"acc":"INTEGRATIONS","user":"UKEY"}'
    hub = memory_hub(credentials={"UKEY": Credentials("reports", (Scope.TWINS_READ,), (), START)})
    forged = {"Hub-Caller": "system:cli", "Hub-Scopes": "admin", "Nats-Request-Info": info}
    for kind in (APP, SYSTEM):
        route = Route("a", handler, Nothing, kind, 1.0, scope=Scope.DEVICES_READ)
        with capture_logs() as logged:
            reply = await answer(route, hub, "devicehub.a", b"", forged)

        assert reply.reason is Reason.DENIED
        assert [line["caller"] for line in logged] == ["app:reports"]


async def test_what_an_unknown_caller_of_another_account_says_of_itself_is_not_logged() -> None:
    forged = CALLER | {"Nats-Request-Info": '{"acc":"INTEGRATIONS","user":"UKEY"}'}
    with capture_logs() as logged:
        reply = await answer(UPDATE, a_hub(), SUBJECT, b"", forged)

    assert reply.reason is Reason.UNAUTHENTICATED
    assert [line["caller"] for line in logged] == [None]


@pytest.mark.parametrize("is_broken", [False, True])
async def test_the_log_has_no_hardware_uuid_of_who_joins(is_broken: bool) -> None:
    uuid = "9205fa1c-7e57-4bad-8c0d-e51a7edcab1e"

    async def handler(call: Call[Nothing], hub: Hub) -> Done:
        if is_broken:
            raise ValueError("broken")
        return Done()

    route = Route("devices.*.provision.request", handler, Nothing, CLAIM, 1.0, own=False)
    with capture_logs() as logged:
        await answer(route, a_hub(), f"devicehub.devices.{uuid}.provision.request", b"", {"Hub-Caller": "claim:fleet"})

    assert [line["subject"] for line in logged] == ["devicehub.devices.*.provision.request"] * (1 + is_broken)
    assert uuid not in repr(logged)


async def test_a_fault_repeats_the_requests_token_and_says_when() -> None:
    reply = await update(a_hub(), {"desired": {}, "clientToken": "t7"})

    assert json.loads(reply.body) == {
        "error": "desired_is_read_only",
        "message": "A device may change only the reported half of its twin.",
        "code": 403,
        "timestamp": "2035-01-01T12:00:00.000Z",
        "clientToken": "t7",
    }


async def test_a_fault_names_each_wrong_field_and_what_is_wrong_with_it() -> None:
    reply = await update(a_hub(), {"reported": 5, "expectedVersion": -1})

    told = json.loads(reply.body)
    assert set(told["fields"]) == {"reported", "expectedVersion"}
    assert all(isinstance(wrong, str) and wrong for wrong in told["fields"].values())


async def test_a_fault_names_some_of_very_many_wrong_fields() -> None:
    async def handler(call: Call[Nothing], hub: Hub) -> Done:
        return Done()

    route = Route("a", handler, Nothing, SYSTEM, 1.0)
    payload = json.dumps({f"{number}-{'x' * 500}": 1 for number in range(300)}).encode()

    reply = await answer(route, a_hub(), "devicehub.a", payload, {"Hub-Caller": "system:cli"})

    assert 0 < len(json.loads(reply.body)["fields"]) <= 20
    assert len(reply.body) < 4096


async def test_a_reply_that_cannot_be_sent_is_a_fault() -> None:
    hub = a_hub()

    reply = fitting(Reply(b"x" * 1001), hub, 1000)

    assert fault(reply)[:2] == ("too_large", 413)
    assert "1001 bytes" in fault(reply)[2]
    assert fitting(Reply(b"x" * 1000), hub, 1000) == Reply(b"x" * 1000)


async def test_a_token_that_is_no_short_text_is_not_repeated() -> None:
    for token in (5, "x" * 200, ["t"]):
        reply = await update(a_hub(), {"reported": {}, "clientToken": token})
        assert "clientToken" not in json.loads(reply.body)


@pytest.mark.parametrize("reason", list(Reason))
async def test_every_reason_leaves_as_its_code(reason: Reason) -> None:
    async def handler(call: Call[Nothing], hub: Hub) -> Done:
        raise CATALOGUE[reason].fault(reason, "This is why.")

    assert fault(await serve(handler)) == (str(reason), CATALOGUE[reason].status, "This is why.")


@pytest.mark.parametrize("problem", [ValueError("s3cret"), KeyError("s3cret"), RecursionError(), AssertionError()])
async def test_the_unforeseen_leaves_as_internal_with_the_call_id_and_no_detail(problem: Exception) -> None:
    async def handler(call: Call[Nothing], hub: Hub) -> Done:
        raise problem

    with capture_logs() as logged:
        reply = await serve(handler, Hub_Call="call-77")

    error, code, message = fault(reply)
    assert (error, code) == ("internal", 500)
    assert "call-77" in message
    assert b"s3cret" not in reply.body
    assert logged[0]["log_level"] == "error"
    assert logged[0]["exc_info"]


async def test_a_reply_that_cannot_be_encoded_is_unforeseen_too() -> None:
    class Bad(Message):
        value: Any

    async def handler(call: Call[Nothing], hub: Hub) -> Bad:
        return Bad(value=object())

    assert (await serve(handler)).reason is Reason.INTERNAL


async def test_a_call_id_that_is_no_name_is_replaced_before_it_reaches_log_or_reply() -> None:
    async def handler(call: Call[Nothing], hub: Hub) -> Done:
        raise ValueError

    for given_id in ("x" * 1000, "a\nb", "<script>"):
        with capture_logs() as logged:
            reply = await serve(handler, Hub_Call=given_id)
        assert given_id not in fault(reply)[2]
        assert all(entry["call"] != given_id for entry in logged)


# --- Time -----------------------------------------------------------------------


async def test_a_call_whose_deadline_has_passed_is_not_begun() -> None:
    begun = False

    async def handler(call: Call[Nothing], hub: Hub) -> Done:
        nonlocal begun
        begun = True
        return Done()

    passed = str(int(START.timestamp() * 1000))
    reply = await serve(handler, Hub_Deadline=passed)

    assert fault(reply)[:2] == ("timeout", 504)
    assert not begun


@pytest.mark.parametrize("by_header", [False, True])
async def test_a_handler_that_overruns_its_time_is_stopped_where_it_waits_and_writes_nothing_later(
    by_header: bool,
) -> None:
    hub, waiting, released = a_hub(), asyncio.Event(), asyncio.Event()

    async def handler(call: Call[Nothing], hub: Hub) -> Done:
        waiting.set()
        await released.wait()
        await hub.reported.create(ID, Half(1))
        return Done()

    route = Route("a", handler, Nothing, SYSTEM, 30.0 if by_header else 0.02)
    headers = {"Hub-Caller": "system:test"}
    if by_header:
        headers["Hub-Deadline"] = str(int(START.timestamp() * 1000) + 20)
    reply = await answer(route, hub, "devicehub.a", b"", headers)
    released.set()
    await asyncio.sleep(0)

    assert waiting.is_set()
    assert fault(reply)[:2] == ("timeout", 504)
    assert await hub.reported.get(ID) is None


# --- The log --------------------------------------------------------------------


async def test_every_call_has_one_line_that_says_what_came_of_it_and_none_of_its_content() -> None:
    with capture_logs() as logged:
        await update(a_hub(), {"reported": {"s3cret": 1}}, Hub_Call="c1")
        await update(a_hub(), {"desired": {"s3cret": 1}}, Hub_Call="c2")
        await update(a_hub(), {"reported": ["s3cret"]}, Hub_Call="c3")

    assert [(line["event"], line["call"], line["outcome"]) for line in logged] == [
        ("call", "c1", "ok"),
        ("call", "c2", "desired_is_read_only"),
        ("call", "c3", "bad_request"),
    ]
    assert all(line["subject"] == SUBJECT and line["caller"] == f"device:{ID}" for line in logged)
    assert all(line["ms"] >= 0 for line in logged)
    assert "s3cret" not in repr(logged)


async def test_the_cause_of_a_fault_is_in_the_log_only() -> None:
    async def handler(call: Call[Nothing], hub: Hub) -> Done:
        raise Unavailable from OSError("disk of node 3")

    with capture_logs() as logged:
        reply = await serve(handler)

    assert "disk of node 3" in logged[0]["cause"]
    assert b"node 3" not in reply.body


# --- Any bytes ------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "reported",
        "desired",
        "clientToken",
        "expectedVersion",
        "timestamp",
        "data",
        "eventType",
        "csrPem",
        "uuid",
        "meta",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
PAYLOADS = st.binary(max_size=60) | st.dictionaries(WORDS, VALUES, max_size=4).map(json.dumps).map(str.encode)


@pytest.mark.parametrize("route", [route for route in ROUTES if DEVICE in route.allow], ids=lambda route: route.name)
@given(payload=PAYLOADS)
def test_whatever_a_device_sends_is_answered_or_refused_and_never_unforeseen(route: Route, payload: bytes) -> None:
    tokens = iter((ID, "boot"))
    subject = ".".join(next(tokens) if token == "*" else token for token in route.full_subject.split("."))

    reply = asyncio.run(answer(route, a_hub(), subject, payload, CALLER))

    assert reply.reason is not Reason.INTERNAL
    assert isinstance(json.loads(reply.body), dict)
