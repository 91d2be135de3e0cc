"""``devicehub alarms``: what a person must look at."""

from enum import StrEnum
from typing import Annotated

import typer

from functions.domain.names import is_token
from infra.cli.connection import ask, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Data

app = typer.Typer(help="Alarms: what a person must look at. Without a command, lists those that are not closed.")


class _State(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


def _id(text: str) -> str:
    if not is_token(text):
        raise typer.BadParameter("'devicehub alarms' lists the ids.")
    return text


Id = Annotated[str, typer.Argument(metavar="ID", parser=_id, help="The id of the alarm.")]
State = Annotated[_State | None, typer.Option("--state", help="Only alarms that are so.")]
All = Annotated[bool, typer.Option("--all", help="Also those that are closed.")]


@app.callback(invoke_without_command=True, epilog="Example: devicehub alarms --all")
def list_(
    context: typer.Context, state: State = None, all_: All = False, as_json: AsJson = False, data: Data = None
) -> None:
    """Alarms: what a person must look at, the gravest first, each with what to do about it."""
    if context.invoked_subcommand is not None:
        return
    from functions.contract.messages import AlarmPage, AlarmQuery
    from infra.cli.tables import moment

    asked = AlarmQuery(state=state.value if state is not None else None, limit=1000)
    found = ask(data, "devicehub.alarms.list", asked, AlarmPage)
    shown = [one for one in found.alarms if all_ or state is not None or one.state != "closed"]
    if as_json:
        say_json([plain(one) for one in shown])
        return
    for one in shown:
        taken = f", taken on by {one.acknowledged_by}" if one.acknowledged_by and one.state != "closed" else ""
        since = f"since {moment(one.opened_at)}" if one.closed_at is None else f"until {moment(one.closed_at)}"
        say(f"{one.severity.upper():<8}  {one.text}", f"{'':<10}{one.remedy}")
        say(f"{'':<10}{one.state} {since}, seen {one.count} times{taken}; id {one.id}")
    if not shown:
        say("There is no alarm." if not found.total else "There is no alarm but closed ones: devicehub alarms --all")


@app.command(epilog="Example: devicehub alarms ack clock-skew-3f9ac1d27b60e5aa")
def ack(alarm: Id, data: Data = None) -> None:
    """Take an alarm on: others see that somebody looks after it. It stays open until its cause is gone."""
    from functions.contract.messages import AlarmView, Nothing

    taken = ask(data, f"devicehub.alarms.{alarm}.ack", Nothing(), AlarmView)
    if taken.state == "closed":
        say("The alarm is closed already: its cause is gone.")
    else:
        say(f"The alarm is taken on by {taken.acknowledged_by}.")
