"""Enrolment functions: the window in which devices may join, and whether the whitelist counts.

Subjects   devicehub.enrolment.get, .open, .close, .enforce
Writes     enrolment
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from functions.contract.messages import EnrolmentOpen, EnrolmentView, Nothing, WhitelistEnforce
from functions.domain.enrolment import Enrolment, is_open
from functions.handlers.gates import ENROLMENT
from functions.handlers.rewriting import rewrite
from functions.ports import Call, Hub


async def read(call: Call[Nothing], hub: Hub) -> EnrolmentView:
    """The settings as they now hold: a window that has run out is closed."""
    kept = await hub.enrolment.get(ENROLMENT)
    return _view(kept.value if kept is not None else Enrolment(), hub)


async def open_(call: Call[EnrolmentOpen], hub: Hub) -> EnrolmentView:
    """Open enrolment for so many minutes from now, or without end; what was set before is replaced."""
    minutes = call.body.minutes
    until = hub.clock.now() + timedelta(minutes=minutes) if minutes is not None else None
    return await _change(hub, lambda enrolment: replace(enrolment, is_open=True, open_until=until))


async def close(call: Call[Nothing], hub: Hub) -> EnrolmentView:
    """Close enrolment now."""
    return await _change(hub, lambda enrolment: replace(enrolment, is_open=False, open_until=None))


async def enforce(call: Call[WhitelistEnforce], hub: Hub) -> EnrolmentView:
    """Let only hardware join whose UUID is on the whitelist, or all."""
    return await _change(hub, lambda enrolment: replace(enrolment, whitelist_enforced=call.body.enforced))


async def _change(hub: Hub, change: Callable[[Enrolment], Enrolment]) -> EnrolmentView:
    written = await rewrite(hub.enrolment, ENROLMENT, lambda enrolment: change(enrolment or Enrolment()))
    return _view(written.value, hub)


def _view(enrolment: Enrolment, hub: Hub) -> EnrolmentView:
    opened = is_open(enrolment, hub.clock.now())
    return EnrolmentView(
        is_open=opened,
        open_until=enrolment.open_until if opened else None,
        whitelist_enforced=enrolment.whitelist_enforced,
    )
