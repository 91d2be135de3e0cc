"""Enrolment functions: the window in which devices may join, and whether the whitelist counts.

Subjects   devicehub.enrolment.get, .open, .close, .change, .enforce
Writes     enrolment
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from functions.contract.messages import EnrolmentChange, EnrolmentOpen, EnrolmentView, Nothing, WhitelistEnforce
from functions.domain.audit import AuditEntry
from functions.domain.enrolment import ClaimCertificate, Enrolment, is_open, require_bundle
from functions.domain.faults import Malformed
from functions.domain.names import claim_name
from functions.handlers.auditing import make, record_all
from functions.handlers.claims import unknown_claim
from functions.handlers.gates import ENROLMENT
from functions.handlers.rewriting import rewrite, value_of
from functions.ports import Call, Hub


async def read(call: Call[Nothing], hub: Hub) -> EnrolmentView:
    """The settings as they now hold: a window that has run out is closed."""
    kept = await hub.enrolment.get(ENROLMENT)
    return _view(kept.value if kept is not None else Enrolment(), hub)


async def open_(call: Call[EnrolmentOpen], hub: Hub) -> EnrolmentView:
    """Open enrolment for so many minutes from now, or without end; what was set before is replaced.

    Raises:
        NotFound: there is no claim certificate of the name whose files are to be served.
        Conflict: ``no_bundle``: the hub cannot give its files out.
    """
    served = await _servable(call.body.serve_files, hub)
    opened = _opened(call.body.minutes, served, hub)
    return await _change(call, hub, "opened", opened)


async def close(call: Call[Nothing], hub: Hub) -> EnrolmentView:
    """Close enrolment now, and with it the serving of files."""
    return await _change(call, hub, "closed", _closed)


async def change(call: Call[EnrolmentChange], hub: Hub) -> EnrolmentView:
    """Change window and whitelist switch in one step; what is not given stays as it is.

    Raises:
        Malformed: minutes or files without a window that is opened, or nothing to change.
        NotFound: there is no claim certificate of the name whose files are to be served.
        Conflict: ``no_bundle``: the hub cannot give its files out.
    """
    body = call.body
    is_of_window = body.minutes is not None or body.serve_files is not None
    if is_of_window and body.is_open is False:
        raise Malformed(detail="A window that is closed has no 'minutes' and serves no files.")
    if not is_of_window and body.is_open is None and body.whitelist_enforced is None:
        raise Malformed(detail="Give 'isOpen', 'minutes', 'serveFiles' or 'whitelistEnforced'.")
    served = await _servable(body.serve_files, hub)
    opened = _opened(body.minutes, served, hub)

    def decide(enrolment: Enrolment) -> Enrolment:
        if body.is_open or is_of_window:
            enrolment = opened(enrolment)
        elif body.is_open is False:
            enrolment = _closed(enrolment)
        if body.whitelist_enforced is not None:
            enrolment = replace(enrolment, whitelist_enforced=body.whitelist_enforced)
        return enrolment

    return await _change(call, hub, "changed", decide)


async def enforce(call: Call[WhitelistEnforce], hub: Hub) -> EnrolmentView:
    """Let only hardware join whose UUID is on the whitelist, or all."""
    enforced = call.body.enforced
    return await _change(call, hub, "changed", lambda enrolment: replace(enrolment, whitelist_enforced=enforced))


def _opened(minutes: int | None, served: ClaimCertificate | None, hub: Hub) -> Callable[[Enrolment], Enrolment]:
    until = hub.clock.now() + timedelta(minutes=minutes) if minutes is not None else None
    name, serial = (served.name, served.serial) if served is not None else ("", "")
    return lambda enrolment: replace(enrolment, is_open=True, open_until=until, serves=name, serves_serial=serial)


def _closed(enrolment: Enrolment) -> Enrolment:
    return replace(enrolment, is_open=False, open_until=None, serves="", serves_serial="")


async def _servable(name: str | None, hub: Hub) -> ClaimCertificate | None:
    """The claim whose files are to be served, if there is to be one.

    Looked at again whenever a device fetches them: it may be revoked meanwhile.

    Raises:
        NotFound: there is no such claim certificate.
        Conflict: ``no_bundle``.
    """
    if name is None:
        return None
    claim = value_of(await hub.claim_certificates.get(claim_name(name)))
    if claim is None:
        raise unknown_claim(name)
    require_bundle(claim, hub.clock.now())
    return claim


async def _change(call: Call[Any], hub: Hub, deed: str, change: Callable[[Enrolment], Enrolment]) -> EnrolmentView:
    def told(before: Enrolment | None, after: Enrolment) -> AuditEntry:
        return make(hub, call, f"enrolment.{deed}", ENROLMENT, before=before or Enrolment(), after=after)

    written = await rewrite(hub.enrolment, ENROLMENT, lambda enrolment: change(enrolment or Enrolment()), tell=told)
    await record_all(hub, written.entries)
    return _view(written.value, hub)


def _view(enrolment: Enrolment, hub: Hub) -> EnrolmentView:
    opened = is_open(enrolment, hub.clock.now())
    return EnrolmentView(
        is_open=opened,
        open_until=enrolment.open_until if opened else None,
        whitelist_enforced=enrolment.whitelist_enforced,
        serve_files=(enrolment.serves or None) if opened else None,
    )
