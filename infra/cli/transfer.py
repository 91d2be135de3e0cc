"""``devicehub device export`` and ``import``: the registry and its twins as files."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from functions.contract.files import replace_file
from infra.cli.connection import CALLER, connected, data_directory
from infra.cli.console import FAILED, complain, say, say_json
from infra.cli.options import AsJson, Data
from infra.problem import Problem

_SUFFIXES = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}
_PIECE_BYTES = 64 * 1024
_EXPORT_SECONDS = 5.0
_IMPORT_SECONDS = 31.0

Format = Annotated[str | None, typer.Option("--format", metavar="csv|ndjson", help="By default what FILE ends in.")]


def register(app: typer.Typer) -> None:
    """Add the commands to those of devices."""
    app.command("export", epilog="Example: devicehub device export fleet.ndjson")(export)
    app.command("import", epilog="Example: devicehub device import fleet.csv --dry-run")(import_)


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write; - writes to the output.")],
    form: Format = None,
    twins: Annotated[bool, typer.Option(help="Whether the twins are in it.")] = True,
    data: Data = None,
) -> None:
    """Write every device, retired ones too, one a line by id; 'devicehub device import' reads it."""
    media_type = media_type_of(file, form)
    with ExitStack() as closing:
        out = open_output(file, closing)
        count = asyncio.run(_export(data, media_type, out, with_twins=twins))
    if out is not sys.stdout.buffer:
        say(f"{count} devices are in {file}.")


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to read; - reads the input.")],
    form: Format = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Register and change devices as the lines of a file say; a line that is wrong stops no other.

    Certificates are not in an export: devices that are new here join again.
    """
    media_type = media_type_of(file, form)
    with ExitStack() as closing:
        report = asyncio.run(_import(data, media_type, _open_input(file, closing), dry_run=dry_run))
    if as_json:
        say_json(report)
    else:
        for line in report["lines"]:
            if line["result"] == "failed":
                complain(f"line {line['line']}: {line['deviceId']}: {line['message']}")
        counts = ", ".join(f"{report[name]} {name}" for name in ("created", "updated", "unchanged", "failed"))
        say(f"{report['total']} devices: {counts}{'; nothing was written' if dry_run else ''}.")
    if report["failed"]:
        raise typer.Exit(FAILED)


def media_type_of(file: Path, form: str | None) -> str:
    """What a file is to hold, by ``--format`` or what its name ends in. Raises BadParameter."""
    from functions.contract.lines import CSV, NDJSON

    form = form or _SUFFIXES.get(file.suffix.lower(), "" if str(file) != "-" else "ndjson")
    if form not in ("csv", "ndjson"):
        raise typer.BadParameter("FILE ends in .csv, .ndjson or .jsonl, or --format says which it is.")
    return CSV if form == "csv" else NDJSON


def open_output(file: Path, closing: ExitStack) -> BinaryIO:
    """Where an export is written; a file is replaced when all of it is there. Raises Problem."""
    if str(file) == "-":
        return sys.stdout.buffer
    try:
        if file.exists() and not file.is_file():
            return closing.enter_context(file.open("wb"))
        # It may hold what nobody else is to know; and an export that fails leaves the last one.
        return closing.enter_context(replace_file(file, mode=0o600))
    except OSError as problem:
        raise Problem(f"{file} cannot be written: {problem.strerror or problem}.", "Name another FILE.") from problem


def _open_input(file: Path, closing: ExitStack) -> BinaryIO:
    if str(file) == "-":
        return sys.stdin.buffer
    try:
        return closing.enter_context(file.open("rb"))
    except OSError as problem:
        raise Problem(f"{file} cannot be read: {problem.strerror or problem}.", "Name another FILE.") from problem


async def _export(data: Path | None, media_type: str, out: BinaryIO, *, with_twins: bool) -> int:
    from functions.contract.subjects import subject
    from gateway.exports import Part, parts, written

    count = 0
    async with connected(data_directory(data)) as (bus, _):

        async def ask(tokens: Sequence[str], payload: bytes) -> bytes:
            return await bus.request(subject(*tokens), payload, caller=CALLER, within=_EXPORT_SECONDS)

        async def counted() -> AsyncIterator[Part]:
            nonlocal count
            async for part in parts(ask, with_twins=with_twins):
                count += len(part)
                yield part

        async for text in written(media_type, counted()):
            out.write(text)
    return count


async def _import(data: Path | None, media_type: str, content: BinaryIO, *, dry_run: bool) -> dict[str, Any]:
    from pydantic_core import from_json

    from functions.contract.subjects import subject
    from gateway.imports import Import

    async with connected(data_directory(data)) as (bus, _):

        async def send(batch: bytes) -> bytes:
            return await bus.request(subject("registry", "import"), batch, caller=CALLER, within=_IMPORT_SECONDS)

        async def pieces() -> AsyncIterator[bytes]:
            while piece := content.read(_PIECE_BYTES):
                yield piece

        importing = Import(media_type, send, dry_run=dry_run)
        try:
            await importing.take(pieces())
            report: dict[str, Any] = from_json(b"".join([piece async for piece in importing.answer()]))
        finally:
            importing.close()
    return report
