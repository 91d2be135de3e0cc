"""A device that joins with a claim certificate, in two rounds."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.bench.mqtt import Refused, Session, Where


class Claimer:
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
async def joining(where: Where, hardware: str, trust: ssl.SSLContext) -> AsyncIterator[Claimer]:
    """A session of a device that joins in two rounds, ready to ask."""
    session = await Session.open(where, hardware, trust)
    try:
        claimer = Claimer(session, hardware)
        await claimer.subscribe()
        yield claimer
    finally:
        await session.close()


def csr_of(name: str, key: ec.EllipticCurvePrivateKey) -> str:
    """A CSR of a key that is there; making one is no load on the hub."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()
