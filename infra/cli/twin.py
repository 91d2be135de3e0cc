"""``devicehub twin``: what a device should be, and what it says it is."""

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from infra.cli.connection import ask, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Data, Device, read_json_argument

if TYPE_CHECKING:
    from functions.contract.messages import TwinComparison, TwinHistory, TwinMoment, TwinView

_TIME: Final = "A time in ISO 8601, such as 2035-01-01T12:00:00Z; UTC where it names no zone."
_MOMENT: Final = "A twin: 'd3.r17' by the versions of its halves, or a time such as 2035-01-01T12:00:00Z."
_VERSIONS: Final = re.compile(r"d([0-9]{1,15})\.r([0-9]{1,15})")

app = typer.Typer(no_args_is_help=True, help="Digital twins: what a device should be, and what it says it is.")


@app.command(epilog="Example: devicehub twin get pump-0007 --json")
def get(device: Device, as_json: AsJson = False, data: Data = None) -> None:
    """Show both halves of a twin and what of the desired one the device has not reported yet."""
    from functions.contract.messages import Nothing, TwinView

    view = ask(data, f"devicehub.twins.{device}.get", Nothing(), TwinView)
    _show(view, as_json=as_json)


@app.command("set", epilog="""Example: devicehub twin set pump-0007 '{"rate": 12, "mode": null}'""")
def set_(
    device: Device,
    patch: Annotated[
        str, typer.Argument(metavar="JSON", help="A JSON object, @FILE to read it from a file, or - from the input.")
    ],
    expected_version: Annotated[
        int | None, typer.Option(min=0, help="Refuse unless the desired half has this version.")
    ] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Merge a patch into the desired half of a twin (RFC 7396): objects merge at every depth, null removes."""
    from functions.contract.messages import TwinDesire, TwinView

    wish = TwinDesire(desired=read_patch(patch), expected_version=expected_version)
    view = ask(data, f"devicehub.twins.{device}.desire", wish, TwinView)
    _show(view, as_json=as_json)


@app.command(epilog="Example: devicehub twin history pump-0007 --half desired --limit 10")
def history(
    device: Device,
    half: Annotated[Literal["desired", "reported"] | None, typer.Option(help="Only changes of this half.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """List what changed a twin, newest first, and who did it: 64 reports, and more wishes."""
    from functions.contract.messages import TwinHistory, TwinHistoryQuery

    asked = TwinHistoryQuery(half=half, limit=limit, offset=offset)
    page = ask(data, f"devicehub.twins.{device}.history", asked, TwinHistory)
    if as_json:
        say_json(plain(page))
        return
    _show_changes(page)
    last = offset + len(page.changes)
    if page.changes and (offset or last < page.total):
        more = f"; more with --offset {last}" if last < page.total else ""
        say(f"{offset + 1} to {last} of {page.total}{more}")


@app.command(epilog="Example: devicehub twin at pump-0007 --time 2035-01-01T12:00:00Z")
def at(
    device: Device,
    time: Annotated[str | None, typer.Option(metavar="TIME", help=_TIME)] = None,
    desired: Annotated[int | None, typer.Option(min=0, help="The version of the desired half.")] = None,
    reported: Annotated[int | None, typer.Option(min=0, help="The version of the reported half.")] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Show a twin as it was: at a time, or with given versions of both halves."""
    from functions.contract.messages import TwinMoment, TwinView

    asked = TwinMoment(time=read_time(time), desired=desired, reported=reported)
    view = ask(data, f"devicehub.twins.{device}.at", asked, TwinView)
    _show(view, as_json=as_json)


@app.command(epilog="Example: devicehub twin diff pump-0007 d3.r17 2035-01-01T12:00:00Z")
def diff(
    device: Device,
    earlier: Annotated[str, typer.Argument(metavar="FROM", help=_MOMENT)],
    later: Annotated[str | None, typer.Argument(metavar="TO", help=f"{_MOMENT} Without it, today's twin.")] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Show where a twin differs from an earlier one, and who changed it there last."""
    from functions.contract.messages import TwinCompare, TwinComparison

    one, other = read_moment(earlier), read_moment(later)
    asked = TwinCompare(
        from_time=one.time,
        from_desired=one.desired,
        from_reported=one.reported,
        to_time=other.time,
        to_desired=other.desired,
        to_reported=other.reported,
    )
    found = ask(data, f"devicehub.twins.{device}.compare", asked, TwinComparison)
    if as_json:
        say_json(plain(found))
    else:
        _show_differences(found)


def read_time(text: str | None) -> datetime | None:
    """A time that is given in ISO 8601; in UTC where it names no zone.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except ValueError as problem:
        raise typer.BadParameter(f"'{text}' is no time such as 2035-01-01T12:00:00Z.") from problem
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found


def read_moment(text: str | None) -> "TwinMoment":
    """The twin that an argument names: ``d3.r17`` by its versions, or a time.

    Raises:
        typer.BadParameter: it is neither.
    """
    from functions.contract.messages import TwinMoment

    versions = _VERSIONS.fullmatch(text or "")
    if versions is not None:
        return TwinMoment(desired=int(versions[1]), reported=int(versions[2]))
    return TwinMoment(time=read_time(text))


def read_patch(text: str) -> dict[str, Any]:
    """The patch that an argument gives: JSON itself, ``@FILE``, or ``-`` for standard input.

    Raises:
        typer.BadParameter: it is no JSON object, or the file cannot be read.
    """
    found = read_json_argument(text)
    if not isinstance(found, dict):
        raise typer.BadParameter('The patch must be a JSON object, such as \'{"led": "on"}\'.')
    return found


def _show(view: "TwinView", *, as_json: bool) -> None:
    from infra.cli.tables import moment

    if as_json:
        say_json(plain(view))
        return
    waiting = "nothing; the device has reported all of it" if not view.delta else _document(view.delta)
    say(
        f"{view.device_id}, last updated {moment(view.last_updated)}",
        f"desired (version {view.desired_version}): {_document(view.desired)}",
        f"reported (version {view.reported_version}): {_document(view.reported)}",
        f"open difference: {waiting}",
    )


def _show_changes(page: "TwinHistory") -> None:
    from infra.cli.tables import exact_moment, show_table

    rows = [
        (exact_moment(each.timestamp), each.half, str(each.version), each.by, _line(each.change))
        for each in page.changes
    ]
    show_table(("Time", "Half", "Version", "By", "Change"), rows, empty="Nothing has changed this twin yet.")


def _show_differences(found: "TwinComparison") -> None:
    from infra.cli.tables import exact_moment, show_table

    rows = [
        (
            each.half,
            each.path,
            _line(each.before) if "before" in each.model_fields_set else "",
            _line(each.after) if "after" in each.model_fields_set else "",
            str(each.version or ""),
            each.by or "",
            exact_moment(each.timestamp),
        )
        for each in found.differences
    ]
    columns = ("Half", "Place", "Before", "After", "Version", "By", "Time")
    show_table(columns, rows, empty="The two are the same.")
    if len(rows) < found.total:
        say(f"{len(rows)} of {found.total} places")


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _document(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True)
