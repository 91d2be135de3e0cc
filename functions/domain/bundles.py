"""Bundles: the files that a device needs to connect, and what they are called.

``ca.crt``, the certificate, its private key and ``config.json``. Devices find
the other files by the names in ``config.json``, so wherever a bundle is made,
by a command or for a download, it is made of what stands here.
"""

import json
from dataclasses import dataclass, field
from typing import Any

CA = "ca.crt"
CONFIG = "config.json"
# What the files of a claim bundle are called, whatever the claim's own name:
# they are copied onto devices that look for these.
CLAIM_FILES = "provisioning"


@dataclass(frozen=True, slots=True)
class Site:
    """Where devices reach the hub: host and port of the broker, and the topic prefix."""

    mqtt_host: str
    mqtt_port: int
    topic_prefix: str


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file of a bundle; a private one is readable by its owner only."""

    name: str
    content: str = field(repr=False)
    is_private: bool = False


def certificate_file(name: str) -> str:
    """The certificate's file name in the bundle of this name."""
    return f"{name}.crt"


def key_file(name: str) -> str:
    """The private key's file name in the bundle of this name."""
    return f"{name}.key"


def configuration(site: Site, name: str, device: str | None = None) -> dict[str, Any]:
    """What ``config.json`` says: where the broker is, under which prefix, and which files to use."""
    return {
        "host": site.mqtt_host,
        "port": site.mqtt_port,
        **({"deviceId": device} if device else {}),
        "topicPrefix": site.topic_prefix,
        "caFile": CA,
        "certFile": certificate_file(name),
        "keyFile": key_file(name),
    }


def encode_configuration(content: dict[str, Any]) -> str:
    """``config.json`` as it is written."""
    return f"{json.dumps(content, indent=2)}\n"


def make_bundle(
    site: Site, name: str, *, ca_pem: str, cert_pem: str, key_pem: str | None, device: str | None = None
) -> tuple[BundleFile, ...]:
    """The files of a bundle, in the order in which they are listed.

    Args:
        site: where the device is to connect.
        name: what certificate and key are called: a device's id, or ``CLAIM_FILES``.
        ca_pem: the CA's chain.
        cert_pem: the certificate.
        key_pem: its private key; None where the holder has it already.
        device: the device's id, in a device's bundle.
    """
    key = (BundleFile(key_file(name), key_pem, is_private=True),) if key_pem is not None else ()
    return (
        BundleFile(CA, ca_pem),
        BundleFile(certificate_file(name), cert_pem),
        *key,
        BundleFile(CONFIG, encode_configuration(configuration(site, name, device))),
    )
