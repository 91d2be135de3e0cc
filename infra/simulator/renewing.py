"""How simulated devices renew their certificates: asked over the device's own session, confirmed in a new one."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from functions.domain.faults import Unavailable
from infra.simulator.asking import Refused, asking
from infra.simulator.counts import Counts
from infra.simulator.joining import Broker
from infra.simulator.keyring import Identity

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Renewed:
    """How many devices have a newer certificate now, and how long it took in all."""

    number: int
    seconds: float


async def renew_all(broker: Broker, identities: Sequence[Identity], counts: Counts, stop: asyncio.Event) -> Renewed:
    """Have every device renew once; those under way when ``stop`` is set finish, and failures are counted."""
    gate = asyncio.Semaphore(_AT_ONCE)
    began = time.monotonic()

    async def one(identity: Identity) -> None:
        async with gate:
            if stop.is_set():
                return
            at = time.monotonic()
            try:
                await renew(broker, identity)
            except (Refused, Unavailable) as problem:
                counts.failed(str(problem))
            else:
                counts.took("renewed", time.monotonic() - at)

    await asyncio.gather(*map(one, identities))
    return Renewed(counts.done["renewed"], time.monotonic() - began)


async def renew(broker: Broker, identity: Identity) -> None:
    """Ask for a certificate for a new key, keep both, connect with them and confirm.

    The new one is kept before it is confirmed: from the answer on it is good,
    and the old one ends some day whether or not it is confirmed.

    Raises:
        Refused: the hub does not want it.
        Unavailable: broker or hub do not answer.
    """
    name = identity.device_id or ""
    topic = f"{broker.prefix}/devices/{name}/certificates/renew"
    fresh = await asyncio.to_thread(identity.make_key)
    told = await _ask(broker, identity, topic, {"csrPem": fresh.request(name)})
    await asyncio.to_thread(fresh.keep, str(told["certPem"]))
    body = {"certificateId": str(told["certificateId"])}
    for tries_left in (2, 1, 0):
        try:
            await _ask(broker, identity, f"{topic}/confirm", body)
        except Unavailable:
            # It ends the session that waits for its answer; what was done is answered as before.
            if not tries_left:
                raise
        else:
            return


async def _ask(broker: Broker, identity: Identity, topic: str, body: dict[str, str]) -> dict[str, Any]:
    async with asking(broker.for_device(identity), identity.device_id or "", [topic]) as ask:
        return await ask(topic, body)
