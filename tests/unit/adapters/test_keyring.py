"""Private keys are sealed so that only the same hub opens them, and only for their owner."""

from base64 import b64decode, b64encode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from functions.adapters.keyring import SecretKeyring
from functions.domain.faults import Conflict, Reason

SECRET = bytes(range(32))
OWNER = "claim/fleet/ab12"


@pytest.fixture
def keyring() -> SecretKeyring:
    return SecretKeyring(SECRET)


def refused(keyring: SecretKeyring, sealed: str, owner: str = OWNER) -> bool:
    with pytest.raises(Conflict) as raised:
        keyring.unseal(sealed, owner)
    return raised.value.reason is Reason.NO_BUNDLE and "PRIVATE" not in str(raised.value)


def test_a_new_pair_is_a_key_and_the_request_for_it(keyring: SecretKeyring) -> None:
    pair = keyring.make("claim-fleet")

    key = load_pem_private_key(pair.key_pem.encode(), None)
    request = x509.load_pem_x509_csr(pair.csr_pem.encode())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert request.public_key() == key.public_key()
    assert request.is_signature_valid
    assert keyring.make("claim-fleet").key_pem != pair.key_pem


def test_what_was_sealed_is_opened_also_by_the_hubs_next_process(keyring: SecretKeyring) -> None:
    sealed = keyring.seal("a key", OWNER)

    assert SecretKeyring(SECRET).unseal(sealed, OWNER) == "a key"
    assert "a key" not in sealed
    assert keyring.seal("a key", OWNER) != sealed


def test_another_secret_or_owner_opens_nothing(keyring: SecretKeyring) -> None:
    sealed = keyring.seal("a key", OWNER)

    assert refused(SecretKeyring(bytes(32)), sealed)
    for owner in ("claim/fleet/ab13", "claim/flee/tab12", "", OWNER + " "):
        assert refused(keyring, sealed, owner)


def test_whatever_was_changed_is_refused(keyring: SecretKeyring) -> None:
    sealed = keyring.seal("a key", OWNER)
    data = bytearray(b64decode(sealed.removeprefix("v1:")))

    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        assert refused(keyring, "v1:" + b64encode(changed).decode())
    for wrong in ("", "v1:", "v1:AAAA", "v2:" + sealed[3:], sealed[:-4], "v1:ü", "v1:" + "A" * 16):
        assert refused(keyring, wrong)


def test_the_key_is_another_than_that_of_the_hashes(keyring: SecretKeyring) -> None:
    """Who could seal with the secret itself would have found no purpose in the derivation."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    forged = AESGCM(SECRET).encrypt(bytes(12), b"a key", OWNER.encode())

    assert refused(keyring, "v1:" + b64encode(bytes(12) + forged).decode())
