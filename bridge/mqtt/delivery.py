"""Carries what the hub tells a device from the bus to the broker.

What comes while the broker is away is dropped and counted: no device is
connected then, and what matters is told again. An open delta is sent when the
device connects. Who sends a request is answered when the broker has the
message, or why it has not: whoever calls a method need not wait for a device
that nobody would give it to.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from nats.aio.msg import Msg

from bridge.mqtt.counters import Counters
from bridge.mqtt.ports import Broker
from bridge.mqtt.session import Receipt
from bridge.mqtt.topics import OUTBOUND, Outbound, topics_of
from functions.contract.bus import Bus
from functions.contract.faults import encode_fault
from functions.contract.messages import Done
from functions.contract.subjects import DEADLINE, ROOT
from functions.domain.faults import Fault, Malformed, Reason, Unavailable


class Deliveries:
    """Hears the subjects of the table and sends their messages on, each subject's in order."""

    def __init__(
        self,
        broker: Broker,
        prefixes: tuple[str, ...],
        counters: Counters,
        *,
        rows: Sequence[Outbound] = OUTBOUND,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._broker = broker
        self._prefixes = prefixes
        self._counters = counters
        self._rows = rows
        self._now = now
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self, bus: Bus) -> None:
        """Subscribe; the subscriptions live as long as the connection."""
        for row in self._rows:
            await bus.subscribe(f"{ROOT}.{row.subject}", self._hearing(bus, row))

    def carry(
        self,
        row: Outbound,
        subject: str,
        payload: bytes,
        deadline_ms: str | None = None,
        told: Receipt | None = None,
    ) -> None:
        """Send one message under every prefix; it expires with its deadline, or as its row says.

        ``told`` is called once: with None when the broker has it for some
        session under any of the prefixes, else with why not.
        """
        expiry = row.expiry_seconds
        if deadline_ms is not None and deadline_ms.isdecimal():
            left = int(deadline_ms) / 1000 - self._now().timestamp()
            if left <= 0:
                self._drop(Unavailable(Reason.TIMEOUT), told)
                return
            expiry = math.ceil(left)
        try:
            topics = topics_of(subject, self._prefixes)
        except Malformed as fault:
            self._drop(fault, told)
            return
        receipt = None if told is None else _first_of(len(topics), told)
        for place, topic in enumerate(topics):
            try:
                self._broker.send(topic, payload, expiry_seconds=expiry, receipt=receipt)
            except Unavailable as fault:
                self._counters.dropped += 1
                if receipt is not None:
                    for _ in topics[place:]:
                        receipt(fault)
                return
            self._counters.published += 1

    def _drop(self, fault: Fault, told: Receipt | None) -> None:
        self._counters.dropped += 1
        if told is not None:
            told(fault)

    def _hearing(self, bus: Bus, row: Outbound) -> Callable[[Msg], Awaitable[None]]:
        async def heard(msg: Msg) -> None:
            def told(fault: Fault | None) -> None:
                answering = asyncio.create_task(self._answer(bus, msg.reply, fault))
                self._answering.add(answering)
                answering.add_done_callback(self._answering.discard)

            self.carry(row, msg.subject, msg.data, (msg.headers or {}).get(DEADLINE), told if msg.reply else None)

        return heard

    async def _answer(self, bus: Bus, reply: str, fault: Fault | None) -> None:
        headers, body = ({}, Done().encode()) if fault is None else encode_fault(fault, self._now())
        try:
            await bus.publish(reply, body, headers=headers)
        except Unavailable:
            # Whoever asked sees that no answer comes.
            self._counters.dropped += 1


def _first_of(number: int, told: Receipt) -> Receipt:
    """One receipt for so many messages: good as soon as one of them is, else as the last of them."""
    left, is_told = number, False

    def receipt(fault: Fault | None) -> None:
        nonlocal left, is_told
        left -= 1
        if not is_told and (fault is None or left == 0):
            is_told = True
            told(fault)

    return receipt
