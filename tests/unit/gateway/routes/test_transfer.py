"""Devices out and in over HTTP, before the functions in process."""

import json
from typing import Any

import pytest

from functions.domain.twins import Half
from functions.testing import START
from gateway.settings import Bounds
from tests.unit.gateway.rig import Rig, make_device, make_rig

NDJSON = {"Content-Type": "application/x-ndjson"}
CSV = {"Content-Type": "text/csv; charset=utf-8"}
EXPORT, IMPORT = "/api/export/devices", "/api/import/devices"


def house(count: int = 3, **more: Any) -> Rig:
    devices = {f"pump-{number:04}": make_device(f"pump-{number:04}", name=f"=P{number}") for number in range(count)}
    return make_rig(devices=devices, desired={"pump-0001": Half(2, {"rate": 1}, {"rate": 0}, START)}, **more)


async def test_every_device_is_exported_with_its_twin() -> None:
    rig = house(450)
    async with rig.client(await rig.token("devices:read", "twins:read")) as client:
        answer = await client.get(EXPORT)

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="devices.ndjson"'
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["deviceId"] for line in lines] == [f"pump-{number:04}" for number in range(450)]
    assert (lines[1]["desired"], lines[1]["desiredVersion"], lines[1]["reported"]) == ({"rate": 1}, 2, {})


@pytest.mark.parametrize(("query", "headers"), [("?format=csv", {}), ("", {"Accept": "text/csv, */*;q=0.1"})])
async def test_an_export_can_be_csv(query: str, headers: dict[str, str]) -> None:
    rig = house()
    async with rig.client(await rig.token("admin")) as client:
        answer = await client.get(EXPORT + query, headers=headers)

    assert answer.headers["content-type"].startswith("text/csv")
    heading, first, *_ = answer.text.split("\r\n")
    assert heading.startswith("deviceId,displayName,role")
    assert first.startswith("pump-0000,'=P0,")


async def test_without_twins_a_token_need_not_read_them() -> None:
    rig = house()
    async with rig.client(await rig.token("devices:read")) as client:
        whole, without = await client.get(EXPORT), await client.get(f"{EXPORT}?twins=false")

    assert (whole.status_code, whole.json()["error"]) == (403, "denied")
    assert without.status_code == 200
    assert "desired" not in json.loads(without.text.splitlines()[0])


@pytest.mark.parametrize("query", ["?format=xml", "?twins=maybe", "?limit=3"])
async def test_wrong_options_are_refused(query: str) -> None:
    rig = house()
    async with rig.client(await rig.token("admin")) as client:
        answer = await client.get(EXPORT + query)

    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")


@pytest.mark.parametrize(("query", "kind"), [("?format=ndjson", NDJSON), ("?format=csv", CSV)])
async def test_what_is_exported_can_be_imported(query: str, kind: dict[str, str]) -> None:
    here, there = house(250), make_rig(devices={})
    async with here.client(await here.token("admin")) as client:
        content = (await client.get(EXPORT + query)).content
        same = (await client.post(IMPORT, content=content, headers=kind)).json()
    async with there.client(await there.token("admin")) as client:
        dry = (await client.post(f"{IMPORT}?dryRun", content=content, headers=kind)).json()
        done = (await client.post(f"{IMPORT}?dryRun=false", content=content, headers=kind)).json()
        again = (await client.get(EXPORT + query)).content

    assert (same["total"], same["unchanged"]) == (250, 250)
    assert (dry["dryRun"], dry["total"], dry["created"]) == (True, 250, 250)
    assert (done["dryRun"], done["created"], done["failed"]) == (False, 250, 0)
    assert [line["deviceId"] for line in done["lines"]] == [f"pump-{number:04}" for number in range(250)]
    assert again == content


async def test_each_line_says_what_became_of_it() -> None:
    rig = house()
    content = "\n".join(
        [
            '{"deviceId":"pump-0000","notes":"x"}',
            "{",
            "",
            '{"deviceId":"pump-0001"}',
            '{"deviceId":"no way"}',
            '{"deviceId":"pump-0009","lifecycle":"suspended"}',
            '{"deviceId":"pump-0002","desired":' + '{"a":' * 150 + "1" + "}" * 150 + "}",
            '{"deviceId":"pump-0002","notes":"y"}',
        ]
    )
    async with rig.client(await rig.token("admin")) as client:
        answer = await client.post(IMPORT, content=content, headers=NDJSON)

    report = answer.json()
    assert [(line["line"], line["result"], line.get("error")) for line in report["lines"]] == [
        (1, "updated", None),
        (2, "failed", "bad_request"),
        (4, "unchanged", None),
        (5, "failed", "bad_request"),
        (6, "created", None),
        (7, "failed", "too_deep"),
        (8, "updated", None),
    ]
    counts = {name: report[name] for name in ("total", "created", "updated", "unchanged", "failed")}
    assert counts == {"total": 7, "created": 1, "updated": 2, "unchanged": 1, "failed": 3}


async def test_an_empty_import_is_none() -> None:
    rig = house()
    async with rig.client(await rig.token("admin")) as client:
        answer = await client.post(IMPORT, content="", headers=NDJSON)

    assert answer.json() == {
        "dryRun": False, "total": 0, "created": 0, "updated": 0, "unchanged": 0, "failed": 0, "lines": [],
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
async def test_another_media_type_is_refused(kind: str) -> None:
    rig = house()
    async with rig.client(await rig.token("admin")) as client:
        answer = await client.post(IMPORT, content="{}", headers={"Content-Type": kind})

    assert answer.status_code == 415
    assert answer.headers["accept-post"] == "text/csv, application/x-ndjson"


async def test_a_line_that_is_too_long_and_a_wrong_heading_end_it() -> None:
    rig = house()
    async with rig.client(await rig.token("admin")) as client:
        long = await client.post(IMPORT, content="x" * 300_000, headers=NDJSON)
        heading = await client.post(IMPORT, content="id,name\npump-0001,x\n", headers=CSV)

    assert (long.status_code, heading.status_code) == (413, 400)
    assert "names the columns" in heading.json()["detail"]


async def test_it_needs_more_than_to_read() -> None:
    rig = house()
    async with rig.client(await rig.token("devices:read", "devices:write", "twins:write")) as client:
        answer = await client.post(IMPORT, content='{"deviceId":"pump-0001"}', headers=NDJSON)

    assert (answer.status_code, answer.json()["error"]) == (403, "denied")


async def test_a_body_larger_than_others_is_taken_up_to_its_own_bound() -> None:
    rig = make_rig(devices={}, bounds=Bounds(body_bytes=1000, import_bytes=20_000))
    line = b'{"deviceId":"pump-0001","notes":"%s"}\n' % (b"x" * 400)
    async with rig.client(await rig.token("admin")) as client:
        taken = await client.post(IMPORT, content=line * 20, headers=NDJSON)
        refused = await client.post(IMPORT, content=line * 60, headers=NDJSON)

    assert (taken.status_code, taken.json()["total"]) == (200, 20)
    assert (refused.status_code, refused.json()["error"]) == (413, "too_large")
