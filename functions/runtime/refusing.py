"""Noting who was refused what, for the audit trail."""

from collections.abc import Mapping
from typing import Any

from functions.contract import subjects
from functions.domain.audit import is_origin
from functions.domain.callers import SYSTEM, parse_caller
from functions.domain.faults import Denied, Fault
from functions.domain.refusals import is_refusal, refusal_of
from functions.ports import Hub
from functions.route import Route
from functions.runtime.decoding import origin_of
from functions.runtime.integrators import is_integrator, key_of


def note_refusal(route: Route, hub: Hub, fault: Fault, headers: Mapping[str, str], told: Mapping[str, Any]) -> None:
    """Note that a call was refused, if that is what its fault says.

    Args:
        route: that was called.
        hub: the ports.
        fault: what the caller is told.
        headers: of the call.
        told: what the log has of it: ``caller``, ``subject`` and ``call``.
    """
    if not route.tells or not is_refusal(fault):
        return
    actor, origin = _who(headers, told)
    refusal = refusal_of(
        fault,
        hub.clock.now(),
        actor=actor,
        origin=origin,
        function=route.name,
        what=str(told["subject"]),
        call=str(told["call"]),
    )
    hub.refusals.note(refusal)


def _who(headers: Mapping[str, str], told: Mapping[str, Any]) -> tuple[str | None, str]:
    """Who was refused, as far as it is known, and from where; a part of the hub that asks for nobody is nobody."""
    if is_integrator(headers):
        # Of credentials that are no good, the key is what the server vouches for.
        return told["caller"] or key_of(headers), "nats"
    origin = headers.get(subjects.ORIGIN)
    if origin is not None and not is_origin(origin):
        origin = None
    try:
        caller = parse_caller(told["caller"] or "")
    except Denied:
        return None, origin or "hub"
    is_for_nobody = caller.kind is SYSTEM and origin is not None and origin.startswith("http")
    return None if is_for_nobody else str(caller), origin or origin_of({}, caller)
