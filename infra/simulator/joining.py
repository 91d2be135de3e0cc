"""How a simulated device joins: as published device software does, in two rounds of ``provision/request``."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from bridge.mqtt.wire import BrokerAddress, Tls
from infra.problem import Problem
from infra.simulator.asking import asking
from infra.simulator.keyring import Identity


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
    async with asking(broker.for_claimers, identity.uuid, [base]) as ask:
        name = str((await ask(f"{base}/request", {}))["deviceId"])
        request = await asyncio.to_thread(identity.request, name)
        told = await ask(f"{base}/request", {"deviceId": name, "csrPem": request})
        return await asyncio.to_thread(identity.joined, name, str(told["certPem"]))
