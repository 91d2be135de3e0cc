"""Logs on the whole stack: of its own files, and of a systemd's journal elsewhere, over HTTP and the WebSocket."""

import json
import uuid
from typing import Any

import httpx
import psutil

from tests.e2e.host.conftest import (
    BURST,
    ODD,
    OTHER,
    RATE,
    SECONDS,
    Ears,
    Events,
    following,
    listening,
    shown,
)
from tests.e2e.rig import RunningHub

# What a client that never reads is sent: many times what may wait for it.
_MANY, _LONG = 24_000, "x" * 900


def heard(ears: Ears, last: str) -> list[dict[str, Any]]:
    """The lines that are told on a socket until one of this text."""
    found: list[dict[str, Any]] = []
    while not any(entry["text"] == last for entry in found):
        told = ears.hear()
        assert told["type"] == "message", told
        found += told["data"]["entries"]
    return found


def read(events: Events, last: str) -> list[tuple[str, Any]]:
    """The events until a line of this text."""
    found: list[tuple[str, Any]] = []
    while not found or found[-1][1].get("text") != last:
        found.append(events.hear())
    return found


def texts(found: list[tuple[str, Any]]) -> list[str]:
    return [told["text"] for kind, told in found if kind == "line"]


def test_a_part_of_the_stack_is_followed_while_it_is_restarted(
    hub: RunningHub, web: httpx.Client, token: str, local: str
) -> None:
    shown(web, local, "bridge")
    before = web.get("/api/logs", params={"unit": "bridge", "lines": 10}).json()
    old = {entry["cursor"] for entry in before}

    def is_ready(entry: dict[str, Any]) -> bool:
        return entry["cursor"] not in old and '"event":"ready"' in entry["text"]

    with following(hub, token, "bridge") as events, listening(hub, token, f"logs:{local}/bridge") as ears:
        first = [events.hear()[1] for _ in before]
        assert web.post("/api/services/bridge/restart").json()["result"] == "done"
        lines: list[dict[str, Any]] = []
        while not any(map(is_ready, lines)):
            kind, told = events.hear()
            assert kind == "line"
            lines.append(told)
        on_socket: list[dict[str, Any]] = []
        while not any(map(is_ready, on_socket)):
            message = ears.hear()
            assert (message["type"], message["topic"]) == ("message", f"logs:{local}/bridge")
            on_socket += message["data"]["entries"]

    assert first == before[::-1]
    assert on_socket[: len(lines)] == lines


def test_a_unit_of_systemd_is_followed_with_every_odd_line(
    hub: RunningHub, web: httpx.Client, token: str, remote: str
) -> None:
    with following(hub, token, ODD) as events, listening(hub, token, f"logs:{remote}/{ODD}") as ears:
        assert web.post(f"/api/services/{ODD}/start").json()["service"]["state"] == "inactive"
        over_http = [told for kind, told in read(events, "bad") if kind == "line"]
        over_socket = heard(ears, "bad")

    for found in (over_http, over_socket):
        said = [(one["text"], one["priority"], one["isBinary"]) for one in found if one["identifier"] == "printf"]
        assert said == [
            ("\x1b[31mred\x1b[0m", "info", False),
            ("\\xff", "info", True),
            ("<script>", "info", False),
            ("bad", "err", False),
        ]
    page = web.get("/api/logs", params={"unit": ODD, "priority": "err"}).json()
    assert [one["text"] for one in page] == ["bad"]


def test_who_comes_again_is_told_what_was_written_meanwhile(
    hub: RunningHub, web: httpx.Client, token: str, remote: str
) -> None:
    web.post(f"/api/services/{ODD}/start")
    last = web.get("/api/logs", params={"unit": ODD, "node": remote, "lines": 1}).json()[0]["cursor"]
    web.post(f"/api/services/{ODD}/start")

    with following(hub, token, ODD, after=last) as events:
        found = read(events, "bad")

    assert {kind for kind, _ in found} == {"line"}
    assert last not in [told["cursor"] for _, told in found]
    assert texts(found).count("<script>") == 1


def test_a_unit_that_writes_thousands_of_lines_a_second_is_followed_without_losing_one(
    hub: RunningHub, web: httpx.Client, token: str, remote: str
) -> None:
    with listening(hub, token, f"logs:{remote}/{BURST}") as ears:
        # No job is waited for: reading on is what a client does.
        acted = web.post(f"/api/services/{BURST}/start")
        assert acted.json()["result"] == "done", acted.text
        found = heard(ears, f"burst {RATE * SECONDS - 1}")

    lines = [one["text"] for one in found if one["text"].startswith("burst ")]
    assert lines == [f"burst {number}" for number in range(RATE * SECONDS)]
    assert not any(one["lost"] for one in found)


def test_a_follow_that_is_never_read_takes_no_memory_and_nothing_from_others_and_is_told_how_much_it_missed(
    hub: RunningHub, token: str, local: str
) -> None:
    log, mark = hub.data / "log" / "index.log", uuid.uuid4().hex
    (gateway,) = hub.processes("gateway")
    shim = next(one for one in psutil.process_iter() if _is_shim_of(hub, one))
    with (
        following(hub, token, "index", buffer=4096) as idle,
        listening(hub, token, f"logs:{local}/index") as never_reads,
        listening(hub, token, f"logs:{local}/index") as reads,
    ):
        before = [one.memory_info().rss for one in (gateway, shim)]
        got = 0
        for begin in range(0, _MANY, 1000):
            with log.open("a") as file:
                file.writelines(f"{mark} {number} {_LONG}\n" for number in range(begin, begin + 1000))
            found = heard(reads, f"{mark} {begin + 999} {_LONG}")
            got += sum(one["text"].startswith(mark) for one in found)
        after = [one.memory_info().rss for one in (gateway, shim)]
        with log.open("a") as file:
            file.write(f"{mark} end\n")
        heard(reads, f"{mark} end")
        on_events = read(idle, f"{mark} end")
        gaps = 0
        while True:
            told = never_reads.hear()
            gaps += told["type"] == "gap"
            if told["type"] == "message" and any(one["text"] == f"{mark} end" for one in told["data"]["entries"]):
                break

    assert got == _MANY
    assert gaps >= 1
    missing = [told["lines"] for kind, told in on_events if kind == "gap" and told["lines"] is not None]
    own = sum(text.startswith(mark) for text in texts(on_events))
    assert (len(missing), own + sum(missing)) == (1, _MANY + 1)
    # 22 MB were written, of which 2 MB were measured to stay.
    assert all(now - then < 8 * 1024**2 for now, then in zip(after, before, strict=True)), (before, after)


def _is_shim_of(hub: RunningHub, process: psutil.Process) -> bool:
    try:
        return "bridge.host" in process.cmdline() and str(hub.data) in process.environ().get("HUB_HOST_LOG_DIR", "")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def test_what_no_one_may_follow_is_refused_before_it_begins(
    hub: RunningHub, web: httpx.Client, token: str, remote: str
) -> None:
    answer = web.get("/api/logs/stream", params={"unit": OTHER, "node": remote})
    assert (answer.status_code, answer.json()["error"]) == (403, "unit_not_allowed")
    with listening(hub, token, "services") as ears:
        ears.socket.send(json.dumps({"type": "subscribe", "topics": [f"logs:{remote}/{OTHER}"]}))
        while (told := ears.hear())["type"] == "message":
            continue
    assert (told["type"], told["error"]) == ("error", "unit_not_allowed")
