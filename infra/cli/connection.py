"""How a command reaches the hub: over its NATS server, as the user ``cli``.

Who can read the data directory acts as the hub itself; the commands need no
login.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from functions.domain.callers import SYSTEM, Caller
from functions.domain.faults import Unavailable
from infra.problem import Problem

if TYPE_CHECKING:
    from nats.aio.client import Client

    from functions.contract.bus import Bus
    from functions.contract.messages import Message
    from infra.node import Node

    M = TypeVar("M", bound=Message)
else:
    M = TypeVar("M")

CALLER = Caller(SYSTEM, "cli")
_USER = "cli"
_CONNECT_SECONDS = 3.0


def data_directory(given: Path | None) -> Path:
    """The data directory: as given, else as the file named by ``HUB_CONFIG`` says, else the usual place.

    Raises:
        SettingsError: the file cannot be read.
    """
    from functions.contract.environment import SettingsError
    from infra.settings import default_data, with_config_file

    if given is None:
        environ, faults = with_config_file(os.environ)
        if faults:
            raise SettingsError("\n".join(faults))
        told = environ.get("HUB_DATA_DIR", "").strip()
        given = Path(told) if told else default_data(Path.cwd())
    return given.expanduser().absolute()


def node_of(data: Path) -> "Node":
    """What the hub in a data directory says of itself.

    Raises:
        Problem: there is no hub, or its files may not be read.
    """
    from infra.node import read_node

    try:
        node = read_node(data / "node.json")
    except PermissionError as problem:
        raise _forbidden(data) from problem
    if node is None:
        raise Problem(
            f"There is no hub in {data}.",
            "Start one with 'devicehub up', or name the data directory of yours with --data or HUB_DATA_DIR.",
        )
    return node


@asynccontextmanager
async def connected(data: Path) -> "AsyncIterator[tuple[Bus, Client]]":
    """A connection to the hub in a data directory, closed at the end.

    Raises:
        Problem: there is no hub, or it is not running.
    """
    from functions.contract.bus import Bus

    client = await _connect(node_of(data).nats_url, _password(data), data)
    try:
        yield Bus(client), client
    finally:
        await client.close()


def ask(given: Path | None, subject: str, body: "Message", answer: "type[M]", *, within: float = 5.0) -> "M":
    """Call one function of the hub; ``given`` is the ``--data`` of the command, ``within`` in seconds.

    Raises:
        Problem: there is no hub, or it is not running.
        Fault: what the function answered instead.
    """

    async def call() -> "M":
        async with connected(data_directory(given)) as (bus, _):
            return await bus.call(subject, body, answer, caller=CALLER, within=within)

    return asyncio.run(call())


def plain(message: "Message") -> Any:
    """A message as JSON values, as it is sent."""
    from pydantic_core import from_json

    return from_json(message.encode())


async def _connect(url: str, password: str, data: Path) -> "Client":
    """Connect, or give up at the first refusal: the client itself would go on trying for ever."""
    from functions.contract.bus import connect

    refusal: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def failed(problem: Exception) -> None:
        # A server that refuses the user may cut the connection before its
        # reason is read: the next attempt of the client reads it.
        if not refusal.done() and not isinstance(problem, ConnectionResetError):
            refusal.set_result(problem)

    connecting = asyncio.create_task(connect(url, user=_USER, password=password, failed=failed))
    first: set[asyncio.Future[Any]] = {connecting, refusal}
    await asyncio.wait(first, timeout=_CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    if connecting.done():
        try:
            return connecting.result()
        except Unavailable as fault:
            raise _away(data, url) from fault
    connecting.cancel()
    await asyncio.wait({connecting})
    problem = refusal.result() if refusal.done() else None
    if "authorization violation" in str(problem).lower():
        raise Problem(
            f"The NATS server at {url} refuses the password of {data}.",
            "Another hub may have that address; 'devicehub status' tells what runs here.",
        ) from problem
    raise _away(data, url) from problem


def _password(data: Path) -> str:
    from infra.stack.paths import Paths

    file = Paths(data, data / "run").nats_password(_USER)
    try:
        return file.read_text(encoding="utf-8").strip()
    except PermissionError as problem:
        raise _forbidden(data) from problem
    except OSError as problem:
        raise Problem(
            f"The password of the commands cannot be read: {problem}.", "'devicehub up' makes what is missing."
        ) from problem


def _away(data: Path, url: str) -> Problem:
    return Problem(
        f"The hub in {data} is not running: its NATS server at {url} does not answer.", "Start it with 'devicehub up'."
    )


def _forbidden(data: Path) -> Problem:
    return Problem(
        f"You may not read {data}.", "Run the command as the user that the hub runs as, or as root with sudo."
    )
