"""Carries what the hub tells a device from the bus to the broker.

What comes while the broker is away is dropped and counted: no device is
connected then, and what matters is told again. An open delta is sent when the
device connects, and whoever called a method sees it time out.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from nats.aio.msg import Msg

from bridge.mqtt.counters import Counters
from bridge.mqtt.ports import Broker
from bridge.mqtt.topics import OUTBOUND, Outbound, topics_of
from functions.contract.bus import Bus
from functions.contract.subjects import DEADLINE, ROOT
from functions.domain.faults import Malformed, Unavailable


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

    async def start(self, bus: Bus) -> None:
        """Subscribe; the subscriptions live as long as the connection."""
        for row in self._rows:
            await bus.subscribe(f"{ROOT}.{row.subject}", self._hearing(row))

    def carry(self, row: Outbound, subject: str, payload: bytes, deadline_ms: str | None = None) -> None:
        """Send one message under every prefix; it expires with its deadline, or as its row says."""
        expiry = row.expiry_seconds
        if deadline_ms is not None and deadline_ms.isdecimal():
            left = int(deadline_ms) / 1000 - self._now().timestamp()
            if left <= 0:
                self._counters.dropped += 1
                return
            expiry = math.ceil(left)
        try:
            for topic in topics_of(subject, self._prefixes):
                self._broker.send(topic, payload, expiry_seconds=expiry)
                self._counters.published += 1
        except (Malformed, Unavailable):
            self._counters.dropped += 1

    def _hearing(self, row: Outbound) -> Callable[[Msg], Awaitable[None]]:
        async def heard(msg: Msg) -> None:
            self.carry(row, msg.subject, msg.data, (msg.headers or {}).get(DEADLINE))

        return heard
