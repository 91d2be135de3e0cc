"""Makes the authorities beside it with the openssl command; run it here. Their keys are for tests, and public."""

import subprocess
from pathlib import Path

HERE = Path(__file__).parent
P256 = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
CA = "basicConstraints=critical,CA:TRUE"
USAGE = "keyUsage=critical,keyCertSign,cRLSign"
# Beyond the time of any test.
DAYS = "36500"

# By name: the algorithm, the authority above, and what openssl is told besides.
AUTHORITIES: dict[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "root": (P256, "", ()),
    "rsa3072": (("rsa:3072",), "", ()),
    "p384": (("ec", "-pkeyopt", "ec_paramgen_curve:P-384"), "", ("-sha384",)),
    "ed25519": (("ed25519",), "", ()),
    "intermediate": (P256, "root", ()),
    "second": (P256, "intermediate", ()),
    "rsa1024": (("rsa:1024",), "", ()),
    "sha1": (P256, "", ("-sha1",)),
    "secp256k1": (("ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"), "", ()),
    "ed448": (("ed448",), "", ()),
    "over": (P256, "", ("-days", "1")),
    "below-sha1": (P256, "sha1", ()),
    "below-rsa1024": (P256, "rsa1024", ()),
    "no-ca": (P256, "", ("-addext", "basicConstraints=critical,CA:FALSE", "-addext", USAGE)),
    "no-usage": (P256, "", ("-addext", CA)),
    "no-lists": (P256, "", ("-addext", CA, "-addext", "keyUsage=critical,keyCertSign")),
    "no-certificates": (P256, "", ("-addext", CA, "-addext", "keyUsage=critical,cRLSign")),
    "pathlen0": (P256, "", ("-addext", f"{CA},pathlen:0", "-addext", USAGE)),
    "below-pathlen0": (P256, "pathlen0", ()),
    "servers-only": (P256, "", ("-addext", CA, "-addext", USAGE, "-addext", "extendedKeyUsage=serverAuth")),
    "clients-and-servers": (
        P256,
        "",
        ("-addext", CA, "-addext", USAGE, "-addext", "extendedKeyUsage=serverAuth,clientAuth"),
    ),
    "constrained": (P256, "", ("-addext", CA, "-addext", USAGE, "-addext", "nameConstraints=permitted;DNS:x.example")),
    "unknown-critical": (P256, "", ("-addext", CA, "-addext", USAGE, "-addext", "1.2.3.4=critical,ASN1:NULL")),
}


def make(name: str, algorithm: tuple[str, ...], above: str, options: tuple[str, ...]) -> None:
    own = options if "-addext" in options else (*options, "-addext", CA, "-addext", USAGE)
    days = () if "-days" in options else ("-days", DAYS)
    by = ("-CA", f"{above}.crt", "-CAkey", f"{above}.key") if above else ()
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-newkey", *algorithm, "-keyout", f"{name}.key"),
            *("-out", f"{name}.crt", "-subj", f"/O=Vectors/CN={name}", "-config", "req.cnf", *days, *own, *by),
        ],
        cwd=HERE,
        check=True,
        capture_output=True,
    )


def encrypt(*words: str) -> None:
    command = ["openssl", *words, "-in", "root.key", "-passout", "pass:swordfish"]
    subprocess.run(command, cwd=HERE, check=True, capture_output=True)


def main() -> None:
    for name, (algorithm, above, options) in AUTHORITIES.items():
        make(name, algorithm, above, options)
    encrypt("pkcs8", "-topk8", "-out", "root-encrypted.key")
    encrypt("ec", "-aes256", "-out", "root-encrypted-old.key")


if __name__ == "__main__":
    main()
