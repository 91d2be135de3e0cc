"""The NATS server's users of programs with credentials: written as the hub's records say, and reloaded.

The records are the truth; the file follows them when credentials are made or
revoked, and at each start. The server takes it over while it runs: who is
taken out is cut off, everyone else stays connected (tried with 2.15).
"""

import asyncio
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from functions.contract.files import write_file
from functions.domain.credentials import Credentials
from functions.domain.tokens import is_live
from functions.route import Route
from infra.problem import Problem
from infra.stack import nats_server
from infra.stack.paths import Paths
from infra.stack.permissions import integrator

_RELOADED = b"Reloaded server configuration"
_FAILED = b"Failed to reload server configuration"
_WITHIN_SECONDS = 5.0
_EVERY_SECONDS = 0.02


def render(kept: Mapping[str, Credentials], routes: Sequence[Route], added: Iterable[Route], now: datetime) -> bytes:
    """The file with a user for each of the credentials, by public key, that are good now."""
    added = tuple(added)
    users = {
        key: integrator(one.name, one.scopes, one.groups, routes, added)
        for key, one in kept.items()
        if is_live(one, now)
    }
    return nats_server.render_integrations(users).encode()


async def settle(paths: Paths, kept: Mapping[str, Credentials]) -> bool:
    """Have the server admit those credentials, by public key, that are good now, and no others.

    Returns whether anything was to be done; the server has taken it over then.

    Raises:
        Problem: the file cannot be written, or the server did not take it.
    """
    # The table brings in every handler, which takes a fifth of a second.
    from functions.plugins import load_routes
    from functions.routes import ROUTES

    content = render(kept, ROUTES, load_routes(ROUTES)[len(ROUTES) :], datetime.now(UTC))
    file = paths.nats_integrations
    try:
        if file.read_bytes() == content:
            return False
        write_file(file, content, mode=0o600)
    except OSError as problem:
        raise Problem(
            f"{file} cannot be written: {problem.strerror}.", "Make room on the disk or mend its permissions."
        ) from problem
    await _reload(paths)
    return True


async def _reload(paths: Paths) -> None:
    log = paths.log("nats")
    try:
        begin = log.stat().st_size
        os.kill(int(paths.nats_pid.read_text(encoding="ascii")), signal.SIGHUP)
    except (OSError, ValueError) as problem:
        raise Problem(
            f"The NATS server of {paths.data} could not be told of its users: {problem}.",
            f"A server of your own takes them from {paths.nats_integrations}: put it there, and reload it.",
        ) from problem
    for _ in range(round(_WITHIN_SECONDS / _EVERY_SECONDS)):
        with log.open("rb") as words:
            # Shorter than before: it was rotated, and all of it is new.
            words.seek(begin if begin <= log.stat().st_size else 0)
            said = words.read()
        if _FAILED in said:
            break
        if _RELOADED in said:
            return
        await asyncio.sleep(_EVERY_SECONDS)
    raise Problem(
        "The NATS server did not take over its users.", f"Its log says why: {log}. 'devicehub up' tries again."
    )
