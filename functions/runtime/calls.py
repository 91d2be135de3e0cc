"""One call, from payload and headers to the reply that carries its answer or its fault.

It needs no bus: ``devicehub invoke`` and the tests of the edges call it in
process, and ``functions.runtime.serving`` calls it for every message.
"""

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from functions.contract import subjects
from functions.contract.faults import encode_fault
from functions.domain.callers import APP, CLAIM, Caller
from functions.domain.credentials import Credentials
from functions.domain.faults import Fault, Malformed, Reason, Unavailable
from functions.domain.names import is_token
from functions.ports import Call, Hub
from functions.route import Route
from functions.runtime.addressing import by_id
from functions.runtime.decoding import (
    admit,
    caller_of,
    deadline_of,
    decode,
    echo,
    names_in,
    order_of,
    origin_of,
    parse,
    scopes_of,
    session_of,
)
from functions.runtime.integrators import is_integrator, keep_to_groups, prove
from functions.runtime.refusing import note_refusal

log = structlog.get_logger("functions")


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: the body, and headers that say whether it is a fault."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    reason: Reason | None = None


async def answer(route: Route, hub: Hub, subject: str, payload: bytes, headers: Mapping[str, str]) -> Reply:
    """Answer one call; whatever happens, there is a reply and one log line.

    When the deadline passes the handler is cancelled where it waits, so no
    write or retry of it starts later.
    """
    started = time.perf_counter()
    call_id = headers.get(subjects.CALL, "")
    if not is_token(call_id):
        call_id = secrets.token_hex(8)
    told: dict[str, Any] = {}
    facts: dict[str, Any] = {"subject": subject, "call": call_id, "caller": _alleged(headers)}
    reason: Reason | None = None
    try:
        arrived = hub.clock.now().timestamp()
        proven, caller, scopes = await _asking(headers, hub)
        facts |= {"caller": str(caller), "subject": _shown(route, subject, caller)}
        names = names_in(route, subject)
        admit(route, caller, names, scopes)
        values = parse(route, payload)
        told = echo(route, values)
        order, origin, session = order_of(headers), origin_of(headers, caller), session_of(headers, caller)
        call = Call(decode(route, values), caller, call_id, names, order, payload, origin, session, scopes)
        remaining = deadline_of(headers, arrived, route.within) - arrived
        if remaining <= 0:
            raise Unavailable(Reason.TIMEOUT)
        async with asyncio.timeout(remaining):
            reply = await _handle(route, call, proven, hub)
        return Reply(reply.encode())
    except Fault as fault:
        reason = fault.reason
        facts |= _cause_of(fault)
        note_refusal(route, hub, fault, headers, told=facts)
        return _refuse(fault, hub, told)
    except TimeoutError:
        reason = Reason.TIMEOUT
        return _refuse(Unavailable(reason), hub, told)
    except Exception:
        # The one place where the unforeseen is caught: the caller learns the
        # call id and nothing else, the log has the rest.
        reason = Reason.INTERNAL
        log.exception("call failed", subject=facts["subject"], call=call_id)
        return _refuse(Fault(reason, f"Something unforeseen went wrong; call {call_id} in the hub's log."), hub, told)
    finally:
        outcome = str(reason or "ok")
        log.info("call", **facts, outcome=outcome, ms=round((time.perf_counter() - started) * 1000, 2))


async def _asking(headers: Mapping[str, str], hub: Hub) -> tuple[Credentials | None, Caller, tuple[str, ...]]:
    """The credentials of a caller from another account, who calls, and with what scopes."""
    if not is_integrator(headers):
        return None, caller_of(headers), scopes_of(headers)
    proven = await prove(headers, hub)
    return proven, Caller(APP, proven.name), proven.scopes


async def _handle(route: Route, call: Call[Any], proven: Credentials | None, hub: Hub) -> Any:
    """What the handler answers, once the device is known that the call is about."""
    call = await by_id(route, call, hub)
    if proven is not None:
        await keep_to_groups(route, call, proven, hub)
    return await route.handler(call, hub)


def _cause_of(fault: Fault) -> dict[str, str]:
    """What is behind a fault, for the log."""
    return {} if fault.__cause__ is None else {"cause": repr(fault.__cause__)}


def _alleged(headers: Mapping[str, str]) -> str | None:
    """Who is said to call, for the log: what a caller from another account says of itself has no weight there."""
    return None if is_integrator(headers) else headers.get(subjects.CALLER)


def _shown(route: Route, subject: str, caller: Caller) -> str:
    """The subject as the log may have it.

    Who joins is named by its hardware UUID, of which nothing but the hash is
    kept; the audit trail has under the same call which device it became.
    """
    return route.full_subject if caller.kind is CLAIM else subject


def fitting(reply: Reply, hub: Hub, limit_bytes: int) -> Reply:
    """The reply, or in its place the fault that it is too large to be sent."""
    if len(reply.body) <= limit_bytes:
        return reply
    told = f"The answer has {len(reply.body)} bytes, and at most {limit_bytes} can be sent. Ask for less at once."
    return _refuse(Malformed(Reason.TOO_LARGE, told), hub, {})


def _refuse(fault: Fault, hub: Hub, told: Mapping[str, Any]) -> Reply:
    headers, body = encode_fault(fault, hub.clock.now(), told)
    return Reply(body, headers, fault.reason)
