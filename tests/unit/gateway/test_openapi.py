import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from functions.contract.faults import CATALOGUE
from functions.contract.messages import (
    CertificateRevoked,
    CertificateView,
    ClaimFact,
    ClaimIssue,
    ClaimView,
    ConnectionFact,
    DeviceRecord,
    DeviceView,
    EnrolmentView,
    FleetStats,
    Message,
    MessageSend,
    MessageSent,
    MethodAnswer,
    MethodCall,
    TelemetryLatest,
    TelemetryReport,
    TwinChange,
    TwinComparison,
    TwinDesire,
    TwinView,
    UserCreate,
    UserFact,
    UserSessionFact,
    WhitelistCreate,
    WhitelistFact,
    WhitelistReport,
)
from gateway import examples, measured_examples, user_examples
from tests.unit.gateway.rig import Rig, make_rig

METHODS = ("get", "put", "post", "patch", "delete")


@pytest.fixture
async def document(rig: Rig) -> dict[str, Any]:
    async with rig.client() as client:
        answer = await client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    return dict(answer.json())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def resolve(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


async def test_every_address_is_described(document: dict[str, Any]) -> None:
    served = {
        (method.lower(), route.path)  # type: ignore[attr-defined]
        for route in make_rig().app.routes
        # Of WebSockets this kind of document knows nothing.
        for method in getattr(route, "methods", ())
    }
    described = {(method, path) for method, path, _ in operations(document)}

    assert served - described == {("get", path) for path in ("/", "/docs", "/openapi.json", "/asyncapi.json")}
    assert not described - served


async def test_a_validator_of_openapi_finds_nothing_wrong(document: dict[str, Any]) -> None:
    assert [
        (list(wrong.absolute_path), wrong.message) for wrong in OpenAPIV31SpecValidator(document).iter_errors()
    ] == []

    document["paths"]["/api/devices"]["get"]["parameters"][0]["in"] = "thought"
    assert not OpenAPIV31SpecValidator(document).is_valid()


async def test_every_reference_leads_somewhere_and_nothing_is_left_over(document: dict[str, Any]) -> None:
    used = set(references(document))

    assert used
    for reference in used:
        resolve(document, reference)
    parts = document["components"]
    offered = {f"#/components/{kind}/{name}" for kind in ("schemas", "responses") for name in parts[kind]}
    assert offered == used


async def test_every_operation_says_all_there_is_to_know(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for *_, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    assert "listDevices" in ids
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"], where
        assert operation["tags"], where
        answers = operation["responses"]
        # Others than the one that is usual have the same content.
        good, *_ = (answers[status] for status in answers if status.startswith("2"))
        content, *others = good["content"].values()
        assert all(one["schema"] for one in (content, *others)), where
        assert content["example"], where
        assert {"400", "500", "503"} <= set(answers), where
        role, scope = operation.get("x-required-role"), operation.get("x-required-scope")
        assert ("security" in operation) == (role is not None), where
        assert f"`{role}`" in operation["description"] or role in (None, "viewer"), where
        assert ("Anyone may ask." in operation["description"]) == (role is None), where
        assert f"`{scope}`" in operation["description"] or scope is None, where
        if "security" in operation:
            assert {"401", "403", "429", "504"} <= set(answers), where
        named = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path)), where
        for parameter in operation["parameters"]:
            assert parameter["description"], where
            assert parameter["schema"]["type"], where
        assert ("requestBody" in operation) <= (method in ("patch", "post", "put")), where
        assert ("requestBody" in operation) or method not in ("patch", "put"), where


async def test_every_refusal_is_a_problem_page(document: dict[str, Any]) -> None:
    schema = document["components"]["schemas"]["Problem"]
    assert set(schema["properties"]["error"]["enum"]) == {str(reason) for reason in CATALOGUE}
    for _, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status[0] in "23":
                continue
            told = resolve(document, answer["$ref"])
            (content,) = [told["content"]["application/problem+json"]]
            for reason, example in content["examples"].items():
                page = example["value"]
                assert (page["status"], page["error"]) == (int(status), reason)
                assert set(schema["required"]) <= set(page) <= set(schema["properties"])


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (DeviceView, examples.DEVICE),
        (DeviceRecord, examples.DEVICE_RECORD),
        (TwinView, examples.TWIN),
        (TwinDesire, examples.WISH),
        (MethodCall, examples.METHOD_CALL),
        (MethodAnswer, examples.METHOD_ANSWER),
        (ConnectionFact, examples.CONNECTION),
        (MessageSend, examples.MESSAGE_SEND),
        (MessageSent, examples.MESSAGE_SENT),
        (TwinChange, examples.CHANGE),
        (TwinComparison, examples.COMPARISON),
        (FleetStats, examples.STATS),
        (CertificateView, examples.CERTIFICATE),
        (CertificateRevoked, examples.REVOKED),
        (ClaimFact, examples.CLAIM),
        (ClaimView, examples.CLAIM_DETAIL),
        (ClaimIssue, examples.CLAIM_ISSUE),
        (EnrolmentView, examples.ENROLMENT),
        (WhitelistFact, examples.WHITELIST_ENTRY),
        (WhitelistCreate, examples.WHITELIST_CREATE),
        (WhitelistReport, examples.WHITELIST_REPORT),
        (UserFact, user_examples.USER),
        (UserCreate, user_examples.USER_CREATE),
        (UserSessionFact, user_examples.SESSION),
        (TelemetryLatest, measured_examples.TELEMETRY_LATEST),
        (TelemetryReport, measured_examples.TELEMETRY_REPORT),
    ],
)
def test_an_example_is_a_message_as_it_is_sent(model: type[Message], example: dict[str, Any]) -> None:
    import orjson

    message = model.model_validate_json(orjson.dumps(example))

    assert set(example) == {field.alias for field in model.model_fields.values()}
    assert orjson.loads(message.encode()).keys() == example.keys()


async def test_what_is_answered_has_the_shape_that_is_described(rig: Rig, document: dict[str, Any]) -> None:
    async with rig.client() as client:
        for path in ("/health", "/healthz", "/readyz"):
            content = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
            told = (await client.get(path)).json()
            assert set(told) == set(content["schema"]["required"]) == set(content["example"])


async def test_it_is_openapi_3_1_and_names_the_hub(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"] == "Device Hub"
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
