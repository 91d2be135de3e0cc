"""``devicehub telemetry`` and ``events``: what devices measured, and what happened to them."""

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from infra.cli.connection import CALLER, ask, connected, data_directory, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Data, Device, read_json_argument
from infra.cli.transfer import Format, media_type_of, open_output

if TYPE_CHECKING:
    from functions.contract.messages import EventView, TelemetryView

app = typer.Typer(no_args_is_help=True, help="See what devices measured.")

_SECONDS = 5.0

Of = Annotated[str | None, typer.Argument(metavar="[ID]", help="The id of a device, or the role it has.")]
Group = Annotated[str | None, typer.Option("--group", metavar="NAME", help="Of the devices of a group.")]
Since = Annotated[datetime | None, typer.Option("--since", help="Only of this time (UTC) and later.")]
Until = Annotated[datetime | None, typer.Option("--until", help="Only of before this time (UTC).")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")]
Type = Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only events of this type.")]


@app.command("list", epilog="Example: devicehub telemetry list pump-0007 --since 2026-11-01 --hourly")
def list_(
    device: Of = None,
    group: Group = None,
    since: Since = None,
    until: Until = None,
    hourly: Annotated[bool, typer.Option("--hourly", help="Numbers over hours.")] = False,
    daily: Annotated[bool, typer.Option("--daily", help="Numbers over days (UTC).")] = False,
    points: Annotated[int | None, typer.Option("--points", min=1, max=1000, help="Over so many spans at most.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Show what devices measured, the newest first, or its numbers over hours or days."""
    from functions.contract.messages import TelemetryPage, TelemetryQuery

    if hourly and daily:
        raise typer.BadParameter("Give --hourly or --daily.")
    if points is not None and not (hourly or daily):
        raise typer.BadParameter("--points needs --hourly or --daily.")
    given = _given(device, group, since, until) | ({} if points is None else {"points": points})
    asked = _request(
        TelemetryQuery, limit=limit, aggregation="hourly" if hourly else "daily" if daily else "none", **given
    )
    _show(ask(data, "devicehub.telemetry.query", asked, TelemetryPage).entries, as_json=as_json)


@app.command(epilog="Example: devicehub telemetry latest pump-0007 --json")
def latest(device: Device, as_json: AsJson = False, data: Data = None) -> None:
    """Show the newest value of each key that a device has sent."""
    from functions.contract.messages import Nothing, TelemetryLatest
    from infra.cli.tables import exact_moment, show_table

    found = ask(data, f"devicehub.telemetry.{device}.latest", Nothing(), TelemetryLatest)
    if as_json:
        say_json(plain(found))
        return
    rows = [(key, _text(one.value), exact_moment(one.timestamp)) for key, one in found.values.items()]
    show_table(("Key", "Value", "Time"), rows, empty=f"{device} has measured nothing.")


@app.command(epilog="""Example: devicehub telemetry send pump-0007 '{"temperature": 21.5}'""")
def send(
    device: Device,
    content: Annotated[str, typer.Argument(metavar="JSON", help="A JSON object, @FILE, or - from the input.")],
    data: Data = None,
) -> None:
    """Store what was measured of a device that cannot send it; 'timestamp' in it is the time that it is of."""
    from functions.contract.messages import Done, TelemetryReport

    measured = read_json_argument(content)
    if not isinstance(measured, dict):
        raise typer.BadParameter("What was measured is a JSON object.")
    ask(data, "devicehub.telemetry.report", TelemetryReport(device_id=device, data=measured), Done)
    say("It is stored.")


@app.command(epilog="Example: devicehub telemetry export pumps.csv --group pumps --since 2026-11-01")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write; - writes to the output.")],
    form: Format = None,
    device: Annotated[str | None, typer.Option("--device", metavar="ID", help="Only of this device.")] = None,
    group: Group = None,
    since: Since = None,
    until: Until = None,
    events: Annotated[bool, typer.Option("--events", help="Events instead of telemetry.")] = False,
    data: Data = None,
) -> None:
    """Write telemetry or events to a file, one message a line, oldest first; it may be of any length."""
    from functions.contract.messages import TelemetryExport

    media_type = media_type_of(file, form)
    kind = "events" if events else "telemetry"
    wanted = plain(_request(TelemetryExport, kind=kind, **_given(device, group, since, until)))
    with ExitStack() as closing:
        out = open_output(file, closing)
        count = asyncio.run(_export(data, media_type, wanted, out))
    if out is not sys.stdout.buffer:
        say(f"{count} messages are in {file}.")


def events(
    device: Of = None,
    event_type: Type = None,
    group: Group = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Show what happened to devices, the newest first."""
    from functions.contract.messages import EventPage, EventQuery

    given = _given(device, group, since, until) | ({} if event_type is None else {"event_type": event_type})
    asked = _request(EventQuery, limit=limit, **given)
    _show(ask(data, "devicehub.events.query", asked, EventPage).entries, as_json=as_json)


async def _export(data: Path | None, media_type: str, wanted: dict[str, Any], out: BinaryIO) -> int:
    from functions.contract.subjects import subject
    from gateway.exports import EVENT_COLUMNS, TELEMETRY_COLUMNS, lines_text, measured_parts

    count = 0
    async with connected(data_directory(data)) as (bus, _):

        async def asked(tokens: Sequence[str], payload: bytes) -> bytes:
            return await bus.request(subject(*tokens), payload, caller=CALLER, within=_SECONDS)

        async def counted() -> Any:
            nonlocal count
            async for part in measured_parts(asked, wanted):
                count += len(part)
                yield part

        columns = EVENT_COLUMNS if wanted["kind"] == "events" else TELEMETRY_COLUMNS
        async for piece in lines_text(media_type, counted(), columns):
            out.write(piece)
    return count


def _given(device: str | None, group: str | None, since: datetime | None, until: datetime | None) -> dict[str, Any]:
    given = {"device_id": device, "group": group, "start_time": since, "end_time": until}
    return {name: value for name, value in given.items() if value is not None}


def _request(model: type[Any], /, **given: Any) -> Any:
    from pydantic import ValidationError

    try:
        return model(**given)
    except ValidationError as problem:
        wrong = ", ".join(str(error["loc"][0]) for error in problem.errors())
        raise typer.BadParameter(f"{wrong}: ids, groups and types are names of 64 signs at most.") from None


def _show(entries: "Sequence[TelemetryView | EventView]", *, as_json: bool) -> None:
    from infra.cli.tables import exact_moment, show_table

    if as_json:
        say_json([plain(one) for one in entries])
        return
    rows = [
        (exact_moment(one.timestamp), one.device_id, getattr(one, "event_type", ""), _text(one.data)) for one in entries
    ]
    columns: tuple[str, ...] = ("Time", "Device", "Type", "Data")
    if not any(row[2] for row in rows):
        columns, shown = ("Time", "Device", "Data"), [(time, device, content) for time, device, _, content in rows]
        show_table(columns, shown, empty="Nothing of it is kept.")
        return
    show_table(columns, rows, empty="Nothing of it is kept.")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
