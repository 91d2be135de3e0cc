"""The hub's own parts as processes: how each is started, and the settings it is given.

A part is told only what it needs, and secrets only as paths of files.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from functions.domain.telemetry import DAY
from gateway.settings import Files
from infra.settings import Settings
from infra.stack import hosts
from infra.stack.hosts import device_host
from infra.stack.mosquitto import BRIDGE_USER
from infra.stack.paths import Paths

# -P: nothing is imported from the directory that a part happens to start in.
_PYTHON = (sys.executable, "-P", "-m")


@dataclass(frozen=True, slots=True)
class Part:
    """One of the hub's parts.

    Args:
        name: as supervisor, log and service protocol call it.
        command: what to run.
        environment: the ``HUB_`` settings it gets.
        processes: how many of it run.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    processes: int = 1

    @property
    def process_names(self) -> tuple[str, ...]:
        """The names of its processes: numbered only where there are several."""
        if self.processes == 1:
            return (self.name,)
        return tuple(f"{self.name}-{number}" for number in range(self.processes))


def make_parts(settings: Settings, paths: Paths, nats_url: str, node: str) -> tuple[Part, ...]:
    """Every part, in the order of starting; ``node`` is this hub's own name."""
    common = {
        "HUB_LOG_LEVEL": settings.log_level,
        "HUB_LOG_FORMAT": settings.log_format,
        "HUB_NATS_URL": nats_url,
    }
    functions = common | {
        "HUB_NATS_PASSWORD_FILE": str(paths.nats_password("functions")),
        "HUB_CA_CERTIFICATE_FILE": str(paths.ca_certificate),
        "HUB_CA_KEY_FILE": str(paths.ca_key),
        "HUB_UUID_KEY_FILE": str(paths.secret("uuid-key")),
        # What bundles tell devices.
        "HUB_DEVICE_HOST": device_host(settings),
        "HUB_MQTT_PORT": str(settings.mqtt_listen.port),
        "HUB_TOPIC_PREFIXES": ",".join(settings.topic_prefixes),
        "HUB_RENEWAL_GRACE_SECONDS": str(settings.renewal_grace_seconds),
        "HUB_SESSION_IDLE_MINUTES": str(int(settings.session_lifetime.idle.total_seconds()) // 60),
        "HUB_SESSION_HOURS": str(int(settings.session_lifetime.most.total_seconds()) // 3600),
    }
    if settings.ca_passphrase_file is not None:
        functions["HUB_CA_PASSPHRASE_FILE"] = str(settings.ca_passphrase_file)
    bridge = common | _bridge(settings, paths)
    gateway = common | _gateway(settings, paths)
    worker = Part("functions", (*_PYTHON, "functions"), functions | {"HUB_FUNCTIONS_ROLE": "worker"}, settings.workers)
    return (
        worker,
        Part("index", (*_PYTHON, "functions"), functions | _of_index(settings, paths)),
        Part("bridge", (*_PYTHON, "bridge"), bridge),
        Part("host", (*_PYTHON, "bridge.host"), common | _host(settings, paths, worker, node)),
        Part("gateway", (*_PYTHON, "gateway"), gateway),
    )


def _of_index(settings: Settings, paths: Paths) -> dict[str, str]:
    """What the index is told besides what every function process is."""
    kept = settings.keeping
    return {
        "HUB_FUNCTIONS_ROLE": "index",
        "HUB_INDEX_DIR": str(paths.index),
        "HUB_QUERY_PATHS": ",".join(settings.query_paths) or ",",
        "HUB_TELEMETRY_DIR": str(paths.telemetry),
        "HUB_TELEMETRY_DAYS": str(kept.telemetry // DAY),
        "HUB_EVENTS_DAYS": str(kept.events // DAY),
        "HUB_TELEMETRY_HOURLY_DAYS": str(kept.numbers // DAY),
        "HUB_TELEMETRY_MIB": str(kept.most_bytes // 1024**2),
    }


def _gateway(settings: Settings, paths: Paths) -> dict[str, str]:
    """What the gateway is told."""
    told = {
        "HUB_NATS_PASSWORD_FILE": str(paths.nats_password("gateway")),
        "HUB_HTTP_LISTEN": str(settings.http_listen),
        "HUB_ASYNCAPI_FILE": str(paths.asyncapi),
        "HUB_HTTP_PROXIES": ",".join(settings.http_proxies) or "none",
    }
    files = settings.http_files
    if settings.http_tls == "hub":
        # The server's certificate of this hub, whatever is served with it: its keeper renews it, under all names.
        files = Files(paths.broker_server, paths.broker_server)
    if files is not None:
        told |= {
            "HUB_HTTP_TLS": "files",
            "HUB_HTTP_CERTIFICATE_FILE": str(files.certificate),
            "HUB_HTTP_KEY_FILE": str(files.key),
        }
    if settings.webui is not None:
        told["HUB_WEBUI_DIR"] = str(settings.webui.absolute())
    return told


def _bridge(settings: Settings, paths: Paths) -> dict[str, str]:
    """What the bridge and the broker's keeper in it are told."""
    return {
        "HUB_NATS_PASSWORD_FILE": str(paths.nats_password("bridge")),
        "HUB_BROKER_URL": f"unix:{paths.broker_socket}",
        "HUB_BROKER_USER": BRIDGE_USER,
        "HUB_BROKER_PASSWORD_FILE": str(paths.secret("broker-bridge")),
        "HUB_BRIDGE_CONTROL_ID_FILE": str(paths.secret("bridge-control")),
        "HUB_BRIDGE_TELEMETRY_ID_FILE": str(paths.secret("bridge-telemetry")),
        "HUB_TOPIC_PREFIXES": ",".join(settings.topic_prefixes),
        "HUB_BROKER_CRL_FILE": str(paths.broker_crl),
        "HUB_BROKER_TRUST_FILE": str(paths.broker_trust),
        "HUB_BROKER_SERVER_FILE": str(paths.broker_server),
        "HUB_BROKER_HOSTNAMES": ",".join(hosts.certificate_names(settings)),
        "HUB_BROKER_PID_FILE": str(paths.broker_pid),
        "HUB_BROKER_LOG_FILE": str(paths.broker_log),
        "HUB_MQTT_PORT": str(settings.mqtt_listen.port),
    }


def _host(settings: Settings, paths: Paths, worker: Part, node: str) -> dict[str, str]:
    """What the shim of this host is told: its units are the processes of this stack."""
    own_nats = ("nats",) if settings.nats_url is None else ()
    # Without these nobody could take the next order.
    essential = (*own_nats, *worker.process_names, "host", "gateway")
    units = (*own_nats, "mosquitto", *worker.process_names, "index", "bridge", "host", "gateway")
    return {
        "HUB_NATS_PASSWORD_FILE": str(paths.nats_password("host")),
        "HUB_NODE_NAME": node,
        "HUB_HOST_SOURCE": "supervisor",
        "HUB_SUPERVISOR_SOCKET": str(paths.supervisor_socket),
        "HUB_HOST_LOG_DIR": str(paths.logs),
        "HUB_HOST_UNITS": ",".join(units),
        "HUB_HOST_ESSENTIAL_UNITS": ",".join(essential),
    }


def nats_url(settings: Settings) -> str:
    """Where the parts find the bus: the server that is set, else the embedded one."""
    return settings.nats_url or f"nats://{settings.nats_listen.reach}"
