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
