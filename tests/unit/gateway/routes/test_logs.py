"""Logs over HTTP."""

from typing import Any

import pytest

from functions.contract.messages import LogEntry, LogPage, LogQuery, Message
from functions.testing import START, make_host
from gateway.live.logs import asked
from gateway.live.logstream import _event
from gateway.routes.logs import _TEXTS
from tests.unit.gateway.rig import Rig, make_rig

HOSTILE = "<script>alert(1)</script>\n\nevent: gap\x1b[2J\u202e\0"


@pytest.fixture
async def rig() -> Rig:
    rig = make_rig()
    rig.hub.hosts.here["hub-1"] = make_host("hub-1", "bridge")
    return rig


async def test_a_page_is_an_array_with_a_link_to_older_lines(rig: Rig) -> None:
    entry = LogEntry(cursor="f=1;o=7", time=START, priority="err", text=HOSTILE)

    def respond(node: str, ask: tuple[str, ...], body: Any) -> Message:
        return LogPage(node=node, unit=body.unit, entries=[entry], older="f=1;o=7")

    rig.hub.hosts.respond = respond
    async with rig.client(await rig.token("admin")) as client:
        answer = await client.get("/api/logs?unit=bridge&lines=1&priority=err&q=%3Cscript&before=f%3D1%3Bo%3D9")

    assert answer.status_code == 200, answer.text
    assert answer.json()[0]["text"] == HOSTILE
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.links["next"]["url"].endswith("before=f%3D1%3Bo%3D7")
    node, ask, body = rig.hub.hosts.asked[-1]
    wanted = LogQuery(unit="bridge", lines=1, priority="err", q="<script", before="f=1;o=9")
    assert (node, ask, body) == ("hub-1", ("logs", "read"), wanted)


@pytest.mark.parametrize("address", ["/api/logs", "/api/logs/stream"])
async def test_logs_need_the_scope_admin_and_a_unit(rig: Rig, address: str) -> None:
    async with rig.client(await rig.token("devices:read")) as client:
        assert (await client.get(f"{address}?unit=bridge")).status_code == 403
    async with rig.client() as client:
        assert (await client.get(f"{address}?unit=bridge")).status_code == 401
    async with rig.client(await rig.token("admin")) as client:
        for unit in ("", "a b", "../bridge", "a/b", "%00", "x" * 256):
            assert (await client.get(f"{address}?unit={unit}")).status_code == 400
        assert (await client.get(address)).status_code == 400


async def test_what_the_shim_refuses_is_refused(rig: Rig) -> None:
    async with rig.client(await rig.token("admin")) as client:
        answer = await client.get("/api/logs/stream?unit=bridge")

    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


async def test_each_parameter_is_described() -> None:
    assert set(_TEXTS) == {field.alias for field in LogQuery.model_fields.values()}


@pytest.mark.parametrize(
    ("topic", "unit", "node"),
    [
        ("logs:gateway", "gateway", None),
        ("logs:node-1/getty@tty1.service", "getty@tty1.service", "node-1"),
        ("logs:a:b\\x2d.mount", "a:b\\x2d.mount", None),
    ],
)
def test_a_topic_names_a_unit(topic: str, unit: str, node: str | None) -> None:
    found = asked(topic)

    assert found is not None
    assert (found.unit, found.node) == (unit, node)


@pytest.mark.parametrize(
    "topic", ["logs:", "logs:a b", "logs:../a", "logs:a/b/c", "logs:a\n", "log:a", "logs", "logs:*"]
)
def test_other_topics_name_none(topic: str) -> None:
    assert asked(topic) is None


def test_no_text_ends_an_event() -> None:
    text = _event(LogEntry(cursor="f=1;o=7", time=START, priority="err", text=HOSTILE).model_dump(mode="json"))

    assert text.startswith(b"id: f=1;o=7\ndata: {")
    assert text.count(b"\n") == 3
