import json
import time
from typing import Any

import httpx
import pytest

from functions.testing import START
from tests.unit.gateway.rig import Rig

PATH = "/api/admin/uuid-whitelist"
BATCH = f"{PATH}/batch"
UUID = "9205fa1c-7e57-4bad-8c0d-e51a7edcab1e"


@pytest.fixture
async def client(rig: Rig) -> httpx.AsyncClient:
    return rig.client(await rig.token("admin"))


async def add(client: httpx.AsyncClient, uuid: str = UUID, **facts: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json={"uuid": uuid, **facts})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def send(
    client: httpx.AsyncClient, content: str | bytes, kind: str = "text/csv", query: str = ""
) -> httpx.Response:
    return await client.post(f"{BATCH}?{query}", content=content, headers={"Content-Type": kind})


def told(answer: httpx.Response) -> list[tuple[int, str]]:
    assert answer.status_code == 200, answer.text
    return [(one["line"], one["result"]) for one in answer.json()["lines"]]


# --- One entry


async def test_a_uuid_is_added_listed_changed_and_removed(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        PATH, json={"uuid": UUID, "note": "lot 7", "hardwareVersion": "rev C", "manufacturer": "ACME"}
    )

    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"{PATH}/{made['id']}"
    assert made == {
        "id": made["id"],
        "hint": "ab1e",
        "note": "lot 7",
        "hardwareVersion": "rev C",
        "manufacturer": "ACME",
        "disabled": False,
        "addedAt": START.isoformat().replace("+00:00", "Z"),
        "firstUsedAt": None,
        "lastUsedAt": None,
    }
    assert "9205" not in answer.text
    assert (await client.get(PATH)).json() == [made]
    changed = await client.patch(f"{PATH}/{made['id']}", json={"disabled": True, "note": "returned"})
    assert changed.json() == {**made, "disabled": True, "note": "returned"}
    gone = await client.delete(f"{PATH}/{made['id']}")
    assert (gone.status_code, gone.json()) == (200, {"done": True})
    assert (await client.get(PATH)).json() == []
    assert (await client.delete(f"{PATH}/{made['id']}")).status_code == 404


async def test_a_page_has_its_total_and_links(client: httpx.AsyncClient) -> None:
    for number in range(5):
        await add(client, f"board-{number:04}")

    page = await client.get(PATH, params={"limit": 2, "offset": 2, "sort": "hint"})

    assert [one["hint"] for one in page.json()] == ["0002", "0003"]
    assert page.headers["x-total-count"] == "5"
    assert page.links["next"]["url"] == f"{PATH}?sort=hint&limit=2&offset=4"
    found = await client.get(PATH, params={"uuid": "BOARD-0003"})
    assert [one["hint"] for one in found.json()] == ["0003"]


async def test_an_entry_that_says_something_else_is_409(client: httpx.AsyncClient) -> None:
    made = await add(client, note="a")

    assert await add(client, note="a") == made
    answer = await client.post(PATH, json={"uuid": UUID, "note": "b"})
    assert (answer.status_code, answer.json()["error"]) == (409, "already_whitelisted")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"uuid": "abc"},
        {"uuid": "a b c d"},
        {"uuid": 1234},
        {"uuid": "abcd", "note": "x" * 257},
        {"uuid": "abcd", "note": "\x1b[2J"},
        {"uuid": "abcd", "hardwareVersion": "x" * 65},
        {"uuid": "abcd", "manufacturer": "x" * 129},
        {"uuid": "abcd", "disabled": True},
    ],
)
async def test_what_is_no_entry_is_400(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await client.post(PATH, json=body)

    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
    assert (await client.get(PATH)).json() == []


@pytest.mark.parametrize("body", [{}, {"disabled": "yes"}, {"uuid": "abcd"}, {"note": "x" * 257}, []])
async def test_a_change_that_is_none_is_400(client: httpx.AsyncClient, body: Any) -> None:
    made = await add(client)

    answer = await client.patch(f"{PATH}/{made['id']}", json=body)

    assert answer.status_code == 400
    assert (await client.get(PATH)).json() == [made]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "state=on", "used=1", "sort=x", "uuid=a", "x=1"])
async def test_a_question_that_is_none_is_400(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"{PATH}?{query}")).status_code == 400


async def test_an_id_that_no_entry_has_is_404(client: httpx.AsyncClient) -> None:
    for id_ in ("nobody", UUID, "0" * 64):
        assert (await client.patch(f"{PATH}/{id_}", json={"disabled": True})).status_code == 404
        assert (await client.delete(f"{PATH}/{id_}")).status_code == 404
    assert (await client.delete(f"{PATH}/{'0' * 65}")).status_code == 400


# --- Many


LINES = [(1, "added"), (2, "malformed"), (3, "duplicate"), (4, "added")]
AS_CSV = "board-0001,lot 7,rev C,ACME\nno good\nBOARD-0001\nboard-0002"
AS_NDJSON = "\n".join(
    json.dumps(one)
    for one in (
        {"uuid": "board-0001", "note": "lot 7", "hardwareVersion": "rev C", "manufacturer": "ACME"},
        {"uuid": "no good"},
        "BOARD-0001",
        {"uuid": "board-0002"},
    )
)
AS_JSON = json.dumps({"entries": [json.loads(line) for line in AS_NDJSON.splitlines()]})


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (AS_CSV, "text/csv"),
        (AS_CSV, "text/csv; charset=utf-8"),
        (AS_CSV, "text/plain"),
        (AS_NDJSON, "application/x-ndjson"),
        (AS_NDJSON, "application/jsonl"),
        (AS_JSON, "application/json"),
    ],
)
async def test_a_list_is_judged_and_added_the_same_in_every_form(
    client: httpx.AsyncClient, content: str, kind: str
) -> None:
    dry = await send(client, content, kind, "dryRun=true")
    assert told(dry) == LINES
    assert dry.json()["dryRun"] is True
    assert (await client.get(PATH)).json() == []

    done = await send(client, content, kind)
    assert told(done) == LINES
    counts = {"dryRun": False, "added": 2, "present": 0, "malformed": 1, "duplicates": 1}
    assert counts.items() <= done.json().items()
    entries = (await client.get(PATH, params={"sort": "hint"})).json()
    assert [(one["hint"], one["note"], one["hardwareVersion"], one["manufacturer"]) for one in entries] == [
        ("0001", "lot 7", "rev C", "ACME"),
        ("0002", "", "", ""),
    ]
    again = await send(client, content, kind, "dryRun=true")
    assert told(again) == [(line, "present" if what == "added" else what) for line, what in LINES]


async def test_what_is_said_of_the_whole_list_is_kept_with_each_line(client: httpx.AsyncClient) -> None:
    await send(client, "board-0001\nboard-0002,own\n", query="note=lot+7&manufacturer=ACME")
    await send(client, json.dumps({"entries": ["board-0003"], "note": "lot 8", "dryRun": False}), "application/json")

    entries = (await client.get(PATH, params={"sort": "hint"})).json()
    assert [(one["note"], one["manufacturer"]) for one in entries] == [
        ("lot 7", "ACME"),
        ("own", "ACME"),
        ("lot 8", ""),
    ]


async def test_ten_thousand_lines_go_in_one_request(client: httpx.AsyncClient, rig: Rig) -> None:
    lines = [
        {
            "uuid": f"9205fa1c-7e57-4bad-8c0d-{number:012}",
            "note": "x" * 256,
            "hardwareVersion": "y" * 64,
            "manufacturer": "z" * 128,
        }
        for number in range(10_000)
    ]
    content = json.dumps({"entries": lines})
    assert 1024 * 1024 < len(content) < 8 * 1024 * 1024

    begun = time.perf_counter()
    dry = await send(client, content, "application/json", "dryRun=true")

    assert dry.json()["added"] == 10_000
    assert time.perf_counter() - begun < 20
    asked = rig.bus.on("whitelist.batch")
    assert len(asked) > 1
    assert all(len(one.payload) < 1000 * 1024 for one in asked)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        ("board\n" * 10_001, "text/csv", 400),
        (json.dumps({"entries": ["board"] * 10_001}), "application/json", 400),
        ("", "text/csv", 400),
        ("# nothing\n\n", "text/csv", 400),
        (json.dumps({"entries": []}), "application/json", 400),
        (json.dumps([]), "application/json", 400),
        (json.dumps({"entries": ["abcd"], "colour": "red"}), "application/json", 400),
        (json.dumps({"entries": ["abcd"], "dryRun": "true"}), "application/json", 400),
        (json.dumps({"entries": "abcd"}), "application/json", 400),
        ("{", "application/json", 400),
        (b"\xff\xfe", "text/csv", 400),
        (b'{"uuid":"\xc3\x28"}', "application/x-ndjson", 400),
        ("uuid,colour\nabcd,red", "text/csv", 400),
        ("abcd", "application/xml", 415),
        ("abcd", "", 415),
        ("abcd\n" * 2_000_000, "text/csv", 413),
    ],
)
async def test_a_list_that_cannot_be_read_adds_nothing(
    client: httpx.AsyncClient, content: str | bytes, kind: str, status: int
) -> None:
    answer = await send(client, content, kind)

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await client.get(PATH)).json() == []


@pytest.mark.parametrize(
    "query", ["dryRun=1", "dryRun=yes", "note=" + "x" * 257, "colour=red", "dryRun=true&dryRun=true"]
)
async def test_an_option_that_is_none_is_400(client: httpx.AsyncClient, query: str) -> None:
    assert (await send(client, "abcd", query=query)).status_code == 400
    assert (await client.get(PATH)).json() == []


async def test_only_lists_may_be_so_large(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, content=b"x" * (1024 * 1024 + 1), headers={"Content-Type": "application/json"})

    assert answer.status_code == 413


async def test_a_list_is_not_even_read_for_who_may_not_send_it(rig: Rig) -> None:
    async with rig.client(await rig.token("devices:write")) as client:
        answer = await send(client, b"\xff" * 2_000_000)

    assert (answer.status_code, answer.json()["error"]) == (403, "denied")
    assert [len(one.payload) for one in rig.bus.on("whitelist")] == [len(b'{"lines":[],"dryRun":true}')]
