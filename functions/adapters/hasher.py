"""The keyed hash that hardware UUIDs are stored under."""

import hashlib
import hmac


class HmacHasher:
    """HMAC-SHA-256 (RFC 2104) under the hub's own key (``functions.ports.UuidHasher``).

    A plain hash would not do: serial numbers of boards are few enough to try
    them all.

    Args:
        key: the hub's secret, 32 random bytes. Under another key nothing that was stored is found again.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def hash(self, uuid: str) -> str:
        """The hash of a canonical UUID, in lower-case hex."""
        return hmac.new(self._key, uuid.encode(), hashlib.sha256).hexdigest()
