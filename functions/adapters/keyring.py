"""Private keys that the hub makes, and the seal under which it keeps those of claim certificates."""

import secrets
from base64 import b64decode, b64encode
from binascii import Error as NotBase64

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from functions.contract.requests import make_request
from functions.domain.faults import Conflict, Reason
from functions.ports import KeyPair

# Names the purpose (RFC 5869, ``info``): what else is derived from the same
# secret, and the keyed hash of UUIDs made with it, tell nothing of this key.
_PURPOSE = b"devicehub: private keys of claim certificates, sealed"
_VERSION = "v1:"
_KEY_BYTES = 32
# SP 800-38D: 96 random bits a seal, and far fewer than 2**32 seals of one key.
_NONCE_BYTES = 12


class SecretKeyring:
    """Makes P-256 keys, and seals them with AES-256-GCM under a key of the hub's secret (``functions.ports.Keyring``).

    Args:
        secret: the hub's secret, 32 random bytes. Under another one nothing that was sealed can be opened.
    """

    def __init__(self, secret: bytes) -> None:
        derived = HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=_PURPOSE).derive(secret)
        self._cipher = AESGCM(derived)

    def make(self, common_name: str) -> KeyPair:
        """A new private key, and the CSR for it."""
        csr_pem, key_pem = make_request(common_name)
        return KeyPair(key_pem, csr_pem)

    def seal(self, key_pem: str, owner: str) -> str:
        """The key so that only this hub can read it, and only as the key of this owner."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + b64encode(nonce + self._cipher.encrypt(nonce, key_pem.encode(), owner.encode())).decode()

    def unseal(self, sealed: str, owner: str) -> str:
        """The key that was sealed for this owner.

        Raises:
            Conflict: ``no_bundle``: it was sealed under another secret or for another owner, or is damaged.
        """
        try:
            if not sealed.startswith(_VERSION):
                raise ValueError("not sealed by this version")
            data = b64decode(sealed.removeprefix(_VERSION), validate=True)
            return self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], owner.encode()).decode()
        except (InvalidTag, NotBase64, ValueError) as problem:
            raise Conflict(
                Reason.NO_BUNDLE,
                "The private key was kept under another secret of the hub and cannot be read."
                " Delete the claim certificate and issue a new one.",
            ) from problem
