"""Metrics functions: what the hosts that the hub lives on are busy with, and were.

Subjects   devicehub.metrics.get, .history
Asks       devicehub.host.<node>.metrics, .metrics.history
"""

import asyncio

from functions.contract.messages import (
    HostMetrics,
    HostSample,
    MetricsHistory,
    MetricsHistoryQuery,
    MetricsList,
    MetricsQuery,
    Nothing,
)
from functions.domain.faults import Conflict, NotFound, Reason, Unavailable
from functions.domain.services import HostWord
from functions.ports import Call, Hub

_SECONDS = 3.0


async def read(call: Call[MetricsQuery], hub: Hub) -> MetricsList:
    """What each host is busy with; of one that does not answer, why.

    Raises:
        NotFound: no such host.
    """
    hosts = _wanted(hub, call.body.node)
    return MetricsList(hosts=list(await asyncio.gather(*(_look(hub, host) for host in hosts))))


async def history(call: Call[MetricsHistoryQuery], hub: Hub) -> MetricsHistory:
    """What one host was busy with.

    Raises:
        NotFound: no such host.
        Conflict: there are several, and none is named.
        Unavailable: it does not answer, or none was heard of.
    """
    hosts = _wanted(hub, call.body.node)
    if not hosts:
        raise Unavailable(detail="No host has been heard of. Start its shim with 'devicehub serve host'.")
    if len(hosts) > 1:
        names = ", ".join(host.node for host in hosts)
        raise Conflict(Reason.WHICH_NODE, f"There are the hosts {names}. Say which one is meant with 'node'.")
    return await hub.hosts.ask(hosts[0].node, ("metrics", "history"), call.body, MetricsHistory, within=_SECONDS)


def _wanted(hub: Hub, node: str | None) -> list[HostWord]:
    """The hosts that are meant, by name."""
    known = sorted((host for host in hub.hosts.known() if node in (None, host.node)), key=lambda host: host.node)
    if node is not None and not known:
        raise NotFound(Reason.UNKNOWN_NODE, f"No host {node} has been heard of.")
    return known


async def _look(hub: Hub, host: HostWord) -> HostMetrics:
    if host.lost:
        since = host.seen_at.isoformat(timespec="seconds").replace("+00:00", "Z")
        return HostMetrics(node=host.node, sample=None, problem=f"The host has not been heard of since {since}.")
    try:
        sample = await hub.hosts.ask(host.node, ("metrics",), Nothing(), HostSample, within=_SECONDS)
    except Unavailable as fault:
        return HostMetrics(node=host.node, sample=None, problem=fault.detail or str(fault))
    return HostMetrics(node=host.node, sample=sample, problem=None)
