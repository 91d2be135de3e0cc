"""Service functions: the units that the hub lives on, wherever they run.

Subjects   devicehub.services.list, .get, .start, .stop, .restart
Asks       devicehub.host.<node>.units.list, .unit.get, .unit.start, .unit.stop, .unit.restart
Records    service.started, service.stopped, service.restarted
"""

import asyncio
from dataclasses import dataclass

from functions.contract.messages import (
    HostHere,
    HostView,
    M,
    Nothing,
    ServiceActed,
    ServiceList,
    ServiceNamed,
    ServiceQuery,
    ServiceView,
    UnitNamed,
    VerbWord,
)
from functions.domain.faults import Fault, NotFound, Reason, Unavailable
from functions.domain.services import HostWord, choose_node
from functions.handlers.auditing import record
from functions.ports import Call, Hub

_READ_SECONDS = 3.0
# A little longer than a host gives a job.
_ACT_SECONDS = 57.0
# The host began it, whatever came of it.
_BEGUN = (Reason.JOB_FAILED, Reason.TIMEOUT)
_DONE: dict[VerbWord, str] = {"start": "service.started", "stop": "service.stopped", "restart": "service.restarted"}


async def list_(call: Call[ServiceQuery], hub: Hub) -> ServiceList:
    """The services of every host, as each tells now; of one that does not answer, as it told last.

    Raises:
        NotFound: no such host.
    """
    known = [host for host in hub.hosts.known() if call.body.node in (None, host.node)]
    if call.body.node is not None and not known:
        raise NotFound(Reason.UNKNOWN_NODE, f"No host {call.body.node} has been heard of.")
    told = await asyncio.gather(*(_look(hub, host) for host in sorted(known, key=lambda host: host.node)))
    return ServiceList(
        services=[service for one in told for service in one.services],
        hosts=[one.host for one in told],
    )


async def read(call: Call[ServiceNamed], hub: Hub) -> ServiceView:
    """One service, as its host tells now.

    Raises:
        NotFound: no such host, or none has such a unit.
        Conflict: several hosts have it, and none is named.
        Denied: the unit is not on its host's list.
        Unavailable: the host does not answer, or cannot know.
    """
    return await _ask(hub, call, ("unit", "get"), ServiceView, _READ_SECONDS)


async def start(call: Call[ServiceNamed], hub: Hub) -> ServiceActed:
    """Start a service, and wait until that is done. Faults as of ``restart``."""
    return await _act(call, hub, "start")


async def stop(call: Call[ServiceNamed], hub: Hub) -> ServiceActed:
    """Stop a service, and wait until that is done. Faults as of ``restart``.

    What the hub needs to take the next order is not stopped (``verb_not_allowed``).
    """
    return await _act(call, hub, "stop")


async def restart(call: Call[ServiceNamed], hub: Hub) -> ServiceActed:
    """Restart a service, and wait until that is done; one that carries the answer is restarted just after it.

    Raises:
        NotFound, Conflict: as of ``read``.
        Denied: the unit is not on its host's list, the verb is not for it, or the host itself refuses.
        Conflict: it was begun and failed (``job_failed``).
        Unavailable: the host does not answer; ``timeout`` when it goes on still.
    """
    return await _act(call, hub, "restart")


async def _act(call: Call[ServiceNamed], hub: Hub, verb: VerbWord) -> ServiceActed:
    action = _DONE[verb]
    try:
        acted = await _ask(hub, call, ("unit", verb), ServiceActed, _ACT_SECONDS)
    except Fault as fault:
        if fault.reason in _BEGUN:
            await record(hub, call, action, call.body.unit, after={"result": str(fault.reason)})
        raise
    service = acted.service
    facts = {"node": service.node, "result": acted.result, "state": service.state, "pid": service.pid}
    await record(hub, call, action, call.body.unit, after=facts)
    return acted


async def _ask(hub: Hub, call: Call[ServiceNamed], ask: tuple[str, str], answer: type[M], within: float) -> M:
    node = choose_node(hub.hosts.known(), call.body.unit, call.body.node)
    body = UnitNamed(unit=call.body.unit, caller=str(call.caller))
    return await hub.hosts.ask(node, ask, body, answer, within=within)


@dataclass(frozen=True, slots=True)
class _Told:
    host: HostView
    services: list[ServiceView]


async def _look(hub: Hub, host: HostWord) -> _Told:
    """What a host says now, or else what it said last and why it does not."""
    problem = host.problem
    if not host.lost:
        try:
            here = await hub.hosts.ask(host.node, ("units", "list"), Nothing(), HostHere, within=_READ_SECONDS)
            return _Told(_view(host, here.problem), here.services)
        except Unavailable as fault:
            problem = fault.detail or str(fault)
    else:
        since = host.seen_at.isoformat(timespec="seconds").replace("+00:00", "Z")
        problem = f"The host has not been heard of since {since}."
    unknown = {"state": "unknown", "pid": None, "memory_bytes": None, "problem": problem}
    return _Told(_view(host, problem), [one.model_copy(update=unknown) for one in hub.hosts.last(host.node)])


def _view(host: HostWord, problem: str | None) -> HostView:
    return HostView(
        node=host.node,
        source=host.source,
        version=host.version,
        started_at=host.started_at,
        seen_at=host.seen_at,
        lost=host.lost,
        problem=problem,
    )
