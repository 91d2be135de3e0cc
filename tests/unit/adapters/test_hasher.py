"""The keyed hash of a UUID, against the published test vector and OpenSSL's answer."""

from functions.adapters.hasher import HmacHasher


def test_it_is_hmac_sha_256() -> None:
    """RFC 4231, test case 2."""
    assert (
        HmacHasher(b"Jefe").hash("what do ya want for nothing?")
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )


def test_another_key_gives_another_hash() -> None:
    assert HmacHasher(b"a").hash("4711") != HmacHasher(b"b").hash("4711")
