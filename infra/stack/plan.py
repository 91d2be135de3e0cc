"""The plan of a local stack: what must lie where, what differs from it, and putting that in place.

``make_plan`` reads and decides and writes nothing; ``show`` says what would
be done; ``apply`` does it. Applied twice, the second time nothing changes.
"""

import os
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import entry_points, version
from pathlib import Path

from pydantic_core import to_json

from functions.contract.files import write_file
from functions.plugins import GROUP, PluginError, load_routes
from functions.route import Route
from infra.node import Node, write_node
from infra.problem import Problem
from infra.settings import Settings
from infra.stack import certificates, credentials, hosts, mosquitto, nats_server, supervisor
from infra.stack.parts import Part, make_parts, nats_url
from infra.stack.paths import NATS_USERS, Paths
from infra.stack.programs import Programs
from infra.stack.supervisor import Server

_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class File:
    """A file that must lie there, private to the hub's user."""

    path: Path
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that must be in place before the supervisor starts; files in the order of writing.

    ``notes`` is what the one who starts it should know of it.
    """

    paths: Paths
    directories: tuple[Path, ...]
    files: tuple[File, ...]
    node: Node
    servers: tuple[Server, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever set up here."""
        return not self.paths.node.exists()


async def make_plan(settings: Settings, paths: Paths, old: Node | None, programs: Programs) -> Plan:
    """Decide what must be there; secrets and certificates that are missing are made, in memory.

    Raises:
        Problem: something that cannot be made anew is lost or damaged.
    """
    now = datetime.now(UTC)
    passwords = credentials.gather(paths, is_new=old is None)
    root = certificates.gather_root(paths, settings.ca_passphrase, is_new=old is None)
    names = hosts.certificate_names(settings)
    server = await certificates.gather_server(paths, root, names, now)
    node = _node(settings, paths, old, names, now)
    added = _added_routes()
    parts = make_parts(settings, paths, node.nats_url, node.name)
    servers = _servers(paths, programs)
    files = (
        *(File(paths.secret(name), f"{value}\n".encode()) for name, value in passwords.items()),
        File(paths.ca_key, root.key_file.encode()),
        File(paths.ca_certificate, root.trust_pem.encode()),
        *_broker_files(settings, paths, programs, passwords["broker-bridge"]),
        File(paths.broker_trust, root.trust_pem.encode()),
        File(paths.broker_server, server.encode()),
        File(paths.broker_crl, (await certificates.gather_crl(paths, root, now)).encode()),
        # Kept as it is; when the storage can be read, it is made as the credentials there say.
        File(paths.nats_integrations, _read(paths.nats_integrations) or nats_server.render_integrations({}).encode()),
        # Also where a server elsewhere is used: it needs these accounts and users.
        File(
            paths.nats_config,
            nats_server.render(
                paths,
                name=node.name,
                listen=settings.nats_listen,
                passwords={user: passwords[f"nats-{user}"] for user in NATS_USERS},
                added=added,
            ).encode(),
        ),
        File(paths.asyncapi, _described(added)),
        File(
            paths.supervisor_config,
            supervisor.render(paths, servers, parts, wrapper=programs.wrapper, runs_as_root=os.geteuid() == 0).encode(),
        ),
    )
    notes = (f"The key of the CA in {paths.ca_key} is encrypted from now on.",) if root.is_newly_encrypted else ()
    return Plan(paths, _directories(paths), files, node, servers, parts, notes)


def _described(added: Sequence[Route]) -> bytes:
    """What the hub hears and tells, for machines."""
    from functions.routes import ROUTES
    from infra.asyncapi import document

    return to_json(document((*ROUTES, *added), version=version("devicehub")))


def _added_routes() -> tuple[Route, ...]:
    """The routes that other installed packages add.

    Raises:
        Problem: they cannot be served.
    """
    if not entry_points(group=GROUP):
        # The table brings in every handler, which takes a fifth of a second.
        return ()
    from functions.routes import ROUTES

    try:
        return load_routes(ROUTES)[len(ROUTES) :]
    except PluginError as problem:
        raise Problem(str(problem), "Remove or mend the package, then start again.") from problem


def show(plan: Plan) -> list[str]:
    """What applying the plan would do, a line a thing; nothing of any content."""
    lines = [f"make {path}/" for path in plan.directories if not path.is_dir()]
    for file in plan.files:
        found = _read(file.path)
        if found is None:
            lines.append(f"make {file.path}")
        elif found != file.content:
            lines.append(f"change {file.path}")
        elif stat.S_IMODE(file.path.stat().st_mode) != _PRIVATE:
            lines.append(f"make private {file.path}")
    return lines


def apply(plan: Plan) -> None:
    """Put everything in place; what is as it should be is not touched. The node file comes last.

    Raises:
        Problem: a directory is not what it must be, or the disk refuses.
    """
    try:
        for directory in plan.directories:
            _make_directory(directory, is_top=directory == plan.paths.data)
        for file in plan.files:
            if _read(file.path) != file.content:
                write_file(file.path, file.content, mode=_PRIVATE)
            elif stat.S_IMODE(file.path.stat().st_mode) != _PRIVATE:
                file.path.chmod(_PRIVATE)
        write_node(plan.paths.node, plan.node)
    except OSError as problem:
        raise Problem(
            f"{problem.filename or plan.paths.data} cannot be written: {problem.strerror or problem}.",
            "Make room on the disk or mend its permissions, then start again.",
        ) from problem


def _directories(paths: Paths) -> tuple[Path, ...]:
    inner = (paths.secrets, paths.ca, paths.broker, paths.nats, paths.index, paths.telemetry, paths.logs)
    return (paths.data, paths.run, *inner, paths.default_claim.parent)


def _broker_files(settings: Settings, paths: Paths, programs: Programs, password: str) -> Sequence[File]:
    passwd = _read(paths.broker / "passwd") or b""
    if not mosquitto.is_password_line(passwd.decode(errors="replace"), mosquitto.BRIDGE_USER, password):
        passwd = mosquitto.password_line(mosquitto.BRIDGE_USER, password).encode()
    configuration = mosquitto.render(
        paths, listen=settings.mqtt_listen, plugin=programs.plugin, runs_as_root=os.geteuid() == 0
    )
    return (
        File(paths.broker_config, configuration.encode()),
        File(paths.broker / "acl", mosquitto.render_acl(settings.topic_prefixes).encode()),
        File(paths.broker / "passwd", passwd),
        # The broker keeps the claim roles in it.
        File(paths.broker / "dynsec.json", _read(paths.broker / "dynsec.json") or b"{}\n"),
    )


def _servers(paths: Paths, programs: Programs) -> tuple[Server, ...]:
    broker = Server("mosquitto", (str(programs.mosquitto), "-c", str(paths.broker_config)))
    if programs.nats_server is None:
        return (broker,)
    return (Server("nats", (str(programs.nats_server), "-c", str(paths.nats_config))), broker)


def _node(settings: Settings, paths: Paths, old: Node | None, names: tuple[str, ...], now: datetime) -> Node:
    """What the node file will say: the settings as applied, and of itself what it said before."""
    return Node(
        name=old.name if old else f"hub-{secrets.token_hex(4)}",
        created_at=old.created_at if old else now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        run=str(paths.run),
        mqtt_listen=str(settings.mqtt_listen),
        mqtt_host=hosts.device_host(settings),
        nats_url=nats_url(settings),
        hostnames=names,
        topic_prefixes=settings.topic_prefixes,
        workers=settings.workers,
        claim_made_at=old.claim_made_at if old else "",
        http_listen=str(settings.http_listen),
        http_tls=settings.http_tls,
    )


def _make_directory(path: Path, *, is_top: bool) -> None:
    """Make a directory for this user alone; the data directory itself, if it was there, stays as open as it is."""
    if is_top and path.is_dir():
        return
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat(follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise Problem(f"{path} is not a directory of this user.", "Remove it, then start again.")
    if stat.S_IMODE(found.st_mode) != 0o700:
        path.chmod(0o700)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
