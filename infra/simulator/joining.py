"""How a simulated device joins: as published device software does, in two rounds of ``provision/request``."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from bridge.mqtt.wire import BrokerAddress, Tls
from functions.domain.faults import Unavailable
from infra.problem import Problem
from infra.simulator.keyring import Identity
from infra.simulator.session import Session

_ANSWER_SECONDS = 30.0


class Refused(Exception):
    """The hub refused.

    Args:
        reason: its code and its sentence.
        may_pass: whether the same request may be granted later.
    """

    def __init__(self, reason: str, *, may_pass: bool) -> None:
        super().__init__(reason)
        self.may_pass = may_pass


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the devices connect, and with which claim certificate they join."""

    host: str
    port: int
    prefix: str
    claim: Tls

    @classmethod
    def of_bundle(cls, folder: Path, *, host: str = "", port: int = 0) -> "Broker":
        """The broker that a claim bundle names; host and port instead of the bundle's, where given.

        Raises:
            Problem: it is no claim bundle.
        """
        try:
            config = orjson.loads((folder / "config.json").read_bytes())
            tls = Tls(*(folder / config[name] for name in ("caFile", "certFile", "keyFile")))
            for file in (tls.ca, tls.certificate, tls.key):
                file.read_bytes()
            return cls(host or str(config["host"]), port or int(config["port"]), str(config["topicPrefix"]), tls)
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise Problem(
                f"{folder} is no claim bundle: {problem!r}.", "Make one: devicehub claim create NAME --out DIR"
            ) from problem

    @property
    def for_claimers(self) -> BrokerAddress:
        """The address, with the claim certificate."""
        return BrokerAddress(host=self.host, port=self.port, tls=self.claim)

    def for_device(self, identity: Identity) -> BrokerAddress:
        """The address, with the device's certificate."""
        return replace(self.for_claimers, tls=Tls(self.claim.ca, identity.file, identity.file))


async def join(broker: Broker, identity: Identity) -> Identity:
    """Ask for a name, have a CSR for it signed, and keep the certificate.

    Raises:
        Refused: the hub does not want it.
        Unavailable: broker or hub do not answer.
    """
    base = f"{broker.prefix}/devices/{identity.uuid}/provision"
    answers: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    session = await Session.open(
        broker.for_claimers, identity.uuid, lambda topic, payload: answers.put_nowait((topic, payload))
    )
    try:
        await session.subscribe([f"{base}/accepted", f"{base}/rejected"])

        async def ask(body: dict[str, str]) -> dict[str, Any]:
            session.publish(f"{base}/request", orjson.dumps(body))
            return await _answer(answers)

        name = str((await ask({}))["deviceId"])
        told = await ask({"deviceId": name, "csrPem": await asyncio.to_thread(identity.request, name)})
        return await asyncio.to_thread(identity.joined, name, str(told["certPem"]))
    finally:
        await session.close()


async def _answer(answers: asyncio.Queue[tuple[str, bytes]]) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            topic, payload = await answers.get()
    except TimeoutError as problem:
        raise Unavailable(detail="The hub does not answer.") from problem
    told: dict[str, Any] = orjson.loads(payload)
    if topic.endswith("/rejected"):
        may_pass = int(told.get("code", 0)) in (429, 503)
        raise Refused(f"{told.get('error')}: {told.get('message')}", may_pass=may_pass)
    return told
