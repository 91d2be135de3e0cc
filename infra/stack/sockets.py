"""The directory of a hub's sockets: in the data directory, or a short private one elsewhere."""

import os
import secrets
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from infra.node import Node
from infra.stack.paths import Paths

# A socket's path has at most 107 bytes (unix(7)); the supervisor binds under
# a name with its process id first.
_LONGEST = 100
_LONGEST_NAME = len("/supervisor.sock.4194304")
_LAST_RESORT = Path("/tmp")  # noqa: S108  # The directory made in it is private.


def choose_directory(data: Path, node: Node | None, bases: Sequence[Path] | None = None) -> Path:
    """Where the sockets go: ``data/run`` if its path will do, else the same place as last time, else a new one.

    Nothing is made. Mosquitto ends the path of a socket at the first blank.

    Args:
        data: the data directory.
        node: what the last start noted.
        bases: where a new one may be made; by default ``/run`` if this user may write there, and the temporary
            directories. Not the user's own runtime directory, which goes when the user logs out.
    """
    usual = data / "run"
    if _will_do(usual):
        return usual
    if node is not None and Path(node.run) != usual and is_private(Path(node.run)):
        return Path(node.run)
    name = f"devicehub-{secrets.token_hex(4)}"
    places = [base / name for base in (_usual_bases() if bases is None else bases) if os.access(base, os.W_OK)]
    return next((place for place in places if _will_do(place)), _LAST_RESORT / name)


def _usual_bases() -> tuple[Path, ...]:
    return (Path("/run"), Path(tempfile.gettempdir()), _LAST_RESORT)


def clear(paths: Paths) -> None:
    """Remove what a hub that has stopped leaves among its sockets, and the directory if it lies elsewhere."""
    for file in (paths.broker_socket, paths.broker_pid, paths.nats_pid, paths.supervisor_socket, paths.supervisor_pid):
        file.unlink(missing_ok=True)
    if paths.run != paths.data / "run" and is_private(paths.run) and not any(paths.run.iterdir()):
        paths.run.rmdir()


def is_private(path: Path) -> bool:
    """Whether a path is a directory of this user that no one else may enter."""
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077 == 0


def _will_do(path: Path) -> bool:
    text = str(path)
    return len(os.fsencode(text)) + _LONGEST_NAME <= _LONGEST and not any(sign.isspace() for sign in text)
