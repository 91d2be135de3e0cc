"""Logs from a real journal: pages, older lines, every odd message, and following without losing a line."""

import asyncio
import os
from pathlib import Path

import pytest

from bridge.host.journal.journalctl import Journalctl
from functions.contract.messages import LogEntry, LogQuery
from functions.domain.faults import Malformed, Unavailable
from tests.box import Box

UNIT = "hub-log.service"
ODD = "hub-odd.service"
BURST = "hub-burst.service"
LINES = 10_000

_RUN = "[Service]\nType=oneshot\nLogRateLimitBurst=0\nLineMax=2M\nExecStart="


@pytest.fixture(scope="module")
def written(box: Box) -> Box:
    box.write(UNIT, f"{_RUN}/bin/sh -c 'for i in 0 1 2 3 4 5 6 7 8 9; do echo line $$i; done; echo \"<3>bad line\"'\n")
    box.write(ODD, f"{_RUN}/usr/bin/printf '\\\\033[31mred\\\\033[0m\\\\n\\\\377\\\\376\\\\n<script>\\\\n'\n")
    box.write(BURST, f"{_RUN}/usr/bin/seq -f 'burst %%.0f' {LINES}\n")
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "start", UNIT)
    box.run("systemctl", "start", ODD)
    box.run("journalctl", "--sync")
    return box


@pytest.fixture
def journal(written: Box) -> Journalctl:
    return Journalctl(written.journal)


async def test_pages_lead_to_older_lines_and_to_the_end(journal: Journalctl) -> None:
    found: list[str] = []
    page = await journal.read(LogQuery(unit=UNIT, lines=4, q="line "))
    found += [entry.text for entry in page.entries]
    while page.older is not None:
        page = await journal.read(LogQuery(unit=UNIT, lines=4, q="line ", before=page.older))
        found += [entry.text for entry in page.entries]

    assert found == [f"line {number}" for number in range(9, -1, -1)]


async def test_priority_is_found(journal: Journalctl) -> None:
    page = await journal.read(LogQuery(unit=UNIT, priority="err"))

    assert [(entry.text, entry.priority) for entry in page.entries] == [("bad line", "err")]


async def test_odd_messages_come_as_text(journal: Journalctl) -> None:
    page = await journal.read(LogQuery(unit=ODD))
    found = {entry.text: entry.is_binary for entry in page.entries if entry.identifier == "printf"}

    assert found == {"\x1b[31mred\x1b[0m": False, "\\xff\\xfe": True, "<script>": False}


async def test_a_unit_without_lines_has_none_and_a_wrong_cursor_is_refused(journal: Journalctl) -> None:
    assert (await journal.read(LogQuery(unit="hub-never.service"))).entries == []
    with pytest.raises(Malformed):
        await journal.read(LogQuery(unit=UNIT, before="bogus"))


async def test_a_burst_is_followed_to_its_last_line_in_order(journal: Journalctl, written: Box) -> None:
    following = await journal.follow(BURST)
    try:
        await asyncio.to_thread(written.run, "systemctl", "start", BURST)
        found: list[LogEntry] = []
        async with asyncio.timeout(60):
            while not any(entry.text == f"burst {LINES}" for entry in found):
                found += await following.read()
    finally:
        await following.close()

    texts = [entry.text for entry in found if entry.identifier == "seq"]
    assert texts == [f"burst {number}" for number in range(1, LINES + 1)]
    assert not any(entry.lost for entry in found)


async def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no journal"):
        await Journalctl(tmp_path).read(LogQuery(unit=UNIT))
    with pytest.raises(Unavailable, match="could not be run"):
        await Journalctl(program=f"no-such-program-{os.getpid()}").read(LogQuery(unit=UNIT))
