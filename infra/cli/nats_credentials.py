"""``devicehub nats-credentials``: what event-driven programs connect to the bus with."""

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from infra.cli.connection import CALLER, connected, data_directory, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Data
from infra.cli.token import Expires, Name, Scopes, scopes_of, state_of
from infra.problem import Problem

if TYPE_CHECKING:
    from functions.contract.bus import Bus
    from functions.contract.messages import CredentialsList
    from functions.domain.credentials import Credentials


class _Naming(TyperGroup):
    """A group whose ``create`` need not be said: what is no command of it is a name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``create`` where only a name or an option stands."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["create", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Naming,
    no_args_is_help=True,
    help="What event-driven programs connect to the bus with: nats-credentials NAME --scope SCOPE --out FILE.",
)

Groups = Annotated[
    list[str] | None,
    typer.Option("--group", metavar="GROUP", help="Only devices whose record names this group; repeat it for more."),
]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the seed of the key: the secret.")]


@app.command(epilog="Example: devicehub nats-credentials create reports --scope telemetry:read --out reports.nk")
def create(
    name: Name,
    scope: Scopes,
    out: Out,
    group: Groups = None,
    expires: Expires = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Make credentials, good from now on: the seed of a new key is written to FILE, and kept nowhere else.

    A program connects with the seed (nkeys_seed=FILE in Python, --nkey FILE of
    the nats command) and the inbox prefix _INBOX_NAME. It may call what its
    scopes allow and hear what they let it read. With --group it may ask of
    single devices of these groups, and hears no events.
    """
    from functions.contract.messages import CredentialsCreate, CredentialsFact
    from infra.stack.keys import make_key

    seed, key = make_key()
    wish = CredentialsCreate(name=name, public_key=key, scopes=scopes_of(scope), groups=group or [], days=expires)

    async def make() -> CredentialsFact:
        async with connected(data_directory(data)) as (bus, _):
            made = await bus.call("devicehub.credentials.create", wish, CredentialsFact, caller=CALLER, within=5.0)
            await _settle(data, bus)
            return made

    written = _reserve(out)
    try:
        made = asyncio.run(make())
        with os.fdopen(os.dup(written), "w") as file:
            file.write(f"{seed}\n")
    except BaseException:
        # Nobody has the key: there is nothing to be kept of it.
        out.unlink(missing_ok=True)
        raise
    finally:
        os.close(written)
    if as_json:
        say_json(plain(made))
        return
    say(
        f"The seed of '{name}' is in {out}: keep it secret.",
        f"Connect to {_url(data)} with it, and with the inbox prefix _INBOX_{name}.",
    )


@app.command("list", epilog="Example: devicehub nats-credentials list --json")
def list_(as_json: AsJson = False, data: Data = None) -> None:
    """List all credentials by name, with the expired and revoked ones. There is no secret in it."""
    from infra.cli.tables import moment, show_table

    async def read() -> "CredentialsList":
        async with connected(data_directory(data)) as (bus, _):
            return await _listed(bus)

    found = asyncio.run(read())
    if as_json:
        say_json(plain(found)["credentials"])
        return
    now = datetime.now(UTC)
    rows = [
        (
            fact.name,
            ", ".join(fact.scopes),
            ", ".join(fact.groups),
            state_of(fact, now),
            moment(fact.created_at),
            moment(fact.expires_at),
        )
        for fact in found.credentials
    ]
    show_table(
        ("Name", "Scopes", "Groups", "State", "Created", "Expires"),
        rows,
        empty="There are none. Make some: devicehub nats-credentials NAME --scope devices:read --out FILE",
    )


@app.command(epilog="Example: devicehub nats-credentials revoke reports")
def revoke(name: Name, data: Data = None) -> None:
    """Revoke credentials: nothing is answered to them any more, and who is connected with them is cut off."""
    from functions.contract.messages import CredentialsRevoke, Done

    async def end() -> None:
        async with connected(data_directory(data)) as (bus, _):
            wish = CredentialsRevoke(name=name)
            await bus.call("devicehub.credentials.revoke", wish, Done, caller=CALLER, within=5.0)
            await _settle(data, bus)

    asyncio.run(end())
    say(f"The credentials '{name}' are revoked.")


@app.command(epilog="Example: devicehub nats-credentials sync")
def sync(data: Data = None) -> None:
    """Cut off whose credentials have expired since; for a timer. Calls of theirs are refused without it."""

    async def settle() -> bool:
        async with connected(data_directory(data)) as (bus, _):
            return await _settle(data, bus)

    say("The NATS server has other users now." if asyncio.run(settle()) else "Nothing was to be changed.")


async def _settle(data: Path | None, bus: "Bus") -> bool:
    from infra.node import known_paths
    from infra.stack.integrations import settle

    paths, _ = known_paths(data_directory(data))
    return await settle(paths, _kept(await _listed(bus)))


async def _listed(bus: "Bus") -> "CredentialsList":
    from functions.contract.messages import CredentialsList, Nothing

    return await bus.call("devicehub.credentials.list", Nothing(), CredentialsList, caller=CALLER, within=5.0)


def _kept(listed: "CredentialsList") -> Mapping[str, "Credentials"]:
    from functions.domain.credentials import Credentials

    return {
        fact.public_key: Credentials(
            fact.name, tuple(fact.scopes), tuple(fact.groups), fact.created_at, fact.expires_at, fact.revoked_at
        )
        for fact in listed.credentials
    }


def _url(data: Path | None) -> str:
    from infra.cli.connection import node_of

    return node_of(data_directory(data)).nats_url


def _reserve(out: Path) -> int:
    """Make the file, for its owner alone, before anything else is done.

    Raises:
        Problem: it is there already, or cannot be made.
    """
    try:
        return os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as problem:
        raise Problem(f"{out} exists already.", "Name another file, or remove this one.") from problem
    except OSError as problem:
        raise Problem(
            f"{out} cannot be written: {problem.strerror}.", "Name a file in a directory of yours."
        ) from problem
