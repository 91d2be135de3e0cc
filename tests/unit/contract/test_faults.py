"""The fault catalogue and the replies made of it."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.contract.faults import CATALOGUE, CODE_HEADER, ERROR_HEADER, decode_fault, encode_fault, fault_body
from functions.domain.faults import Conflict, Denied, Fault, Malformed, NotFound, Reason, Unavailable

NOW = datetime(2035, 1, 1, 12, 0, 0, 5000, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_in_the_catalogue(reason: Reason) -> None:
    entry = CATALOGUE[reason]

    assert issubclass(entry.fault, Fault)
    assert 400 <= entry.status <= 599
    assert entry.sentence.endswith(".")
    assert entry.sentence[0].isupper()


def test_the_catalogue_has_nothing_else() -> None:
    assert set(CATALOGUE) == set(Reason)


@pytest.mark.parametrize("kind", [Malformed, Denied, NotFound, Conflict, Unavailable])
def test_what_a_class_means_by_itself_is_a_reason_of_that_class(kind: type[Fault]) -> None:
    assert CATALOGUE[kind().reason].fault is kind


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("bad_request", 400),
        ("desired_is_read_only", 403),
        ("unknown_device", 404),
        ("version_conflict", 409),
        ("too_large", 413),
        ("too_deep", 400),
        ("query_too_costly", 400),
        ("rate_limited", 429),
        ("unavailable", 503),
    ],
)
def test_codes_of_the_twin_contract_have_its_statuses(reason: str, status: int) -> None:
    assert CATALOGUE[Reason(reason)].status == status


def test_a_status_tells_the_class() -> None:
    by_status = {403: Denied, 404: NotFound, 409: Conflict, 413: Malformed, 400: Malformed}

    for entry in CATALOGUE.values():
        assert entry.fault is by_status.get(entry.status, entry.fault)


@given(st.sampled_from(Reason), TEXT, st.dictionaries(st.sampled_from(["clientToken", "requestId"]), TEXT))
def test_a_fault_is_read_back_from_its_reply(reason: Reason, detail: str, echo: dict[str, str]) -> None:
    fault = CATALOGUE[reason].fault(reason, detail)

    headers, body = encode_fault(fault, NOW, echo)
    again = decode_fault(headers, body)

    assert type(again) is type(fault)
    assert again is not None
    assert fault_body(again, NOW, echo) == fault_body(fault, NOW, echo)
    assert fault_body(fault, NOW, echo) == json.loads(body)


@given(st.dictionaries(TEXT, TEXT, max_size=3))
def test_the_wrong_fields_of_a_request_are_told(fields: dict[str, str]) -> None:
    headers, body = encode_fault(Malformed(detail="Wrong.", fields=fields), NOW)

    again = decode_fault(headers, body)

    assert again is not None
    assert again.fields == fields
    assert ("fields" in json.loads(body)) is bool(fields)


@pytest.mark.parametrize("fields", [b"null", b"5", b"[1]", b'"x"'])
def test_fields_of_another_form_are_none(fields: bytes) -> None:
    fault = decode_fault({ERROR_HEADER: "bad_request"}, b'{"message":"Wrong.","fields":' + fields + b"}")

    assert fault is not None
    assert (fault.detail, fault.fields) == ("Wrong.", {})


def test_a_fault_says_code_sentence_and_time() -> None:
    here = timezone(timedelta(hours=2))

    assert fault_body(NotFound(Reason.UNKNOWN_DEVICE), NOW.astimezone(here), {"clientToken": "t"}) == {
        "error": "unknown_device",
        "message": "The registry has no such device.",
        "code": 404,
        "timestamp": "2035-01-01T12:00:00.005Z",
        "clientToken": "t",
    }


@pytest.mark.parametrize("headers", [None, {}, {"Hub-Call": "1"}, {CODE_HEADER: "500"}])
def test_a_reply_without_the_error_header_is_an_answer(headers: dict[str, str] | None) -> None:
    assert decode_fault(headers, b'{"error":"x"}') is None


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("400", Reason.BAD_REQUEST),
        ("401", Reason.UNAUTHENTICATED),
        ("403", Reason.DENIED),
        ("405", Reason.METHOD_NOT_ALLOWED),
        ("404", Reason.NOT_FOUND),
        ("409", Reason.VERSION_CONFLICT),
        ("429", Reason.UNAVAILABLE),
        ("503", Reason.UNAVAILABLE),
        ("500", Reason.INTERNAL),
        ("", Reason.INTERNAL),
        ("what", Reason.INTERNAL),
    ],
)
def test_a_reason_of_a_newer_hub_is_taken_by_its_status(status: str, reason: Reason) -> None:
    fault = decode_fault({ERROR_HEADER: "brand_new", CODE_HEADER: status}, b'{"message":"Do that."}')

    assert fault is not None
    assert (type(fault), fault.reason, fault.detail) == (CATALOGUE[reason].fault, reason, "Do that.")


@given(st.binary(max_size=40) | st.sampled_from([b"[1]", b"5", b'{"message":5}', b'{"message":null}', b"null"]))
def test_a_fault_with_any_body_is_a_fault(body: bytes) -> None:
    fault = decode_fault({ERROR_HEADER: "unavailable", CODE_HEADER: "503"}, body)

    assert fault is not None
    assert fault.reason is Reason.UNAVAILABLE
