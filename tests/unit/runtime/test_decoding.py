"""From bytes and headers to a call."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.contract.messages import Nothing, TwinDesire, TwinReport
from functions.domain.callers import APP, CLAIM, DEVICE, OPERATOR, SYSTEM, Caller
from functions.domain.faults import Denied, Malformed, Reason
from functions.domain.order import Order
from functions.domain.tokens import Scope
from functions.handlers import twins
from functions.route import Route
from functions.runtime.decoding import (
    admit,
    caller_of,
    deadline_of,
    decode,
    echo,
    names_in,
    order_of,
    origin_of,
    parse,
    session_of,
)
from functions.testing import refused

UPDATE = Route("devices.*.twin.update", twins.update, TwinReport, DEVICE, 2.0, ("clientToken",))
DESIRE = Route("twins.*.desire", twins.desire, TwinDesire, OPERATOR | APP | SYSTEM, 2.0, scope=Scope.TWINS_WRITE)
VIEW = Route("twins.*.get", twins.view, Nothing, OPERATOR | APP | SYSTEM, 2.0, scope=Scope.TWINS_READ)


# --- Payload --------------------------------------------------------------------


def test_an_empty_payload_is_an_empty_object() -> None:
    assert parse(VIEW, b"") == {}


@pytest.mark.parametrize(
    "payload",
    [
        b"{", b"not json", b"\xff\xfe", b"\x00", b"[1,]", b"{'a':1}", b"NaN", b"-Infinity", b'{"a":NaN}', b"{}{}", b" ",
        b'"\\ud800"', b'{"\xed\xa0\x80":1}',
        b'{"a":1,"a":1}', b'{"reported":{"a":1,"\\u0061":2}}', b'"a\nb"', b"\xef\xbb\xbf{}", b"9" * 5000,
    ],
)  # fmt: skip
def test_what_is_not_json_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        parse(UPDATE, payload)

    assert refused.value.reason is Reason.BAD_REQUEST


@pytest.mark.parametrize(
    "number", [b"1e999", b"-1E+400", b"1e0309", b"9" * 300 + b"e99", b"9" * 400 + b".5", b"1.8e308"]
)
def test_a_number_beyond_every_reader_is_malformed_wherever_it_stands(number: bytes) -> None:
    for payload in (number, b"[1,[%s]]" % number, b'{"a":{"b":%s}}' % number):
        with pytest.raises(Malformed, match="too large"):
            parse(UPDATE, payload)


@pytest.mark.parametrize("payload", [b"1e308", b'"1e999"', b"1e-999", b"9" * 250, b'{"1e999":[1e99]}'])
def test_what_only_looks_like_a_number_beyond_every_reader_passes(payload: bytes) -> None:
    assert parse(UPDATE, payload) == json.loads(payload)


@given(st.from_regex(rb"-?(0|[1-9][0-9]{0,320})(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,4})?", fullmatch=True))
def test_no_number_that_passes_is_infinite(number: bytes) -> None:
    try:
        value = parse(UPDATE, number)
    except Malformed:
        assert abs(float(number)) == float("inf")
    else:
        assert isinstance(value, int) or abs(value) < float("inf")


@pytest.mark.parametrize("payload", [b"[" * 100_000, b'{"a":' * 50_000, b"[" * 250 + b"]" * 250])
def test_nesting_ends_the_parser_not_the_process(payload: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        parse(UPDATE, payload)

    assert refused.value.reason is Reason.TOO_DEEP


def test_a_million_keys_are_too_large_and_nobody_reads_them() -> None:
    payload = b"{" + b",".join(b'"%06x":1' % number for number in range(1_000_000)) + b"}"

    for route in (UPDATE, DESIRE):
        with pytest.raises(Malformed) as refused:
            parse(route, payload)
        assert refused.value.reason is Reason.TOO_LARGE


def test_a_payload_over_the_routes_limit_is_too_large_whatever_it_holds() -> None:
    small = Route("a.b", twins.view, Nothing, SYSTEM, 1.0, limit_bytes=10)

    assert parse(small, b'"12345678"') == "12345678"
    with pytest.raises(Malformed) as refused:
        parse(small, b"{" * 11)
    assert refused.value.reason is Reason.TOO_LARGE
    with pytest.raises(Malformed):
        parse(UPDATE, b" " * (256 * 1024 + 1))


@given(st.binary(max_size=200) | st.text('{}[]":,0123456789.eE+-\\untrufals \x00', max_size=60).map(str.encode))
def test_any_bytes_give_values_or_are_malformed(payload: bytes) -> None:
    try:
        values = parse(UPDATE, payload)
    except Malformed:
        return
    assert not payload or values == json.loads(payload)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5))
def test_any_values_give_a_message_or_are_malformed(values: Any) -> None:
    for given_values in (values, {"reported": values}, {"reported": {}, "expectedVersion": values}):
        try:
            body = decode(UPDATE, given_values)
        except Malformed:
            continue
        assert isinstance(body, TwinReport)


def test_what_is_wrong_is_said_by_field_and_never_by_value() -> None:
    with pytest.raises(Malformed) as refused:
        decode(UPDATE, {"reported": ["s3cret"], "expectedVersion": "s3cret", "clientToken": ["s3cret"]})

    assert "reported" in refused.value.detail
    assert "expectedVersion" in refused.value.detail
    assert "s3cret" not in refused.value.detail


def test_a_fields_name_is_said_in_short() -> None:
    with pytest.raises(Malformed) as refused:
        decode(DESIRE, {"desired": {}, "x" * 100_000: 1})

    assert len(refused.value.detail) < 500


def test_a_message_of_another_kind_is_named_as_the_payload() -> None:
    with pytest.raises(Malformed, match="payload: "):
        decode(UPDATE, [1])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"clientToken": "t", "other": "x"}, {"clientToken": "t"}),
        ({"clientToken": 5}, {}),
        ({"clientToken": "x" * 129}, {}),
        ({}, {}),
        ([{"clientToken": "t"}], {}),
        ("clientToken", {}),
        (None, {}),
    ],
)
def test_a_fault_repeats_what_the_route_names_if_it_is_short_text(values: Any, told: dict[str, str]) -> None:
    assert echo(UPDATE, values) == told


# --- Names ----------------------------------------------------------------------


def test_names_are_the_tokens_that_stand_for_wildcards() -> None:
    both = Route("devices.*.events.*", twins.view, Nothing, DEVICE, 1.0)

    assert names_in(UPDATE, "devicehub.devices.EDGB-0001.twin.update") == ("EDGB-0001",)
    assert names_in(both, "devicehub.devices.EDGB-0001.events.boot") == ("EDGB-0001", "boot")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "+", "#", "*", ">", "\x00", "ü", "x" * 65])
def test_a_name_of_another_form_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        names_in(UPDATE, f"devicehub.devices.{name}.twin.update")


@pytest.mark.parametrize("subject", ["devicehub.twins.D1.get", "devicehub.devices.a.b.twin.update", ""])
def test_a_subject_of_another_route_is_malformed(subject: str) -> None:
    with pytest.raises(Malformed):
        names_in(UPDATE, subject)


# --- Caller ---------------------------------------------------------------------


def test_within_the_hub_the_header_names_the_caller() -> None:
    assert caller_of({"Hub-Caller": "device:EDGB-0001"}) == Caller(DEVICE, "EDGB-0001")


@pytest.mark.parametrize("headers", [{}, {"Hub-Caller": ""}, {"Hub-Caller": "root"}, {"hub-caller": "system:cli"}])
def test_a_call_that_names_no_caller_is_denied(headers: dict[str, str]) -> None:
    with pytest.raises(Denied):
        caller_of(headers)


def test_a_route_admits_the_kinds_it_names() -> None:
    for kind, name, scope in ((OPERATOR, "anna", "operator"), (APP, "reports", "twins:write"), (SYSTEM, "cli", "")):
        admit(DESIRE, Caller(kind, name), ("EDGB-0001",), (scope,))
        with pytest.raises(Denied):
            admit(UPDATE, Caller(kind, name), ("EDGB-0001",))
    for kind in (DEVICE, CLAIM):
        with pytest.raises(Denied):
            admit(DESIRE, Caller(kind, "EDGB-0001"), ("EDGB-0001",))


def test_a_device_speaks_for_itself_only() -> None:
    admit(UPDATE, Caller(DEVICE, "EDGB-0001"), ("EDGB-0001",))

    for names in (("EDGB-0002",), ("edgb-0001",), ()):
        with pytest.raises(Denied):
            admit(UPDATE, Caller(DEVICE, "EDGB-0001"), names)


def test_a_route_may_let_a_device_name_another() -> None:
    anyone = Route("devices.*.provision.request", twins.view, Nothing, CLAIM | DEVICE, 1.0, own=False)

    admit(anyone, Caller(DEVICE, "EDGB-0001"), ("some-uuid",))
    admit(anyone, Caller(CLAIM, "default"), ("some-uuid",))


# --- Order and deadline ---------------------------------------------------------


def test_a_message_has_the_order_its_bridge_gave_it_or_none() -> None:
    assert order_of({"Hub-Order": "local-control/2/17"}) == Order("local-control", 2, 17)
    assert order_of({}) is None
    with pytest.raises(Malformed):
        order_of({"Hub-Order": "17"})


@pytest.mark.parametrize(
    ("headers", "caller", "origin"),
    [
        ({"Hub-Origin": "http:192.0.2.7"}, Caller(APP, "dashboard"), "http:192.0.2.7"),
        ({"Hub-Origin": "http:192.0.2.7", "Nats-Request-Info": "{}"}, Caller(APP, "alice"), "nats"),
        ({}, Caller(DEVICE, "EDGB-0001"), "mqtt"),
        ({}, Caller(CLAIM, "fleet"), "mqtt"),
        ({}, Caller(SYSTEM, "cli"), "cli"),
        ({}, Caller(SYSTEM, "bridge"), "hub"),
        ({}, Caller(OPERATOR, "anna"), "http"),
    ],
)
def test_a_call_comes_from_where_the_edge_says(headers: dict[str, str], caller: Caller, origin: str) -> None:
    assert origin_of(headers, caller) == origin


@pytest.mark.parametrize("origin", ["", "a b", "x" * 65, "http:192.0.2.7\r\nHub-Caller: system:cli"])
def test_an_origin_of_another_form_is_refused(origin: str) -> None:
    with refused(Malformed):
        origin_of({"Hub-Origin": origin}, Caller(APP, "dashboard"))


def test_only_of_a_device_it_is_told_which_session_a_message_came_in() -> None:
    headers = {"Hub-Session": "2051222400/127.0.0.1:7"}

    mark = session_of(headers, Caller(DEVICE, "EDGB-0001"))
    assert mark is not None
    assert str(mark) == headers["Hub-Session"]
    assert session_of({}, Caller(DEVICE, "EDGB-0001")) is None
    assert session_of(headers, Caller(APP, "dashboard")) is None
    with refused(Malformed):
        session_of({"Hub-Session": "now"}, Caller(DEVICE, "EDGB-0001"))


def test_the_deadline_is_the_callers_or_the_routes_whichever_is_earlier() -> None:
    assert deadline_of({}, 1000.0, 2.0) == 1002.0
    assert deadline_of({"Hub-Deadline": "1001500"}, 1000.0, 2.0) == 1001.5
    assert deadline_of({"Hub-Deadline": "9999999"}, 1000.0, 2.0) == 1002.0
    assert deadline_of({"Hub-Deadline": "0"}, 1000.0, 2.0) == 0.0


@pytest.mark.parametrize("text", ["", "soon", "-5", "1.5", "1e9", "9" * 16, " 5"])
def test_a_deadline_that_is_no_number_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        deadline_of({"Hub-Deadline": text}, 1000.0, 2.0)


def test_a_refusal_has_no_cause_that_would_carry_values_into_the_log() -> None:
    with pytest.raises(Malformed) as refused:
        decode(UPDATE, {"reported": ["s3cret"]})

    assert refused.value.__cause__ is None
