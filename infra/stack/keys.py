"""Keys that programs connect to the NATS server with, in the form that every NATS client reads.

Ed25519, written in base32: a prefix that says what it is, the key, and a
CRC-16 (XMODEM) with its lower byte first, as NATS's ``nkeys`` has it. The
whole is three lines here, and a test holds it against that library, which
would bring a second implementation of Ed25519 with it.
"""

from base64 import b32encode
from binascii import crc_hqx

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SEED, _USER = 18 << 3, 20 << 3


def make_key() -> tuple[str, str]:
    """A new key: its seed, which is the secret (``SU`` and 56 characters), and its public half (``U`` and 55)."""
    key = Ed25519PrivateKey.generate()
    # Eight bits of the one kind and then of the other, five bits each.
    prefix = bytes([_SEED | _USER >> 5, _USER << 3 & 0xFF])
    return _text(prefix + key.private_bytes_raw()), _text(bytes([_USER]) + key.public_key().public_bytes_raw())


def _text(data: bytes) -> str:
    return b32encode(data + crc_hqx(data, 0).to_bytes(2, "little")).rstrip(b"=").decode()
