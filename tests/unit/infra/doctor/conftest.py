"""A hub's files, as a start leaves them, to be spoilt one at a time."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from functions.adapters.roots import make_root
from infra.doctor.finding import Patient
from infra.node import Node, write_node
from infra.settings import Settings
from infra.stack.certificates import Root, gather_crl, gather_server
from infra.stack.paths import Paths

NAMES = ("hub.example", "127.0.0.1")


def write_private(file: Path, text: str) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o600)


@pytest.fixture(scope="session")
def root() -> Root:
    return Root.of(*make_root())


@pytest.fixture
def patient(tmp_path: Path, root: Root) -> Patient:
    """A hub that was set up and does not run."""
    paths = Paths(tmp_path, tmp_path / "run")
    now = datetime.now(UTC)
    settings = Settings.from_env({"HUB_DATA_DIR": str(tmp_path), "HUB_NATS_LISTEN": "127.0.0.1:1"})
    node = Node(
        name="hub-12ab",
        created_at="2026-01-02T03:04:05Z",
        run=str(paths.run),
        mqtt_listen="127.0.0.1:1",
        mqtt_host="hub.example",
        nats_url="nats://127.0.0.1:1",
        hostnames=NAMES,
        topic_prefixes=("$devicehub",),
        workers=1,
    )
    server = asyncio.run(gather_server(paths, root, NAMES, now))
    crl = asyncio.run(gather_crl(paths, root, now))
    write_private(paths.ca_certificate, root.trust_pem)
    write_private(paths.ca_key, root.key_file)
    write_private(paths.broker_server, server)
    write_private(paths.broker_crl, crl)
    write_private(paths.nats_config, "")
    for name in ("passwd", "dynsec.json"):
        write_private(paths.broker / name, "")
    write_private(paths.secret("uuid-key"), "00")
    write_node(paths.node, node)
    return Patient(settings, paths, node, None, now)


@pytest.fixture
def later(patient: Patient) -> Callable[[datetime], Patient]:
    """The same hub at another time."""
    return lambda now: replace(patient, now=now)
