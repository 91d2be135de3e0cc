"""Devices that join in two rounds, as many as wanted and some at once, each until it has a certificate."""

import asyncio
import ssl
import time
import uuid
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.bench.joining import csr_of, joining
from tests.bench.mqtt import Refused, Where
from tests.bench.stage import context
from tests.e2e.rig import RunningHub

_PATIENCE_SECONDS = 5.0
_AGAIN_SECONDS = 0.2


@dataclass
class Joiners:
    """``given`` is every certificate that was handed out, by serial number; ``joined`` the devices that have theirs."""

    hub: RunningHub
    at_once: int = 16
    given: dict[str, str] = field(default_factory=dict)
    joined: dict[str, str] = field(default_factory=dict)
    retries: int = 0
    refusals: list[str] = field(default_factory=list)
    slowest: float = 0.0

    async def run(self, number: int) -> None:
        """Have so many more devices join."""
        claim = self.hub.claim
        trust = context(claim.ca, claim.certificate, claim.key)
        left = iter(range(number))

        async def work() -> None:
            # A device makes its key at its leisure; here it would only be more load.
            key = ec.generate_private_key(ec.SECP256R1())
            for _ in left:
                await self._join(trust, key)

        async with asyncio.TaskGroup() as group:
            for _ in range(self.at_once):
                group.create_task(work())

    async def _join(self, trust: ssl.SSLContext, key: ec.EllipticCurvePrivateKey) -> None:
        """Ask until it has its certificate, the same again whenever no answer comes, as a careful device does."""
        hardware, csr, name = str(uuid.uuid4()), "", ""
        where = Where(port=self.hub.mqtt_port)
        began = time.monotonic()
        while True:
            try:
                async with (
                    asyncio.timeout(_PATIENCE_SECONDS),
                    joining(where, hardware, trust) as claimer,
                ):
                    name = await claimer.ask({}, "deviceId")
                    csr = csr or csr_of(name, key)
                    pem = await claimer.ask({"deviceId": name, "csrPem": csr}, "certPem")
                break
            except (OSError, TimeoutError, Refused) as problem:
                self.retries += 1
                if isinstance(problem, Refused) and "unavailable" not in str(problem):
                    self.refusals.append(str(problem))
                await asyncio.sleep(_AGAIN_SECONDS)
        serial = f"{x509.load_pem_x509_certificate(pem.encode()).serial_number:x}"
        self.given[serial] = pem
        self.joined[name] = serial
        self.slowest = max(self.slowest, time.monotonic() - began)
