"""The description for AsyncAPI says all that the tables say, and all of what it points at is there."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from bridge.mqtt.topics import OUTBOUND, ROWS
from functions.contract import subjects
from functions.routes import ROUTES
from gateway.live.topics import TOPICS
from infra.asyncapi import EVENTS, SERVED, document
from infra.stack.permissions import HEARD_BY_INTEGRATIONS

SCHEMA = Path(__file__).parents[2] / "vectors" / "asyncapi" / "schema-3.0.0.json"


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document(ROUTES, version="1.2.3")


def _pattern(address: str) -> str:
    return re.sub(r"\{\w+\}", "*", address)


def _operations(described: dict[str, Any], action: str, server: str) -> dict[str, dict[str, Any]]:
    """Operations by the pattern of their address."""
    found = {}
    for one in described["operations"].values():
        channel = _at(described, one["channel"]["$ref"])
        if one["action"] == action and channel["servers"] == [{"$ref": f"#/servers/{server}"}]:
            found[_pattern(channel["address"])] = one
    return found


def _at(described: dict[str, Any], place: str) -> Any:
    found: Any = described
    for step in place.removeprefix("#/").split("/"):
        found = found[step]
    return found


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def test_every_function_is_there_on_its_terms(described: dict[str, Any]) -> None:
    received = _operations(described, "receive", "nats")

    others = {f"devicehub.{subject}" for subject in SERVED}
    assert received.keys() == {route.full_subject for route in ROUTES} | others
    for route in ROUTES:
        one = received[route.full_subject]
        assert one.get("x-scope") == (str(route.scope) if route.scope else None)
        assert one["messages"][0]["$ref"].endswith(f"/{route.body.__name__}")
        assert one["summary"]
        assert "Fault" in _at(described, one["reply"]["channel"]["$ref"])["messages"]


def test_every_event_is_there_with_the_scope_it_needs(described: dict[str, Any]) -> None:
    sent = _operations(described, "send", "nats")

    assert sent.keys() == {f"{subjects.ROOT}.{subject}" for subject in EVENTS}
    assert {address: one["x-scope"] for address, one in sent.items() if "x-scope" in one} == {
        subject: str(scope) for subject, scope in HEARD_BY_INTEGRATIONS.items()
    }


def test_the_events_are_those_of_the_written_interface() -> None:
    page = (Path(subjects.__file__).with_name("README.md")).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z.*-]+)` \| (?:`(\w+)`|any JSON) \| [^|]+ \|$", page, re.MULTILINE)

    written = {subject: body or None for subject, body in rows}
    told = {subject: kind and kind.__name__ for subject, kind in EVENTS.items()}
    known = {subject: body for subject, body in told.items() if not subject.startswith("stored.")}
    assert known.pop("devices.*.methods.*.response") == "MethodResponse"
    assert written == known


def test_what_other_parts_answer_is_that_of_the_written_interface() -> None:
    page = (Path(subjects.__file__).with_name("README.md")).read_text(encoding="utf-8")
    table = page.partition("| served subject |")[2].partition("\n\n")[0]
    written = set()
    for row in table.splitlines()[2:]:
        first, *more = re.findall(r"`([^`]+)`", row.split(" | ")[0])
        stem = re.sub(r"\{\w+\}", "*", first.removeprefix("devicehub."))
        written |= {stem, *(stem.rpartition(".")[0] + other for other in more)}

    assert written == SERVED.keys()


def test_every_topic_of_mqtt_is_there(described: dict[str, Any]) -> None:
    def topic(path: str) -> str:
        return f"$devicehub/{path.replace('+', '*').replace('.', '/')}"

    answers = {topic(f"{row.answers}/accepted") for row in ROWS if row.accepts}
    answers |= {topic(f"{row.answers}/rejected") for row in ROWS if row.answers}
    assert _operations(described, "receive", "mqtt").keys() == {topic(row.path) for row in ROWS}
    assert _operations(described, "send", "mqtt").keys() == answers | {topic(told.subject) for told in OUTBOUND}


def test_every_live_topic_is_there_with_what_it_carries(described: dict[str, Any]) -> None:
    (told,) = _operations(described, "send", "websocket").values()

    names = [one["$ref"].rpartition("/")[2] for one in told["messages"]]
    assert names == [f"Live-{topic}" for topic in TOPICS]
    frames = [described["components"]["messages"][name]["payload"]["properties"] for name in names]
    assert [frame["topic"]["const"] for frame in frames] == list(TOPICS)
    assert [frame["data"]["$ref"].rpartition("/")[2] for frame in frames if "AnyJson" not in frame["data"]["$ref"]] == [
        "PresenceChanged", "PresenceChanged", "LiveChange", "LiveChange", "AlarmChanged", "AuditRecorded",
        "OnboardingStep", "TwinDocuments", "DeviceSwapped", "JobProgress", "ServiceView", "HostSample",
    ]  # fmt: skip


def test_everything_it_points_at_is_there(described: dict[str, Any]) -> None:
    for place in set(_references(described)):
        assert _at(described, place) is not None


def test_it_has_the_form_of_asyncapi_three(described: dict[str, Any]) -> None:
    assert described["asyncapi"] == "3.0.0"
    assert described["info"].keys() >= {"title", "version"}
    assert all(one.keys() >= {"host", "protocol"} for one in described["servers"].values())
    for key, channel in described["channels"].items():
        assert re.fullmatch(r"[\w-]+", key)
        named = re.findall(r"\{(\w+)\}", channel["address"] or "")
        assert sorted(named) == sorted(channel.get("parameters", {}))
    for one in described["operations"].values():
        assert one["action"] in ("send", "receive")
        messages = _at(described, one["channel"]["$ref"])["messages"]
        assert {each["$ref"].rpartition("/")[2] for each in one["messages"]} <= messages.keys()


@pytest.fixture(scope="module")
def form() -> Draft7Validator:
    """What the AsyncAPI Initiative says that a document is; the vectors' README says where it is from."""
    return Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def test_the_schema_of_asyncapi_finds_nothing_wrong(described: dict[str, Any], form: Draft7Validator) -> None:
    written = json.loads(json.dumps(described))

    assert [(list(wrong.absolute_path), wrong.message) for wrong in form.iter_errors(written)] == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda told: told["info"].pop("title"),
        lambda told: next(iter(told["operations"].values())).update(action="shout"),
        lambda told: next(iter(told["operations"].values())).pop("channel"),
        lambda told: next(iter(told["channels"].values())).update(adress="devicehub.nowhere"),
        lambda told: told["servers"]["nats"].pop("protocol"),
        lambda told: next(iter(told["components"]["schemas"].values())).update(type="text"),
    ],
)
def test_the_schema_of_asyncapi_finds_mistakes(
    described: dict[str, Any], form: Draft7Validator, spoil: Callable[[dict[str, Any]], object]
) -> None:
    spoilt = json.loads(json.dumps(described))
    spoil(spoilt)

    assert not form.is_valid(spoilt)
