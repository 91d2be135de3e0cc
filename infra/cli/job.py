"""``devicehub job``: the same done to many devices, how far that is, and what became of each."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from functions.domain.jobs import LEAST_RATE, MOST_RATE
from functions.domain.names import is_token
from infra.cli.connection import ask, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Data, Json, Method, read_json_argument

if TYPE_CHECKING:
    from functions.contract.messages import JobView

app = typer.Typer(no_args_is_help=True, help="Jobs: do the same to many devices, and see what became of each.")

_MAKING_SECONDS = 31.0


class _Kind(StrEnum):
    METHODS = "methods"
    TWINS = "twins"
    TAGS = "tags"


class _State(StrEnum):
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    CANCELLED = "cancelled"


class _ItemState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


def _id(text: str) -> str:
    if not is_token(text):
        raise typer.BadParameter("'devicehub job list' lists the ids.")
    return text


Id = Annotated[str, typer.Argument(metavar="ID", parser=_id, help="The id of the job.")]
Devices = Annotated[
    list[str] | None, typer.Option("--device", metavar="ID", help="A device, by id or role; may be given again.")
]
Query = Annotated[
    str | None,
    typer.Option("--query", metavar="QUERY", help="The devices for which this holds; an empty one means every device."),
]
Rate = Annotated[float | None, typer.Option("--rate", min=LEAST_RATE, max=MOST_RATE, help="Devices a second at most.")]


@app.command(epilog="""Example: devicehub job call reboot '{"delay": 5}' --query tag:site=A --rate 20""")
def call(
    method: Method,
    payload: Json = None,
    devices: Devices = None,
    query: Query = None,
    rate: Rate = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=300, help="Seconds to wait for each answer.")] = 30.0,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Call a method of many devices; one that answers with a status of 400 or more has failed."""
    what = {"method": method, "payload": read_json_argument(payload), "timeout": timeout}
    _make(data, "methods", what, devices, query, rate, as_json=as_json)


@app.command(epilog="""Example: devicehub job desire '{"rate": 15}' --device pump-0001 --device pump-0002""")
def desire(
    desired: Annotated[str, typer.Argument(metavar="JSON", help="The wish, @FILE to read it, or - from the input.")],
    devices: Devices = None,
    query: Query = None,
    rate: Rate = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Merge a wish into the desired state of many devices; null removes a key."""
    _make(data, "twins", {"desired": read_json_argument(desired)}, devices, query, rate, as_json=as_json)


@app.command(epilog="Example: devicehub job tag site=A lab= --query 'model:P-200'")
def tag(
    tags: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="Tags to set; KEY= takes one away.")],
    devices: Devices = None,
    query: Query = None,
    rate: Rate = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Set and take away tags of many devices."""
    pairs = [text.partition("=") for text in tags]
    if not all(key and equals for key, equals, _ in pairs):
        raise typer.BadParameter("A tag to set is KEY=VALUE, one to take away KEY=.")
    merged = {key: value or None for key, _, value in pairs}
    _make(data, "tags", {"tags": merged}, devices, query, rate, as_json=as_json)


@app.command("list", epilog="Example: devicehub job list --state running")
def list_(
    kind: Annotated[_Kind | None, typer.Option("--kind", help="Only jobs that do this.")] = None,
    state: Annotated[_State | None, typer.Option("--state", help="Only jobs that are so.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """List jobs, the newest first."""
    from functions.contract.messages import JobPage, JobQuery
    from infra.cli.tables import moment, say_part, show_table

    asked = JobQuery(
        kind=None if kind is None else kind.value,
        state=None if state is None else state.value,
        limit=limit,
        offset=offset,
    )
    found = ask(data, "devicehub.jobs.list", asked, JobPage)
    if as_json:
        say_json([plain(job) for job in found.jobs])
        return
    rows = [
        (job.id, _what(job), job.state, str(job.total), str(job.done), str(job.failed), job.by, moment(job.created_at))
        for job in found.jobs
    ]
    columns = ("Job", "Does", "State", "Devices", "Done", "Failed", "By", "Made")
    show_table(columns, rows, empty="There is no job.")
    say_part(offset, len(rows), found.total)


@app.command(epilog="Example: devicehub job show 01dd98f51a00-385fb48a --state failed")
def show(
    job: Id,
    state: Annotated[_ItemState | None, typer.Option("--state", help="Only devices of which this became.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many devices at most.")] = 100,
    offset: Annotated[int, typer.Option(min=0, help="How many devices to pass over.")] = 0,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Show how far a job is, and what became of its devices."""
    from functions.contract.messages import JobDetail, JobItemQuery
    from infra.cli.tables import say_part, show_table

    asked = JobItemQuery(state=None if state is None else state.value, limit=limit, offset=offset)
    found = ask(data, f"devicehub.jobs.{job}.get", asked, JobDetail)
    if as_json:
        say_json(plain(found))
        return
    _tell(found)
    rows = [
        (item.device, item.state, item.error or "", "" if item.status is None else str(item.status), item.message or "")
        for item in found.items
    ]
    show_table(("Device", "State", "Error", "Status", "Message"), rows, empty="No device of the job is so.")
    say_part(offset, len(rows), found.matches)


@app.command(epilog="Example: devicehub job cancel 01dd98f51a00-385fb48a")
def cancel(job: Id, data: Data = None) -> None:
    """Begin nothing more of a job; what was begun ends."""
    from functions.contract.messages import JobView, Nothing

    _tell(ask(data, f"devicehub.jobs.{job}.cancel", Nothing(), JobView))


@app.command(epilog="Example: devicehub job retry 01dd98f51a00-385fb48a")
def retry(job: Id, as_json: AsJson = False, data: Data = None) -> None:
    """Do again what a job did, to those of its devices where it failed."""
    from functions.contract.messages import JobView, Nothing

    _show_made(ask(data, f"devicehub.jobs.{job}.retry", Nothing(), JobView, within=_MAKING_SECONDS), as_json=as_json)


def _make(
    data: Data,
    kind: str,
    what: dict[str, Any],
    devices: list[str] | None,
    query: str | None,
    rate: float | None,
    *,
    as_json: bool,
) -> None:
    from pydantic import ValidationError

    from functions.contract.messages import JobView, MethodJob, Request, TagJob, TwinJob

    if (not devices) is (query is None):
        raise typer.BadParameter("Name the devices with --device, or say which are meant with --query.")
    whom: dict[str, Any] = {"devices": devices} if devices else {"q": query}
    if rate is not None:
        whom["rate"] = rate
    models: dict[str, type[Request]] = {"methods": MethodJob, "twins": TwinJob, "tags": TagJob}
    try:
        asked = models[kind].model_validate({**what, **whom})
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_context=False, include_input=False)[0]
        raise typer.BadParameter(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from problem
    made = ask(data, f"devicehub.jobs.create.{kind}", asked, JobView, within=_MAKING_SECONDS)
    _show_made(made, as_json=as_json)


def _show_made(job: "JobView", *, as_json: bool) -> None:
    if as_json:
        say_json(plain(job))
    else:
        say(f"The job {job.id} is over {job.total} devices. See how far it is: devicehub job show {job.id}")


def _tell(job: "JobView") -> None:
    told = f"{job.done} of {job.total} devices done, {job.failed} failed, {job.cancelled} cancelled"
    say(f"The job {job.id} ({_what(job)}) is {job.state}: {told}, {job.waiting} waiting.")


def _what(job: "JobView") -> str:
    return f"call {job.method}" if job.method else job.kind
