"""The steps of one joining: told as they happen, and written down in one record at the end.

A page that shows a handshake hears them on ``devicehub.onboarding.<id>``,
where the id is that of the request's topic; when the device's name is known
and is another, they are told under both. The record is written before the
reply: one durable write a call, whatever it did. A repeat that changed
nothing is told, and leaves no record; a refusal leaves one.

Publishes  devicehub.onboarding.<id>
Appends    the audit trail of onboarding
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from functions.contract.messages import OnboardingStep
from functions.contract.subjects import subject
from functions.domain.audit import UNNAMED, AuditEntry
from functions.domain.faults import Fault, Unavailable
from functions.domain.names import is_token
from functions.handlers.auditing import make, record_all
from functions.ports import Call, Hub


class Joining:
    """One request to join, on its way.

    Args:
        hub: the ports.
        call: the request.
        topic_id: what its topic names, if it names anything.
    """

    def __init__(self, hub: Hub, call: Call[Any], topic_id: str = "") -> None:
        self._hub = hub
        self._call = call
        self._topic_id = topic_id
        self._entries: list[AuditEntry] = []
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

    async def end(self, outcome: str) -> None:
        """Write down what was done, and say how it ended."""
        if self._is_changed:
            await self._write(self._make(outcome, before=self.before, after=self.after))
        await self._publish(outcome)

    async def refuse(self, fault: Fault) -> None:
        """Write down that it was refused, and say why."""
        facts = {"error": str(fault.reason), "message": fault.detail}
        await self._write(self._make("refused", after=facts))
        await self._publish("refused", fault)

    def _make(self, step: str, *, before: Any = None, after: Any = None) -> AuditEntry:
        random = f"{self._random}{len(self._entries):02x}"
        action = f"onboarding.{step}"
        return make(
            self._hub, self._call, action, self.device, kind="device", before=before, after=after, random=random
        )

    async def _write(self, last: AuditEntry) -> None:
        # By now it may be known whom the first steps were about.
        target = self.device if is_token(self.device) else UNNAMED
        await record_all(self._hub, [replace(one, target=target) for one in (*self._entries, last)], told=False)

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
    steps = Joining(hub, call, topic_id)
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
