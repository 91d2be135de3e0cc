"""Hosts as they were heard of: which are there, and which are lost."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from functions.domain.faults import Conflict, NotFound, Reason, Unavailable

# A host says every five seconds that it is there.
LOST_AFTER = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class HostWord:
    """What is known of a host; ``units`` are the names that it told."""

    node: str
    source: Literal["systemd", "supervisor"]
    version: str
    started_at: datetime
    seen_at: datetime
    units: tuple[str, ...]
    lost: bool = False
    problem: str | None = None


def choose_node(hosts: Iterable[HostWord], unit: str, node: str | None) -> str:
    """Which host is to be asked for a unit: the one named, else the only one that has it, else the only one there is.

    Raises:
        NotFound: no such host (``unknown_node``), or none has such a unit (``unknown_unit``).
        Conflict: several have it (``which_node``).
        Unavailable: the host is lost, or none was heard of.
    """
    known = {host.node: host for host in hosts}
    if not known:
        raise Unavailable(detail="No host has been heard of. Start its shim with 'devicehub serve host'.")
    if node is not None:
        return _there(known.get(node), node)
    # What a host does not tell of may be on its list all the same, and the host says what is wrong with it.
    having = [host for host in known.values() if unit in host.units] or (
        list(known.values()) if len(known) == 1 else []
    )
    if not having:
        raise NotFound(Reason.UNKNOWN_UNIT)
    if len(having) > 1:
        names = ", ".join(sorted(host.node for host in having))
        raise Conflict(Reason.WHICH_NODE, f"The hosts {names} have a unit {unit}. Say which one is meant with 'node'.")
    return _there(having[0], having[0].node)


def _there(host: HostWord | None, node: str) -> str:
    if host is None:
        raise NotFound(Reason.UNKNOWN_NODE, f"No host {node} has been heard of.")
    if host.lost:
        since = host.seen_at.isoformat(timespec="seconds").replace("+00:00", "Z")
        raise Unavailable(
            detail=f"The host {node} has not been heard of since {since}. See whether it and its shim run."
        )
    return node
