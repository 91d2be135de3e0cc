"""TLS of the gateway: its certificate and key, taken up again when the files change.

Who renews them (the hub itself, or a tool such as certbot) need not tell the
gateway: connections made after the change see the new certificate.
"""

import asyncio
import ssl
from datetime import datetime

import structlog
from cryptography import x509

from gateway.settings import Files

_LOOK_SECONDS = 10.0

log = structlog.get_logger("gateway")


class Encryption:
    """The server's side of TLS 1.2 and 1.3.

    Args:
        files: read now and whenever they change.

    Raises:
        OSError, ValueError: they cannot be read, or are no certificate with its key (``ssl.SSLError`` is an OSError).
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._seen = self._look()
        self.not_after = _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), files)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        _load(self.context, files)

    async def follow(self, every_seconds: float = _LOOK_SECONDS) -> None:
        """Take up what changes, until cancelled; of files that are no good, the certificate from before stays."""
        while True:
            await asyncio.sleep(every_seconds)
            try:
                seen = self._look()
                if seen == self._seen:
                    continue
                self._seen = seen
                # Into one of its own first: a load that fails leaves a context with half of it.
                not_after = _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self._files)
                _load(self.context, self._files)
            except (OSError, ValueError) as problem:
                log.error("certificate not taken up", file=str(self._files.certificate), problem=str(problem))
            else:
                self.not_after = not_after
                log.info("certificate taken up", until=not_after.isoformat())

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        found = [path.stat() for path in (self._files.certificate, self._files.key)]
        return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in found)


def _load(context: ssl.SSLContext, files: Files) -> datetime:
    """Have a context show the certificate; until when it is valid."""
    context.load_cert_chain(files.certificate, files.key, password="")
    return x509.load_pem_x509_certificate(files.certificate.read_bytes()).not_valid_after_utc
