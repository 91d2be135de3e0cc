"""``devicehub whitelist``: which hardware UUIDs may join."""

import asyncio
import re
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from functions.domain.faults import Malformed
from functions.domain.names import hardware_uuid
from functions.domain.whitelist import Line, Result, Verdict, judge, read_text, with_defaults
from infra.cli.connection import CALLER, ask, connected, data_directory, plain
from infra.cli.console import say, say_json
from infra.cli.enrolment import show_enrolment
from infra.cli.options import AsJson, Data
from infra.problem import Problem

if TYPE_CHECKING:
    from functions.contract.messages import WhitelistBatch, WhitelistFact, WhitelistReport, WhitelistUpdate

app = typer.Typer(no_args_is_help=True, help="The whitelist: which hardware UUIDs may join while it is enforced.")

_SHOWN_LINES = 20
_ID = re.compile(r"[0-9a-f]{64}")

Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Kept with each of them.")]
HardwareVersion = Annotated[str, typer.Option("--hardware-version", metavar="TEXT", help="Kept with each of them.")]
Manufacturer = Annotated[str, typer.Option("--manufacturer", metavar="TEXT", help="Kept with each of them.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be added.")]
Entry = Annotated[str, typer.Argument(metavar="UUID", help="A hardware UUID, or the id that 'list --json' shows.")]


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


class State(StrEnum):
    """Whether entries let hardware in."""

    ENABLED = "enabled"
    DISABLED = "disabled"


@app.command(epilog="Example: devicehub whitelist add 9205255d-9a5c-4c5f-8a5e-1d1a3a2b1c0d --note 'lot 7'")
def add(
    uuids: Annotated[list[str], typer.Argument(metavar="UUID...", help="Hardware UUIDs.")],
    note: Note = "",
    hardware_version: HardwareVersion = "",
    manufacturer: Manufacturer = "",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Add hardware UUIDs; one that is there already is left as it is."""
    lines = [Line(number, uuid) for number, uuid in enumerate(uuids, start=1)]
    lines = with_defaults(lines, note=note, hardware_version=hardware_version, manufacturer=manufacturer)
    for one in wrong_lines(lines):
        raise typer.BadParameter(f"'{uuids[one.number - 1]}': {one.reason}")
    _show(_send(data, lines, dry_run=False), as_json=as_json)


@app.command("import", epilog="Example: devicehub whitelist import lot-7.csv --manufacturer ACME --dry-run")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One UUID a line, or CSV; - reads the input.")],
    note: Note = "",
    hardware_version: HardwareVersion = "",
    manufacturer: Manufacturer = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Add the hardware UUIDs of a file. Blank lines and those that begin with # are passed over.

    A line may have a note, a hardware version and a manufacturer after the
    UUID, with commas between; a first line can name the columns: uuid, note,
    hardwareVersion, manufacturer. If any line is wrong, each wrong one is
    named and none is added.
    """
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise Problem(f"{file} cannot be read: {problem}.") from problem
    lines = read_list(text, str(file), note=note, hardware_version=hardware_version, manufacturer=manufacturer)
    _show(_send(data, lines, dry_run=dry_run), as_json=as_json)


@app.command("list", epilog="Example: devicehub whitelist list --q 'lot 7' --state disabled --json")
def list_(
    q: Annotated[str, typer.Option("--q", metavar="TEXT", help="What is noted, or how the UUID ends.")] = "",
    state: Annotated[State | None, typer.Option("--state", help="Only entries that are so.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """List the whitelist, newest first. The UUIDs are kept as keyed hashes; only the last four characters are known."""
    from functions.contract.messages import EnrolmentView, Nothing, WhitelistPage, WhitelistQuery
    from infra.cli.tables import moment, say_part, show_table

    query = WhitelistQuery(q=q, state=state.value if state is not None else None, limit=limit, offset=offset)
    page = ask(data, "devicehub.whitelist.list", query, WhitelistPage)
    enforced = ask(data, "devicehub.enrolment.get", Nothing(), EnrolmentView).whitelist_enforced
    if as_json:
        say_json({"enforced": enforced, **plain(page)})
        return
    rows = [
        (
            f"...{fact.hint}",
            fact.note,
            fact.hardware_version,
            fact.manufacturer,
            "disabled" if fact.disabled else "enabled",
            moment(fact.added_at),
            moment(fact.first_used_at),
            moment(fact.last_used_at),
        )
        for fact in page.entries
    ]
    columns = ("UUID", "Note", "Hardware", "Manufacturer", "State", "Added", "First used", "Last used")
    show_table(columns, rows, empty="The whitelist is empty." if page.total == 0 else "There are no more.")
    say_part(offset, len(rows), page.total)
    say("It is enforced." if enforced else "It is not enforced: devicehub whitelist enforce on")


@app.command(epilog="Example: devicehub whitelist disable 9205255d-9a5c-4c5f-8a5e-1d1a3a2b1c0d")
def disable(uuid: Entry, data: Data = None) -> None:
    """Let a UUID join no more while the whitelist is enforced; its entry stays."""
    from functions.contract.messages import WhitelistUpdate

    fact = _update(data, uuid, WhitelistUpdate(disabled=True))
    say(f"The entry of ...{fact.hint} is disabled.")


@app.command(epilog="Example: devicehub whitelist enable 9205255d-9a5c-4c5f-8a5e-1d1a3a2b1c0d")
def enable(uuid: Entry, data: Data = None) -> None:
    """Let a UUID join again."""
    from functions.contract.messages import WhitelistUpdate

    fact = _update(data, uuid, WhitelistUpdate(disabled=False))
    say(f"The entry of ...{fact.hint} is enabled.")


@app.command(epilog="Example: devicehub whitelist remove 9205255d-9a5c-4c5f-8a5e-1d1a3a2b1c0d")
def remove(uuid: Entry, data: Data = None) -> None:
    """Take a UUID off the whitelist. A device that joined by it stays."""
    from functions.contract.messages import Done, Nothing

    ask(data, f"devicehub.whitelist.entries.{_id_of(data, uuid)}.remove", Nothing(), Done)
    say("The entry is removed.")


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


def read_list(text: str, source: str, **defaults: str) -> list[Line]:
    """The lines of a list, with these texts where they have none of their own.

    Raises:
        Problem: lines that are wrong, by their numbers, or no line at all.
    """
    try:
        lines = with_defaults(read_text(text), **defaults)
    except Malformed as fault:
        raise Problem(f"{source} cannot be read: {fault.detail}") from fault
    if wrong := wrong_lines(lines):
        told = text.splitlines()
        shown = [f"  line {one.number}: {told[one.number - 1].strip()[:80]!r}: {one.reason}" for one in wrong]
        more = [f"  and {len(wrong) - _SHOWN_LINES} more"] if len(wrong) > _SHOWN_LINES else []
        listed = "\n".join([*shown[:_SHOWN_LINES], *more])
        raise Problem(
            f"{source} has lines that are wrong, so none was added:\n{listed}",
            "A hardware UUID is 4 to 64 letters, digits, '_' or '-'; a comment begins with #.",
        )
    if not lines:
        raise Problem(f"{source} names no UUID.")
    return lines


def wrong_lines(lines: Sequence[Line]) -> list[Verdict]:
    """The lines that cannot be entries, with why."""
    return [verdict for verdict in judge(lines).others if verdict.result is Result.MALFORMED]


def _check(uuid: str) -> None:
    try:
        hardware_uuid(uuid)
    except Malformed as fault:
        raise typer.BadParameter(f"'{uuid}': {fault.detail}") from fault


def _show(report: "WhitelistReport", *, as_json: bool) -> None:
    if as_json:
        counts = {"added": report.added, "present": report.present, "duplicates": report.duplicates}
        lines = {"lines": plain(report)["lines"]} if report.dry_run else {}
        say_json({"dryRun": report.dry_run, **counts, **lines})
        return
    added = "Would be added" if report.dry_run else "Added"
    say(f"{added}: {report.added}. Already there: {report.present}. Named twice: {report.duplicates}.")


def _send(data: Path | None, lines: Sequence[Line], *, dry_run: bool) -> "WhitelistReport":
    """Add in as many calls as it takes; repeating after a failure is harmless."""
    from functions.contract.messages import WhitelistReport
    from functions.contract.whitelisting import WITHIN_SECONDS, send

    async def talk() -> WhitelistReport:
        async with connected(data_directory(data)) as (bus, _):

            async def batch(wish: "WhitelistBatch") -> WhitelistReport:
                subject = "devicehub.whitelist.batch"
                return await bus.call(subject, wish, WhitelistReport, caller=CALLER, within=WITHIN_SECONDS)

            return await send(lines, dry_run=dry_run, ask=batch)

    return asyncio.run(talk())


def _update(data: Path | None, uuid: str, wish: "WhitelistUpdate") -> "WhitelistFact":
    from functions.contract.messages import WhitelistFact

    return ask(data, f"devicehub.whitelist.entries.{_id_of(data, uuid)}.update", wish, WhitelistFact)


def _id_of(data: Path | None, text: str) -> str:
    """The id of the entry of a UUID; what has the form of an id and is no UUID on the list is taken for one."""
    from functions.contract.messages import WhitelistPage, WhitelistQuery

    _check(text)
    page = ask(data, "devicehub.whitelist.list", WhitelistQuery(uuid=text), WhitelistPage)
    if page.entries:
        return page.entries[0].id
    if _ID.fullmatch(text):
        return text
    raise Problem(f"The whitelist has no entry for {text}.", "'devicehub whitelist list' shows what it has.")
