"""Devices that join in two rounds, as many as wanted and some at once, each until it has a certificate."""

import asyncio
import json
import ssl
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.bench.mqtt import Refused, Session, Where
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
        began = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS), _claimer(self.hub, hardware, trust) as claimer:
                    name = await claimer.ask({}, "deviceId")
                    csr = csr or _csr(name, key)
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


class _Claimer:
    """A session with the claim certificate, for one hardware UUID."""

    def __init__(self, session: Session, hardware: str) -> None:
        self._session = session
        self._base = f"$devicehub/devices/{hardware}/provision"
        self._answers: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        session.heard = lambda topic, payload: self._answers.put_nowait((topic, payload))

    async def subscribe(self) -> None:
        await self._session.subscribe([f"{self._base}/accepted", f"{self._base}/rejected"])

    async def ask(self, body: dict[str, str], wanted: str) -> str:
        """What is wanted of the answer; an answer may come twice, and then the second is of no use."""
        self._session.publish(f"{self._base}/request", json.dumps(body).encode())
        while True:
            topic, payload = await self._answers.get()
            told: dict[str, Any] = json.loads(payload)
            if topic.endswith("/rejected"):
                raise Refused(str(told["error"]))
            if wanted in told:
                return str(told[wanted])


@asynccontextmanager
async def _claimer(hub: RunningHub, hardware: str, trust: ssl.SSLContext) -> AsyncIterator[_Claimer]:
    session = await Session.open(Where(port=hub.mqtt_port), hardware, trust)
    try:
        claimer = _Claimer(session, hardware)
        await claimer.subscribe()
        yield claimer
    finally:
        await session.close()


def _csr(name: str, key: ec.EllipticCurvePrivateKey) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()
