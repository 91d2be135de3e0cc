"""Messages: names, strictness, and what is left out."""

import inspect
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from functions.contract import messages as m

MODELS = [
    kind
    for _, kind in inspect.getmembers(m, inspect.isclass)
    if issubclass(kind, m.Message) and kind.__module__.startswith(f"{m.__name__}.")
]
FROM_DEVICES = [kind for kind in MODELS if issubclass(kind, m.FromDevice) and kind is not m.FromDevice]
REQUESTS = [kind for kind in MODELS if issubclass(kind, m.Request) and kind is not m.Request]


@pytest.mark.parametrize("kind", MODELS)
def test_names_on_the_wire_are_camel_case(kind: type[m.Message]) -> None:
    for name, field in kind.model_fields.items():
        assert field.alias is not None
        # As the clients that were published for HTTP read it.
        assert "_" not in field.alias or field.alias == "device_count"
        assert field.alias.replace("_", "").lower() == name.replace("_", "")


@pytest.mark.parametrize("kind", MODELS)
def test_every_message_says_what_it_is(kind: type[m.Message]) -> None:
    assert (kind.__doc__ or "").strip()


@pytest.mark.parametrize("kind", FROM_DEVICES)
def test_fields_the_hub_does_not_know_are_no_fault_of_a_device(kind: type[m.Message]) -> None:
    required = {
        m.CreateFromCsr: {"csrPem": "x"},
        m.Renew: {"csrPem": "x"},
        m.RenewConfirm: {"certificateId": "0f"},
        m.MethodResponse: {"requestId": "x"},
    }

    kind.model_validate({**required.get(kind, {}), "somethingOfTheClients": 1})


@pytest.mark.parametrize("kind", REQUESTS)
def test_an_unknown_field_of_any_other_request_is_an_error(kind: type[m.Message]) -> None:
    with pytest.raises(ValidationError) as refused:
        kind.model_validate({"somethingElse": 1})

    assert "extra_forbidden" in {error["type"] for error in refused.value.errors()}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (m.TwinReport, {"reported": [1]}),
        (m.TwinReport, {"reported": "x"}),
        (m.TwinReport, {"reported": {}, "expectedVersion": "1"}),
        (m.TwinReport, {"reported": {}, "expectedVersion": 1.5}),
        (m.TwinReport, {"reported": {}, "expectedVersion": True}),
        (m.TwinReport, {"reported": {}, "expectedVersion": -1}),
        (m.TwinReport, {"reported": {}, "clientToken": 5}),
        (m.TwinReport, {"reported": {}, "clientToken": "x" * 65}),
        (m.TwinGet, {"clientToken": ["x"]}),
        (m.TwinDesire, {}),
        (m.TwinDesire, {"desired": None}),
        (m.CreateFromCsr, {"csrPem": 5}),
        (m.CreateFromCsr, {}),
        (m.Telemetry, [1]),
        (m.Telemetry, None),
        (m.RegistryQuery, {"limit": 0}),
        (m.RegistryQuery, {"limit": 1001}),
        (m.RegistryQuery, {"limit": "5"}),
        (m.SessionOpened, {"broker": "b", "clientId": "c", "commonName": "n", "address": "a", "at": "soon"}),
        (m.EnrolmentOpen, {"minutes": 0}),
    ],
)
def test_values_of_another_type_are_refused(kind: type[m.Message], values: Any) -> None:
    with pytest.raises(ValidationError):
        kind.model_validate(values)


def test_a_time_in_a_request_is_iso_8601_text() -> None:
    line = m.BrokerRestarted.model_validate({"broker": "local", "at": "2035-01-01T12:00:00Z"})

    assert line.at == datetime(2035, 1, 1, 12, tzinfo=UTC)


def test_what_was_never_set_is_left_out_and_what_is_none_is_null() -> None:
    assert json.loads(m.Provisioned(device_id="D1").encode()) == {"deviceId": "D1"}
    assert json.loads(m.TwinUpdated(desired=None, reported=None).encode()) == {"desired": None, "reported": None}


def test_what_was_sent_is_what_is_read() -> None:
    sent = m.TwinAccepted(
        device_id="D1",
        operation="update",
        desired=m.TwinHalf(version=0, doc={}),
        reported=m.TwinHalf(version=2, doc={"a": [1, 1.5, None, True, {"b": "ü"}], "c": {}}),
        updated=m.TwinUpdated(desired=None, reported=None),
        timestamp=datetime(2035, 1, 1, 12, 0, 0, 500, tzinfo=UTC),
    )

    assert m.TwinAccepted.model_validate_json(sent.encode()) == sent


def test_done_is_a_constant() -> None:
    assert json.loads(m.Done().encode()) == {"done": True}
    assert m.Done.model_validate_json(m.Done().encode()) == m.Done()


@pytest.mark.parametrize("name", ["\x1b[31mred", "two\nlines", "nul\x00", "c1\x9b31m", "del\x7f"])
def test_a_name_that_would_steer_a_terminal_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        m.ProvisionRequest.model_validate({"name": name})


def test_a_name_in_any_script_is_taken() -> None:
    assert m.ProvisionRequest.model_validate({"name": "Pümpe 3 水"}).name == "Pümpe 3 水"
