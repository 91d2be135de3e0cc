"""The steps of one joining: told as they happen, and written down in one record at the end.

A page that shows a handshake hears them on ``devicehub.onboarding.<id>``,
where the id is that of the request's topic; when the device's name is known
and is another, they are told under both. The record is durable before the
reply: one write a call, made together with the last write of the joining
itself, so that nobody waits for it. Where that last write fails, the record of
the refusal follows. A repeat that changed nothing is told, and leaves no
record; a refusal leaves one.

Publishes  devicehub.onboarding.<id>
Appends    the audit trail of onboarding
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar, cast

from functions.contract.messages import OnboardingStep
from functions.contract.subjects import subject
from functions.domain.audit import UNNAMED, AuditEntry
from functions.domain.devices import Device
from functions.domain.faults import Fault, Unavailable
from functions.domain.names import is_token
from functions.handlers.auditing import make, record_all
from functions.ports import Call, Hub

W = TypeVar("W")


class Joining:
    """One request to join, on its way.

    Args:
        hub: the ports.
        call: the request.
        topic_id: what its topic names, if it names anything.
        records: whether it is written down here, and not by who asked for it.
    """

    def __init__(self, hub: Hub, call: Call[Any], topic_id: str = "", *, records: bool = False) -> None:
        self._hub = hub
        self._call = call
        self._topic_id = topic_id
        self._records = records
        self._entries: list[AuditEntry] = []
        self._number = 0
        self._told: tuple[Any, Any] | None = None
        self._is_changed = False
        # Of one moment, the entries of a joining sort in the order of its steps.
        self._random = secrets.token_hex(7)
        self.device = ""
        self.before: Any = None
        self.after: Any = None

    async def tell(self, step: str, facts: Any = None, *, changes: bool = True) -> None:
        """Say that a step is done; ``changes`` says whether it changed anything that is kept."""
        self._is_changed = self._is_changed or changes
        self._entries.append(self._make(step, after=facts))
        await self._publish(step)

    def settled(self, before: Any, after: Any) -> None:
        """Note what the device's record was and is, for the last step."""
        self._is_changed = True
        self.before, self.after = before, after

    async def conclude(self, deed: Awaitable[W], before: Any, after: Any, outcome: str = "accepted") -> W:
        """Make the last write, and at the same time the record of what it leads to.

        Raises:
            Fault: of the write; and where that was made, Unavailable of the record.
        """
        if not self._records:
            return await deed
        self._told = (before, after)
        done, written = await asyncio.gather(
            deed, self._write(self._make(outcome, before=before, after=after)), return_exceptions=True
        )
        for result in (done, written):
            if isinstance(result, BaseException):
                raise result
        return cast(W, done)

    async def end(self, outcome: str) -> None:
        """Write down what was done, as far as it is not, and say how it ended."""
        if self._is_changed and (self.before, self.after) != self._told:
            await self._write(self._make(outcome, before=self.before, after=self.after))
        await self._publish(outcome)

    async def refuse(self, fault: Fault) -> None:
        """Write down that it was refused, and say why."""
        facts = {"error": str(fault.reason), "message": fault.detail}
        await self._write(self._make("refused", after=facts))
        await self._publish("refused", fault)

    def _make(self, step: str, *, before: Any = None, after: Any = None) -> AuditEntry:
        random = f"{self._random}{self._number:02x}"
        self._number += 1
        action = f"onboarding.{step}"
        return make(
            self._hub, self._call, action, self.device, kind="device", before=before, after=after, random=random
        )

    async def _write(self, last: AuditEntry) -> None:
        # By now it may be known whom the first steps were about.
        target = self.device if is_token(self.device) else UNNAMED
        entries, self._entries = [*self._entries, last], []
        await record_all(self._hub, [replace(one, target=target) for one in entries], told=False)

    async def _publish(self, step: str, fault: Fault | None = None) -> None:
        told = OnboardingStep(
            device_id=self.device or None,
            step=step,
            error=str(fault.reason) if fault is not None else None,
            message=fault.detail if fault is not None else None,
            actor=str(self._call.caller),
            call=self._call.id,
            timestamp=self._hub.clock.now(),
        )
        for name in dict.fromkeys((self._topic_id, self.device)):
            if is_token(name):
                await self._hub.events.publish(subject("onboarding", name), told)


@asynccontextmanager
async def joining(hub: Hub, call: Call[Any], topic_id: str = "", *, last: str = "accepted") -> AsyncIterator[Joining]:
    """Tell and write down what happens inside; ``last`` names the step with which it comes to a good end.

    Raises:
        Unavailable: what was done stands, and could not be written down now.
    """
    steps = Joining(hub, call, topic_id, records=True)
    await steps.tell("requested", changes=False)
    try:
        yield steps
    except Fault as fault:
        try:
            await steps.refuse(fault)
        except Unavailable as unwritten:
            # The refusal is what the caller must know; the record is tried again.
            fault.add_note(f"not written down: {unwritten}")
        raise
    await steps.end(last)


def facts_of(device: Device | None) -> dict[str, Any] | None:
    """What a joining changes of a device's record."""
    if device is None:
        return None
    return {
        "lifecycle": device.lifecycle,
        "certificate": device.certificate,
        "name": device.name,
        "metadata": device.metadata,
    }
