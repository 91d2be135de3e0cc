"""The revocation list as anyone may have it, in PEM or DER, asked of the hub now and then however many want it."""

import time
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from functions.contract import subjects
from functions.contract.messages import CrlView, Nothing
from gateway.believed import Believed
from gateway.callers import GATEWAY, Bus

_WITHIN_SECONDS = 4.5
_BELIEVED_SECONDS = 1.0
_TAG_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Published:
    """A revocation list in both forms, and when it was made."""

    pem: bytes
    der: bytes
    made: datetime

    def form(self, *, der: bool) -> tuple[bytes, str]:
        """The list in one of its forms, with the ETag of that."""
        body = self.der if der else self.pem
        return body, f'"{sha256(body).hexdigest()[:_TAG_DIGITS]}"'


class RevocationList:
    """Asks for the list.

    The address that gives it is open to all, so however many ask at once, the
    hub is asked once, and the answer believed for a second.
    """

    def __init__(self, bus: Bus, now: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._published = Believed(self._ask, lambda _: _BELIEVED_SECONDS, now)

    async def read(self) -> Published:
        """The list as it was a second ago at most. Raises Fault, as the function does."""
        return await self._published.read()

    async def _ask(self) -> Published:
        told = await self._bus.call(
            subjects.subject("crl", "get"), Nothing(), CrlView, caller=GATEWAY, within=_WITHIN_SECONDS
        )
        lines = [line for line in told.pem.splitlines() if not line.startswith("-----")]
        return Published(told.pem.encode(), b64decode("".join(lines)), told.this_update)
