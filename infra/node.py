"""The node file: what must be known of this node before NATS runs.

A TinyDB document, small and local. It is replaced in one step, so that a
power cut leaves the old file or the new one.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from tinydb import TinyDB
from tinydb.storages import Storage

from functions.contract.files import write_file
from infra.problem import Problem
from infra.settings import Address
from infra.stack.paths import Paths

SCHEMA = 1
_TABLE = "node"


@dataclass(frozen=True, slots=True)
class Node:
    """What ``devicehub up`` last made here; times are ISO 8601 in UTC.

    ``run`` is the directory of sockets; ``mqtt_host`` the name or address
    that bundles give to devices; ``claim_made_at`` is empty until the first
    claim certificate is made; ``http_listen`` where the hub never served HTTP;
    ``http_tls`` is as in the settings.
    """

    name: str
    created_at: str
    run: str
    mqtt_listen: str
    mqtt_host: str
    nats_url: str
    hostnames: tuple[str, ...]
    topic_prefixes: tuple[str, ...]
    workers: int
    claim_made_at: str = ""
    http_listen: str = ""
    http_tls: str = "off"

    @property
    def mqtt_port(self) -> int:
        """The port that devices connect to."""
        return Address.parse(self.mqtt_listen).port

    @property
    def http_url(self) -> str:
        """Where browsers and programs find the hub; empty if nowhere."""
        if not self.http_listen:
            return ""
        listen = Address.parse(self.http_listen)
        # Who listens everywhere is found where devices find the hub.
        scheme = "http" if self.http_tls == "off" else "https"
        return f"{scheme}://{Address(self.mqtt_host, listen.port) if listen.is_anywhere else listen}"


def read_node(file: Path) -> Node | None:
    """What the node file says, or None if there is none yet.

    Raises:
        Problem: it is damaged, or a newer version of the hub wrote it.
        PermissionError: this user may not read it.
    """
    if not file.exists():
        return None
    try:
        with TinyDB(file, storage=AtomicJson) as database:
            document = database.table(_TABLE).get(doc_id=1)
    except PermissionError:
        raise
    except (OSError, ValueError, AttributeError, TypeError) as problem:
        raise Problem(f"The node file {file} cannot be read: {problem}.", "Restore it from a backup.") from problem
    if not isinstance(document, dict) or not isinstance(schema := document.get("schema"), int):
        raise Problem(f"The node file {file} holds no node.", "Restore it from a backup.")
    if schema > SCHEMA:
        raise Problem(
            f"The node file {file} has schema {schema}; this version of Device Hub knows up to {SCHEMA}.",
            "Use the newer version that wrote it, or restore a backup made with this one.",
        )
    try:
        return TypeAdapter(Node).validate_python(document)
    except ValidationError as problem:
        where = ", ".join(str(error["loc"][0]) for error in problem.errors())
        raise Problem(f"The node file {file} is damaged at: {where}.", "Restore it from a backup.") from problem


def write_node(file: Path, node: Node) -> None:
    """Keep a node's facts; durable when it returns."""
    with TinyDB(file, storage=AtomicJson) as database:
        database.storage.write({_TABLE: {"1": {"schema": SCHEMA, **asdict(node)}}})


def known_paths(data: Path) -> tuple[Paths, Node | None]:
    """The paths of the hub in a data directory, and its node if it was ever set up.

    Raises:
        Problem: the node file cannot be used, or not by this user.
    """
    try:
        node = read_node(data / "node.json")
    except PermissionError as problem:
        raise Problem(
            f"You may not read {data}.", "Run the command as the user that the hub runs as, or as root with sudo."
        ) from problem
    return Paths(data, Path(node.run) if node else data / "run"), node


class AtomicJson(Storage):
    """A TinyDB storage that writes beside, syncs and renames; TinyDB's own writes in place."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, dict[str, Any]] | None:
        """The tables, or None where there is no file yet."""
        try:
            content: dict[str, dict[str, Any]] = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        return content

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        """Replace the file; mode 0600."""
        write_file(self._path, json.dumps(data, indent=2).encode() + b"\n", mode=0o600)
