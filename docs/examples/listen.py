"""Hear telemetry as it comes, and ask the hub for the device that it is of.

pip install 'nats-py[nkeys]'
devicehub nats-credentials reports --scope telemetry:read --scope devices:read --out reports.nk
python listen.py nats://127.0.0.1:4222 reports.nk reports
"""

import asyncio
import json
import sys
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg


async def ask(client: Client, subject: str, **body: Any) -> Any:
    """Call a function of the hub.

    Raises:
        RuntimeError: it answered with a fault, whose message says what to do.
    """
    answer = await client.request(f"devicehub.{subject}", json.dumps(body).encode(), timeout=5)
    told = json.loads(answer.data)
    if "Nats-Service-Error" in (answer.headers or {}):
        raise RuntimeError(f"{told['error']}: {told['message']}")
    return told


async def main(url: str, seed: str, name: str) -> None:
    """Print a line of JSON for every message of a device."""
    # The inbox prefix is the credentials' own: on another, no answer can be heard.
    client = await nats.connect(url, nkeys_seed=seed, inbox_prefix=f"_INBOX_{name}".encode())
    heard: asyncio.Queue[Msg] = asyncio.Queue()
    await client.subscribe("devicehub.stored.telemetry.*.*", cb=heard.put)
    await client.flush()
    print("listening", flush=True)
    while True:
        message = await heard.get()
        device = message.subject.rpartition(".")[2]
        record = await ask(client, f"registry.devices.{device}.get")
        line = {"device": device, "status": record["status"], "said": json.loads(message.data)}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
