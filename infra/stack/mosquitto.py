"""The MQTT broker: where its program and plugin are, and its configuration.

Every setting here was met in a trial that went wrong without it; the reason
stands beside it. The ACL is static: it is never rewritten while the broker
runs, because a reload that meets a broken ACL file must not decide who may
do what.
"""

import base64
import hashlib
import hmac
import re
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from infra.settings import Address
from infra.stack.paths import Paths

OLDEST = (2, 0)
BRIDGE_USER = "@bridge"

# Where servers lie, which is not on every user's path.
_SERVER_DIRECTORIES = ("usr/sbin", "usr/local/sbin", "sbin")

# Where distributions and a build from source put the plugin.
_PLUGIN = "mosquitto_dynamic_security.so"
_PLUGIN_PLACES = (
    f"usr/lib/*-linux-*/{_PLUGIN}",
    f"usr/lib/{_PLUGIN}",
    f"usr/lib64/{_PLUGIN}",
    f"usr/local/lib/{_PLUGIN}",
    f"usr/lib/mosquitto/{_PLUGIN}",
)
# As mosquitto_passwd does. The password is 256 random bits, for which one
# round would do.
_ROUNDS = 101

# What a device may publish below its own name, and what it may read, and the
# claim handshake of whoever has the client id. Leaf by leaf: with '#' a
# device could fill the broker with retained messages and forge its own
# 'accepted'.
_DEVICE_LINES = (
    "write {prefix}/devices/%u/twin/get",
    "write {prefix}/devices/%u/twin/update",
    "write {prefix}/devices/%u/telemetry",
    "write {prefix}/devices/%u/events/+",
    "write {prefix}/devices/%u/messages/events",
    "write {prefix}/devices/%u/heartbeat",
    "write {prefix}/devices/%u/status",
    "write {prefix}/devices/%u/methods/+/response",
    "write {prefix}/devices/%u/certificates/renew",
    "write {prefix}/devices/%u/certificates/renew/confirm",
    "read {prefix}/devices/%u/#",
    "write {prefix}/devices/%c/provision/request",
    "read {prefix}/devices/%c/provision/+",
)


def find_program(path: str | None = None, root: Path = Path("/")) -> Path | None:
    """The broker's program: on the search path (the environment's, if none is given), else where servers lie."""
    found = shutil.which("mosquitto", path=path)
    places = [Path(found)] if found else [root / directory / "mosquitto" for directory in _SERVER_DIRECTORIES]
    return next((place for place in places if place.is_file()), None)


def find_plugin(program: Path, root: Path = Path("/")) -> Path | None:
    """The dynamic security plugin of the broker's own architecture: several may be installed."""
    found = (path for place in _PLUGIN_PLACES for path in sorted(root.glob(place)))
    wanted = _architecture(program)
    # A wrapper script has none, and then any plugin may be the right one.
    return next((path for path in found if not wanted or _architecture(path) == wanted), None)


def render(paths: Paths, *, listen: Address, plugin: Path, runs_as_root: bool) -> str:
    """The broker's configuration. A comment must stand on a line of its own, or it becomes part of the value."""
    broker = paths.broker
    user = (
        "# Started as root the broker would become another user, who cannot read the hub's private files.\nuser root\n"
        if runs_as_root
        else ""
    )
    return f"""# Made by 'devicehub up'; changes are lost at the next start.
{user}pid_file {paths.broker_pid}

# One set of rules for both listeners: with 'per_listener_settings' a broker
# restart loses what the bridge's session on the unix socket holds.
allow_anonymous false
password_file {broker / "passwd"}
acl_file {broker / "acl"}
# Always loaded: with it a reload that meets a broken ACL file denies all,
# without it everything is open to everyone.
plugin {plugin}
plugin_opt_config_file {broker / "dynsec.json"}

persistence true
persistence_location {broker}/
# Saved at the end and when the bridge asks: a snapshot taken at any other
# moment brings old messages back over newer ones.
autosave_interval 0
# Else the sessions of devices that are gone stay for ever.
persistent_client_expiration 30d

# The bridge takes more than 20 at once, and bounds itself.
max_inflight_messages 0
# What it keeps for one session that takes nothing: of telemetry at 3,000 a
# second one minute, with 85 MiB of memory; longer ones count in the bytes,
# which are of payloads. Beyond it messages are dropped, told and counted.
max_queued_messages 200000
max_queued_bytes 67108864
# Not message_size_limit, which acknowledges and drops in silence.
max_packet_size 1048576
# Without it a round trip waits 40 ms.
set_tcp_nodelay true

# The bridge learns from these lines who is connected. Not 'log_dest topic':
# any client may subscribe to that, and one with '+' for its client id kills
# the broker by it.
connection_messages true
log_dest stderr
log_dest file {paths.broker_log}
log_type error
log_type warning
log_type notice
log_type information

listener 0 {paths.broker_socket}

listener {listen.port} {listen.host}
cafile {paths.broker_trust}
certfile {paths.broker_server}
keyfile {paths.broker_server}
crlfile {paths.broker_crl}
require_certificate true
use_identity_as_username true
"""


def render_acl(prefixes: Iterable[str]) -> str:
    """Who may publish and read what, under each topic prefix."""
    prefixes = tuple(prefixes)
    bridge = [f"topic readwrite {prefix}/#" for prefix in prefixes]
    devices = [f"pattern {line.format(prefix=prefix)}" for prefix in prefixes for line in _DEVICE_LINES]
    lines = [
        "# Made by 'devicehub up'; changes are lost at the next start.",
        f"user {BRIDGE_USER}",
        *bridge,
        "topic read $SYS/#",
        "topic readwrite $CONTROL/dynamic-security/#",
        *devices,
    ]
    return "\n".join(lines) + "\n"


def password_line(user: str, password: str, salt: bytes | None = None) -> str:
    """A line of the password file, as ``mosquitto_passwd`` writes it (PBKDF2 with SHA-512).

    Made here, because that program takes the password on its command line,
    where every user of the machine can read it.
    """
    salt = salt or secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
    return f"{user}:$7${_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


def is_password_line(line: str, user: str, password: str) -> bool:
    """Whether a line lets the user in with this password."""
    match = re.fullmatch(rf"{re.escape(user)}:\$7\${_ROUNDS}\$([A-Za-z0-9+/=]+)\$[A-Za-z0-9+/=]+\n", line)
    return match is not None and hmac.compare_digest(
        line, password_line(user, password, base64.b64decode(match.group(1)))
    )


def _architecture(program: Path) -> bytes:
    """Word size and machine from the head of an ELF file (fields EI_CLASS and e_machine); empty for another file."""
    with program.open("rb") as file:
        head = file.read(20)
    return head[4:5] + head[18:20] if head.startswith(b"\x7fELF") else b""
