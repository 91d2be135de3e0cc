"""A process that makes and changes groups until it is killed: python -m ... URL NUMBER."""

import asyncio
import sys
from dataclasses import replace
from itertools import count
from typing import Any

from functions.adapters.audit import JetStreamAudit
from functions.adapters.jetstream import JetStreamStore
from functions.adapters.layout import BUCKETS
from functions.contract import bus
from functions.contract.messages import GroupCreate, GroupUpdate, Nothing
from functions.handlers import groups
from functions.testing import call, memory_hub

BUCKET = BUCKETS["groups"]


async def work(url: str, number: str) -> None:
    """Change by change, each in a call of its own."""
    client = await bus.connect(url, user="functions", password="functions")
    store = JetStreamStore(client, BUCKET.names, BUCKET.codec())
    parts: dict[str, Any] = {"groups": store, "audit": JetStreamAudit(client)}
    hub = replace(memory_hub(), **parts)
    print("begun", flush=True)
    for turn in count():
        name = f"g{number}-{turn % 20}"
        await groups.create(call(GroupCreate(group=name)), hub)
        await groups.update(call(GroupUpdate(query="tag:site=A"), names=(name,)), hub)
        await groups.delete(call(Nothing(), names=(name,)), hub)


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]))
