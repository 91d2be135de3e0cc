"""Makes the CSRs beside it with the openssl command; run it here. The keys are thrown away."""

import base64
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
NAME = "/CN=EDGB-0001"
P256 = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
# Stands where the NUL will be, see with_nul.
PLACE = "~"

REQUESTS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "p256": (NAME, P256, ()),
    "p384": (NAME, ("ec", "-pkeyopt", "ec_paramgen_curve:P-384"), ()),
    "ed25519": (NAME, ("ed25519",), ()),
    "rsa2048": (NAME, ("rsa:2048",), ()),
    "rsa-pss": (NAME, ("rsa:2048",), ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32")),
    "new-header": (NAME, P256, ("-newhdr",)),
    "more-in-the-subject": ("/C=BE/O=Edgeberry/CN=EDGB-0001/serialNumber=7", P256, ()),
    "asks-for-more": (
        NAME,
        P256,
        (
            *("-addext", "basicConstraints=CA:FALSE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            *("-addext", "extendedKeyUsage=serverAuth,codeSigning", "-addext", "subjectAltName=DNS:hub.example"),
        ),
    ),
    "rsa1024": (NAME, ("rsa:1024",), ()),
    "p521": (NAME, ("ec", "-pkeyopt", "ec_paramgen_curve:P-521"), ()),
    "secp256k1": (NAME, ("ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"), ()),
    "explicit-curve": (NAME, (*P256, "-pkeyopt", "ec_param_enc:explicit"), ()),
    "ed448": (NAME, ("ed448",), ()),
    "sha1": (NAME, P256, ("-sha1",)),
    "ca-true": (NAME, P256, ("-addext", "basicConstraints=critical,CA:TRUE")),
    "no-cn": ("/O=Edgeberry", P256, ()),
    "empty-subject": ("/", P256, ()),
    "two-cns": ("/CN=EDGB-0001/CN=EDGB-0002", P256, ()),
    "slash-in-cn": (r"/CN=EDGB\/0001", P256, ()),
    "nul-in-cn": (f"/CN=EDGB-0001{PLACE}evil", ("rsa:2048",), ()),
    "other-cn": ("/CN=EDGB-0002", P256, ()),
}


def make(directory: Path, subject: str, algorithm: tuple[str, ...], options: tuple[str, ...]) -> tuple[Path, str]:
    key = directory / "key.pem"
    done = subprocess.run(
        [
            *("openssl", "req", "-new", "-nodes", "-newkey", *algorithm, "-keyout", str(key), "-subj", subject),
            *("-config", str(HERE / "req.cnf"), *options),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return key, done.stdout


def with_nul(key: Path, pem: str) -> str:
    """Put a NUL into the name, and sign again: an RSA signature is the last 256 bytes, whatever it signs."""
    der = bytearray(base64.b64decode("".join(pem.splitlines()[1:-1])))
    der[der.index(PLACE.encode())] = 0
    # SEQUENCE of two length bytes, then the part that is signed, of two as well.
    signed = bytes(der[4 : 8 + int.from_bytes(der[6:8])])
    signature = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", str(key)], input=signed, capture_output=True, check=True
    ).stdout
    der[-len(signature) :] = signature
    return armour(bytes(der))


def spoilt(pem: str) -> str:
    """Change one bit of the name, which is signed: EDGB-0000 for EDGB-0001."""
    der = bytearray(base64.b64decode("".join(pem.splitlines()[1:-1])))
    der[der.index(b"EDGB-0001") + 8] ^= 1
    return armour(bytes(der))


def armour(der: bytes) -> str:
    text = base64.encodebytes(der).decode().replace("\n", "")
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{lines}\n-----END CERTIFICATE REQUEST-----\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        for name, (subject, algorithm, options) in REQUESTS.items():
            key, pem = make(Path(directory), subject, algorithm, options)
            (HERE / f"{name}.csr").write_text(with_nul(key, pem) if name == "nul-in-cn" else pem)
        _, pem = make(Path(directory), NAME, P256, ())
        (HERE / "spoilt.csr").write_text(spoilt(pem))


if __name__ == "__main__":
    main()
