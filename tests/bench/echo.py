"""The answering side of a ceiling, as a process: ``python -m tests.bench.echo broker|bus WHERE``, password on stdin.

It says ``ready``, and ends when its standard input does.
"""

import asyncio
import sys

import uvloop
from nats.aio.msg import Msg

from functions.contract import bus
from infra.stack.mosquitto import BRIDGE_USER
from tests.bench.mqtt import Session, Where


async def main(kind: str, where: str) -> None:
    password = sys.stdin.readline().strip()
    if kind == "broker":
        await _broker(where, password)
    else:
        await _bus(where, password)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def _broker(path: str, password: str) -> None:
    session = await Session.open(Where(path=path), "bare-echo", user=BRIDGE_USER, password=password)

    def heard(topic: str, payload: bytes) -> None:
        session.publish(topic.removesuffix("ask") + "answer", payload)

    session.heard = heard
    await session.subscribe(["bare/+/ask"])


async def _bus(url: str, password: str) -> None:
    client = await bus.connect(url, user="admin", password=password)

    async def heard(message: Msg) -> None:
        await message.respond(message.data)

    await client.subscribe("bare.echo", cb=heard)
    await client.flush()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:3]))
