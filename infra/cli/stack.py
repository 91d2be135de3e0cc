"""``devicehub up``, ``down``, ``status``, ``logs`` and ``serve``: the local stack."""

import os
import signal
import subprocess
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from infra.cli.connection import data_directory
from infra.cli.console import FAILED, complain, say, say_json
from infra.cli.options import AsJson, Data
from infra.problem import Problem

if TYPE_CHECKING:
    from infra.settings import Settings
    from infra.stack.paths import Paths
    from infra.stack.preparing import Prepared
    from infra.stack.reporting import Report

_TAIL = 200


class Served(StrEnum):
    """What ``serve`` can run."""

    FUNCTIONS = "functions"
    INDEX = "index"
    BRIDGE = "bridge"
    HOST = "host"
    GATEWAY = "gateway"


def up(
    context: typer.Context,
    data: Data = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when all is ready, and leave it running.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only say which files would be made or changed.")] = False,
) -> None:
    """Start the hub on this machine: broker, NATS and the hub's parts. Ctrl-C stops it.

    Returns, or says so, when all of it is ready; if a part fails, says which
    and why, and leaves nothing running. What is missing in the data
    directory is made; what is there is kept.
    """
    from infra.stack import preparing
    from infra.stack.interrupts import STOPPING

    for number in STOPPING:
        # To break off is to stop what was started; what the caller wants ignored (nohup) stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    environ = _environment(context, data)
    settings = _settings(environ)
    preparing.refuse_unusable(settings)
    if plan:
        _show_plan(settings)
        return
    try:
        with preparing.held(settings.data):
            _run(preparing.prepare(settings), environ, detach=detach)
    except KeyboardInterrupt:
        complain("Broken off; everything was stopped.")
        raise typer.Exit(FAILED) from None


def down(data: Data = None) -> None:
    """Stop the hub, and return when all of it has ended. Nothing happens where none runs."""
    from infra.node import known_paths
    from infra.stack.starting import stop

    directory = data_directory(data)
    paths, _ = known_paths(directory)
    if stop(paths):
        say(f"The hub in {directory} has stopped.")
    else:
        say(f"No hub is running in {directory}.")


def status(as_json: AsJson = False, data: Data = None) -> None:
    """Tell how each part is. The exit code is 0 only if the hub runs and all of it is ready."""
    import asyncio

    from infra.stack.reporting import report

    directory = data_directory(data)
    found = asyncio.run(report(directory))
    if as_json:
        say_json(_facts(directory, found, _devices_connect_to(directory, found)))
    elif found is None:
        say(f"No hub is running in {directory}. 'devicehub up' starts one.")
    else:
        from infra.cli.tables import show_table

        rows = [
            (one.name, one.state, str(one.pid or ""), _duration(one.uptime_seconds), _yes(one.name in found.ready))
            for one in found.processes
        ]
        show_table(("Part", "State", "Process", "Up for", "Ready"), rows, empty="")
        complain(found.trouble)
    if found is None or not found.is_ready:
        raise typer.Exit(FAILED)


def _devices_connect_to(data: Path, found: "Report | None") -> str | None:
    """Where bundles tell devices to connect; only a hub that is ready knows whether it was told otherwise since."""
    from infra.cli.bundles import site_of
    from infra.settings import Address

    if found is None:
        return None
    if not found.is_ready:
        return f"mqtts://{Address(found.node.mqtt_host, found.node.mqtt_port)}"
    site = site_of(data)
    return f"mqtts://{Address(site.mqtt_host, site.mqtt_port)}"


def _facts(data: Path, found: "Report | None", mqtt: str | None) -> dict[str, Any]:
    """What ``status`` tells a script."""
    if found is None:
        where = {"mqtt": None, "http": None, "nats": None}
        return {"running": False, "ready": False, "data": str(data), **where, "parts": []}
    return {
        "running": True,
        "ready": found.is_ready,
        "data": str(data),
        "mqtt": mqtt,
        "http": found.node.http_url or None,
        "nats": found.node.nats_url,
        "parts": [
            {
                "name": one.name,
                "state": one.state,
                "pid": one.pid or None,
                "uptimeSeconds": one.uptime_seconds,
                "ready": one.name in found.ready,
            }
            for one in found.processes
        ],
    }


def logs(
    part: Annotated[
        str, typer.Argument(metavar="[PART]", help="functions, index, bridge, gateway, nats, mosquitto …")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written from now on.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = _TAIL,
    data: Data = None,
) -> None:
    """Show the last lines of a part's log, or of every part's."""
    directory = data_directory(data) / "log"
    found = sorted(directory.glob("*.log"))
    wanted = [log for log in found if part in ("", log.stem) or log.stem.rpartition("-")[0] == part]
    if not wanted:
        names = ", ".join(log.stem for log in found)
        raise Problem(
            f"There is no log of '{part}' in {directory}." if part else f"There are no logs in {directory}.",
            f"There are: {names}" if names else "Start the hub with 'devicehub up'.",
        )
    # It follows a log through its rotation.
    command = ["tail", "-n", str(lines), *(["-F"] if follow else []), *(["-v"] if len(wanted) > 1 else []), "--"]
    os.execvp("tail", [*command, *map(str, wanted)])  # noqa: S606, S607


def serve(
    context: typer.Context,
    part: Annotated[Served, typer.Argument(help="The part to run.")],
    data: Data = None,
) -> None:
    """Run one part in the foreground, for systemd and containers.

    It takes its settings from the environment, and what is not set there
    from the data directory.
    """
    from infra.node import known_paths
    from infra.stack.parts import make_parts, nats_url

    environ = _environment(context, data)
    settings = _settings(environ)
    paths, node = known_paths(settings.data)
    url = node.nats_url if node and settings.nats_url is None else nats_url(settings)
    name = node.name if node else "local"
    chosen = next(one for one in make_parts(settings, paths, url, name) if one.name == part)
    own = {name: environ.get(name) or value for name, value in chosen.environment.items()}
    os.execve(chosen.command[0], chosen.command, {**environ, **own})  # noqa: S606


def _run(prepared: "Prepared", environ: Mapping[str, str], *, detach: bool) -> None:
    """Start what was prepared; in the foreground, until it is stopped."""
    import asyncio

    from infra.cli.welcome import greet, make_first_claim
    from infra.stack.starting import bring_up, end

    paths = prepared.plan.paths
    if prepared.ended:
        say(f"Ended what an earlier run had left: {prepared.ended}.")
    if prepared.plan.notes:
        say(*prepared.plan.notes)
    process = asyncio.run(bring_up(prepared.plan, environ, () if detach else prepared.programs.wrapper))
    try:
        make_first_claim(prepared.plan)
        greet(prepared.plan)
        if not detach:
            _wait(process, paths)
    except BaseException:
        end(paths, process)
        raise
    if detach:
        # It lives on without this process.
        process.returncode = 0


def _wait(process: "subprocess.Popen[bytes]", paths: "Paths") -> None:
    """Wait until the hub ends: because of a signal, by 'devicehub down', or by itself."""
    from infra.stack import leftovers
    from infra.stack.interrupts import STOPPING
    from infra.stack.starting import end

    try:
        say("", "Ctrl-C stops it.")
        status = process.wait()
    except KeyboardInterrupt:
        for number in STOPPING:
            # Asking again would not make it faster, only cut it off half way.
            signal.signal(number, signal.SIG_IGN)
        end(paths, process)
        status = 0
    if status != 0:
        leftovers.end(leftovers.find(paths.data))
        raise Problem(
            f"The supervisor ended by itself (status {status}), and everything with it.",
            "Start again with 'devicehub up'; 'devicehub logs supervisor' may tell why.",
        )
    say("The hub has stopped.")


def _show_plan(settings: "Settings") -> None:
    from infra.stack import preparing
    from infra.stack.plan import show
    from infra.stack.programs import find_programs

    programs = find_programs(embedded_nats=settings.nats_url is None)
    lines = show(preparing.look(settings, programs))
    say(*(lines or [f"Nothing would change in {settings.data}."]))


def _environment(context: typer.Context, data: Path | None) -> dict[str, str]:
    environ = dict(cast(Mapping[str, str], context.obj))
    return environ | ({"HUB_DATA_DIR": str(data)} if data is not None else {})


def _settings(environ: Mapping[str, str]) -> "Settings":
    from infra.settings import Settings

    return Settings.from_env(environ)


def _duration(seconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
