"""Secrets of the local stack: each in a file of its own, which only the hub's user can read."""

import secrets
from collections.abc import Mapping

from infra.problem import Problem
from infra.stack.paths import NATS_USERS, Paths

# By file name, how many random bytes, written in hexadecimal. The client ids
# are secrets, because whoever connects with one takes the bridge's session.
_SIZES: Mapping[str, int] = {
    **{f"nats-{user}": 32 for user in NATS_USERS},
    "broker-bridge": 32,
    "bridge-control": 16,
    "bridge-telemetry": 16,
    "uuid-key": 32,
}
# What no new one can stand in for: with it go the hashes of every known UUID.
_IRREPLACEABLE = frozenset({"uuid-key"})


def gather(paths: Paths, *, is_new: bool) -> dict[str, str]:
    """Every secret by name: as it lies there, or made now if it is missing.

    Args:
        paths: where they lie.
        is_new: whether this hub is being set up for the first time.

    Raises:
        Problem: one is lost that cannot be made again, or cannot be read.
    """
    found = {}
    for name, size in _SIZES.items():
        file = paths.secret(name)
        try:
            found[name] = file.read_text(encoding="ascii").strip() if file.exists() else ""
        except (OSError, UnicodeDecodeError) as problem:
            raise Problem(f"The secret {file} cannot be read: {problem}.", "Restore it from a backup.") from problem
        if found[name]:
            continue
        if name in _IRREPLACEABLE and not is_new:
            raise Problem(
                f"The secret {file} is gone; the whitelist and every claimed UUID depend on it.",
                "Restore it from a backup.",
            )
        found[name] = secrets.token_hex(size)
    return found
