"""``devicehub whitelist``: which hardware UUIDs may join."""

import asyncio
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from functions.domain.faults import Malformed
from functions.domain.names import hardware_uuid
from infra.cli.connection import CALLER, ask, connected, data_directory, plain
from infra.cli.console import say, say_json
from infra.cli.enrolment import show_enrolment
from infra.cli.options import AsJson, Data
from infra.problem import Problem

if TYPE_CHECKING:
    pass

app = typer.Typer(no_args_is_help=True, help="The whitelist: which hardware UUIDs may join while it is enforced.")

# The most that one call takes, see WhitelistAdd; the function writes each durably.
_BATCH = 10_000
_BATCH_SECONDS = 30.0
_SHOWN_LINES = 20

Note = Annotated[str, typer.Option("--note", max=256, metavar="TEXT", help="Kept with each of them.")]


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


@app.command(epilog="Example: devicehub whitelist add 9205255d-9a5c-4c5f-8a5e-1d1a3a2b1c0d --note 'lot 7'")
def add(
    uuids: Annotated[list[str], typer.Argument(metavar="UUID...", help="Hardware UUIDs.")],
    note: Note = "",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Add hardware UUIDs; one that is there already is left as it is."""
    for uuid in uuids:
        try:
            hardware_uuid(uuid)
        except Malformed as fault:
            raise typer.BadParameter(f"'{uuid}': {fault.detail}") from fault
    _add(data, uuids, note, as_json=as_json)


@app.command("import", epilog="Example: devicehub whitelist import lot-7.txt --note 'lot 7'")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One UUID a line; - reads the input.")],
    note: Note = "",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Add the hardware UUIDs of a file. Blank lines and those that begin with # are passed over.

    If any line is wrong, each wrong one is named and none is added.
    """
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise Problem(f"{file} cannot be read: {problem}.") from problem
    _add(data, read_uuids(text, str(file)), note, as_json=as_json)


@app.command("list", epilog="Example: devicehub whitelist list --json")
def list_(as_json: AsJson = False, data: Data = None) -> None:
    """List the whitelist. The UUIDs are kept as keyed hashes; only the last four characters are known."""
    from functions.contract.messages import Nothing, WhitelistView
    from infra.cli.tables import moment, show_table

    view = ask(data, "devicehub.whitelist.list", Nothing(), WhitelistView)
    if as_json:
        say_json(plain(view))
        return
    rows = [
        (
            f"...{fact.hint}",
            fact.note,
            "disabled" if fact.disabled else "enabled",
            moment(fact.added_at),
            moment(fact.first_used_at),
            moment(fact.last_used_at),
        )
        for fact in view.entries
    ]
    show_table(("UUID", "Note", "State", "Added", "First used", "Last used"), rows, empty="The whitelist is empty.")
    say("It is enforced." if view.enforced else "It is not enforced: devicehub whitelist enforce on")


@app.command(epilog="Example: devicehub whitelist enforce on")
def enforce(
    switch: Annotated[Switch, typer.Argument(help="Whether only UUIDs on the whitelist may join.")],
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Switch the whitelist on or off; while it is on, only devices on it may join."""
    from functions.contract.messages import EnrolmentView, WhitelistEnforce

    wish = WhitelistEnforce(enforced=switch is Switch.ON)
    show_enrolment(ask(data, "devicehub.enrolment.enforce", wish, EnrolmentView), as_json=as_json)


def read_uuids(text: str, source: str) -> list[str]:
    """The UUIDs of a list, one a line.

    Raises:
        Problem: lines that are no UUID, by their numbers, or no UUID at all.
    """
    uuids: list[str] = []
    wrong: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        try:
            uuids.append(hardware_uuid(line))
        except Malformed:
            wrong.append(f"  line {number}: {line[:80]!r}")
    if wrong:
        more = [f"  and {len(wrong) - _SHOWN_LINES} more"] if len(wrong) > _SHOWN_LINES else []
        lines = "\n".join([*wrong[:_SHOWN_LINES], *more])
        raise Problem(
            f"{source} has lines that are no hardware UUID, so none was added:\n{lines}",
            "A hardware UUID is 4 to 64 letters, digits, '_' or '-'; a comment begins with #.",
        )
    if not uuids:
        raise Problem(f"{source} names no UUID.")
    return uuids


def _add(data: Path | None, uuids: Sequence[str], note: str, *, as_json: bool) -> None:
    added, present = asyncio.run(_send(data, uuids, note))
    if as_json:
        say_json({"added": added, "present": present})
    else:
        say(f"Added: {added}. Already there: {present}.")


async def _send(data: Path | None, uuids: Sequence[str], note: str) -> tuple[int, int]:
    """Add in batches, each one call; repeating after a failure is harmless."""
    from functions.contract.messages import WhitelistAdd, WhitelistAdded

    added = present = 0
    async with connected(data_directory(data)) as (bus, _):
        for start in range(0, len(uuids), _BATCH):
            body = WhitelistAdd(uuids=list(uuids[start : start + _BATCH]), note=note)
            done = await bus.call("devicehub.whitelist.add", body, WhitelistAdded, caller=CALLER, within=_BATCH_SECONDS)
            added += done.added
            present += done.present
    return added, present
