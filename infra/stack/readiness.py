"""Whether servers and parts answer now; each question takes a moment and waits for nothing."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import nats.errors
from nats.aio.client import Client
from pydantic_core import from_json

from functions.contract import bus
from functions.domain.faults import Unavailable
from infra.problem import Problem
from infra.settings import Address

_CONNECT_SECONDS = 2.0
_QUIET_SECONDS = 0.15


async def accepts(address: Address, context: ssl.SSLContext | None = None) -> bool:
    """Whether a server takes a connection, and shakes hands if there is a TLS context."""
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(address.host, address.port, ssl=context)
    except (OSError, TimeoutError):
        return False
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        # The broker refuses who shows no certificate, and may do so by hanging up first.
        return True
    return True


def broker_context(ca: Path) -> ssl.SSLContext:
    """TLS towards the broker that checks its certificate against the hub's root, whatever name it is met under."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(ca))
    context.check_hostname = False
    return context


def nats_address(url: str) -> Address:
    """Where the server of a NATS URL listens."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    return Address(parts.hostname or "127.0.0.1", parts.port or 4222)


@asynccontextmanager
async def bus_connection(url: str, user: str, password: str, *, mend: str = "") -> AsyncIterator[Client]:
    """A connection to the bus, closed at the end; ``mend`` is what to do where there can be none.

    Raises:
        Problem: the server does not answer, or refuses the user.
    """
    refused: list[Exception] = []

    async def failed(problem: Exception) -> None:
        refused.append(problem)

    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            client = await bus.connect(url, user=user, password=password, failed=failed)
    except (TimeoutError, Unavailable, OSError) as problem:
        why = str(_most_telling(refused)) if refused else str(problem) or "it does not answer"
        raise Problem(f"The NATS server at {url} cannot be used as '{user}': {why}.", mend) from problem
    try:
        yield client
    finally:
        await client.close()


def _most_telling(problems: Sequence[Exception]) -> Exception:
    """The last thing the server itself said: it hangs up after a refusal, and the reset may overtake its words."""
    said = [problem for problem in problems if not isinstance(problem, OSError)]
    return (said or problems)[-1]


async def answering(client: Client, wanted: Mapping[str, int]) -> Counter[str]:
    """How many processes of each part answer on the service protocol; returns early when as many as wanted do."""
    inbox = client.new_inbox()
    heard: set[tuple[str, str]] = set()
    found: Counter[str] = Counter()
    subscription = await client.subscribe(inbox)
    try:
        await client.publish("$SRV.PING", reply=inbox)
        while any(found[part] < number for part, number in wanted.items()):
            message = await subscription.next_msg(timeout=_QUIET_SECONDS)
            # The server itself answers, with nothing, when there is no service at all.
            if message.data:
                told = from_json(message.data)
                heard.add((str(told["name"]), str(told["id"])))
                found = Counter(name for name, _ in heard)
    except nats.errors.TimeoutError:
        return found
    finally:
        await subscription.unsubscribe()
    return found
