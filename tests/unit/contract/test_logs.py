"""The log of a process, as its reader gets it. Each in a process of its own, for a log is set up once."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import structlog
from functions.contract import logs

logs.configure("info", {form!r})
log = structlog.get_logger("functions")
log.debug("hidden")
log.info("call", subject="devicehub.twins.D1.get", ms=1.5, text="größe\\nsecond line")
try:
    raise ValueError("cause")
except ValueError:
    log.exception("failed")
"""


def output(form: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(form=form)], capture_output=True, encoding="utf-8", check=True, timeout=30
    )
    assert ran.stderr == ""
    return ran.stdout


@pytest.mark.parametrize("form", ["json", "auto"])
def test_away_from_a_terminal_every_line_is_one_json_object(form: str) -> None:
    first, second = (json.loads(line) for line in output(form).splitlines())

    assert first["time"].endswith("Z")
    assert {name: value for name, value in first.items() if name != "time"} == {
        "event": "call",
        "level": "info",
        "subject": "devicehub.twins.D1.get",
        "ms": 1.5,
        "text": "größe\nsecond line",
    }
    assert (second["event"], second["level"]) == ("failed", "error")
    assert "ValueError: cause" in second["exception"]


def test_text_is_for_readers() -> None:
    told = output("text")

    assert "devicehub.twins.D1.get" in told
    assert "hidden" not in told
    assert not told.startswith("{")


LOOPED = """
import asyncio
import sys
import structlog
from functions.contract import logs

logs.configure("info", "json")
log = structlog.get_logger("functions")

async def main():
    for number in range(3):
        log.info("line", number=number)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    sys.stdout.buffer.write(b"a turn later\\n")
    sys.stdout.buffer.flush()
    log.info("line", number=3)
    raise SystemExit(3)

log.info("line", number=-1)
asyncio.run(main())
"""


def test_no_line_is_lost_or_out_of_order_where_a_loop_runs_or_ends() -> None:
    ran = subprocess.run([sys.executable, "-c", LOOPED], capture_output=True, encoding="utf-8", check=False, timeout=30)

    assert ran.returncode == 3
    lines = ran.stdout.splitlines()
    assert lines[4] == "a turn later"
    assert [json.loads(line)["number"] for line in lines if line.startswith("{")] == [-1, 0, 1, 2, 3]


JOURNALLED = """
import os
import sys
import structlog
from functions.contract import logs

facts = os.fstat(sys.stdout.fileno())
logs.configure("debug", "json", f"{facts.st_dev}:{facts.st_ino + int(sys.argv[1])}")
log = structlog.get_logger("functions")
log.debug("one")
log.info("two")
log.warning("three")
log.error("four")
"""


@pytest.mark.parametrize(("other_file", "expected"), [(0, ["<7>", "<6>", "<4>", "<3>"]), (1, [""] * 4)])
def test_what_the_journal_reads_has_its_priority_before_it(other_file: int, expected: list[str]) -> None:
    command = [sys.executable, "-c", JOURNALLED, str(other_file)]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=30)

    lines = [line.partition("{") for line in ran.stdout.splitlines()]
    assert [priority for priority, _, _ in lines] == expected
    assert [json.loads(brace + rest)["event"] for _, brace, rest in lines] == ["one", "two", "three", "four"]
