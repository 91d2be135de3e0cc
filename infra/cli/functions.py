"""``devicehub functions``: what the hub can do, who may call it, and how it is doing."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer

from infra.cli.connection import connected, data_directory
from infra.cli.console import complain, say_json
from infra.cli.options import AsJson, Data
from infra.problem import Problem

if TYPE_CHECKING:
    from nats.aio.client import Client

    from functions.route import Route

_STATS = "$SRV.STATS"
# Instances answer at once; the last has answered when none did for so long.
_QUIET_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Live:
    """How a function is doing, over all processes that serve it; the average in microseconds."""

    instances: int = 0
    calls: int = 0
    faults: int = 0
    average: int = 0

    def plus(self, calls: int, faults: int, average: int) -> "Live":
        """With one more instance."""
        every = self.calls + calls
        mean = (self.average * self.calls + average * calls) // every if every else 0
        return Live(self.instances + 1, every, self.faults + faults, mean)


def functions(
    live: Annotated[bool, typer.Option("--live", help="Ask the running hub for instances, calls and latency.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """List every function: its subject, handler, who may call it, its time limit and the process that serves it.

    Functions that installed packages add (entry points in the group
    devicehub.functions) are among them.
    """
    routes = served_routes()
    doing = asyncio.run(_ask(data_directory(data))) if live else None
    if as_json:
        say_json([{**_describe(route), **_describe_live(route, doing)} for route in routes])
    else:
        _show(routes, doing)


def served_routes() -> "tuple[Route, ...]":
    """The hub's routes and those that installed packages add.

    Raises:
        Problem: a package's routes cannot be served.
    """
    from functions.plugins import PluginError, load_routes
    from functions.routes import ROUTES

    try:
        return load_routes(ROUTES)
    except PluginError as problem:
        raise Problem(str(problem), "Mend the package, or uninstall it.") from problem


def callers(route: "Route") -> list[str]:
    """The kinds of caller that a route admits, in words."""
    return [str(kind.name).lower() for kind in route.allow]


def reply(route: "Route") -> str:
    """The name of the message that a function answers with, as its handler declares it."""
    declared = get_type_hints(route.handler).get("return")
    # Of what is encoded already, the message that it is.
    return str(getattr(next(iter(get_args(declared)), declared), "__name__", ""))


def _describe(route: "Route") -> dict[str, Any]:
    return {
        "subject": route.full_subject,
        "handler": f"{route.handler.__module__}.{route.handler.__name__}",
        "body": route.body.__name__,
        "reply": reply(route),
        "callers": callers(route),
        "withinSeconds": route.within,
        "limitBytes": route.limit_bytes,
        "process": str(route.role),
    }


def _describe_live(route: "Route", doing: Mapping[str, Live] | None) -> dict[str, int]:
    if doing is None:
        return {}
    now = doing.get(route.full_subject, Live())
    return {
        "instances": now.instances,
        "calls": now.calls,
        "faults": now.faults,
        "averageMicroseconds": now.average,
    }


def _show(routes: "Sequence[Route]", doing: Mapping[str, Live] | None) -> None:
    from infra.cli.tables import show_table

    columns = ["Subject", "Handler", "Callers", "Within", "Process"]
    rows = [
        [
            route.full_subject,
            f"{route.handler.__module__.removeprefix('functions.handlers.')}.{route.handler.__name__}",
            ", ".join(callers(route)),
            f"{route.within:g} s",
            str(route.role),
        ]
        for route in routes
    ]
    if doing is not None:
        columns += ["Instances", "Calls", "Faults", "Average"]
        for route, row in zip(routes, rows, strict=True):
            now = doing.get(route.full_subject, Live())
            average = f"{now.average / 1000:.1f} ms" if now.calls else ""
            row += [str(now.instances), str(now.calls), str(now.faults), average]
        if not doing:
            complain("No function answered: 'devicehub status' tells what runs.")
    show_table(columns, rows, empty="")


async def _ask(data: Path) -> dict[str, Live]:
    """What every instance of every service tells of its functions, by subject."""
    async with connected(data) as (_, client):
        answers = await _collect(client)
    doing: dict[str, Live] = {}
    for subject, told in (counted for answer in answers for counted in _counts(answer)):
        doing[subject] = doing.get(subject, Live()).plus(*told)
    return doing


async def _collect(client: "Client") -> list[bytes]:
    import nats.errors

    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    await client.publish(_STATS, b"", reply=inbox)
    answers: list[bytes] = []
    while True:
        try:
            answers.append((await subscription.next_msg(timeout=_QUIET_SECONDS)).data)
        except nats.errors.TimeoutError:
            return answers


def _counts(answer: bytes) -> list[tuple[str, tuple[int, int, int]]]:
    """Calls, faults and average latency of each endpoint that tells them, as ``functions.runtime.serving`` does."""
    from pydantic import BaseModel, Field, ValidationError

    class Counts(BaseModel):
        calls: int
        faults: int
        average: int = Field(alias="averageMicroseconds")

    class Endpoint(BaseModel):
        subject: str
        data: Counts | None = None

    class Stats(BaseModel):
        endpoints: list[Endpoint] = []

    try:
        told = Stats.model_validate_json(answer)
    except ValidationError:
        # Another service on the same server, which counts otherwise.
        return []
    return [
        (endpoint.subject, (endpoint.data.calls, endpoint.data.faults, endpoint.data.average))
        for endpoint in told.endpoints
        if endpoint.data is not None
    ]
