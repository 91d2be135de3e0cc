"""When devices were heard of last, told now and then for many at once: no message of theirs costs one more for it."""

import asyncio
import time
from collections.abc import Callable

from bridge.mqtt.ports import Functions
from bridge.mqtt.topics import Row, Sender
from functions.contract.messages import BrokerHeard, HeardFact
from functions.contract.subjects import subject
from functions.domain.faults import Unavailable

HEARD = subject("broker", "heard")
_EVERY_SECONDS = 5.0
# Some 60 bytes each.
_MOST_AT_ONCE = 2000
_HEARTBEAT = "devices/+/heartbeat"
_STATUS = "devices/+/status"
# What a last will says; a device that writes it otherwise is heard of all the same.
_GONE = (b'"online":false', b'"online": false')


class Heard:
    """Notes of each device when it was heard of last, by kind.

    Args:
        broker: whose devices they are.
        now: seconds since 1970.
    """

    def __init__(self, broker: str, now: Callable[[], float] = time.time) -> None:
        self._broker = broker
        self._now = now
        self._facts: dict[str, dict[str, int]] = {}

    def note(self, row: Row, names: tuple[str, ...], payload: bytes) -> None:
        """A message came on a row of the table; nothing is noted of who has no certificate of a device."""
        if row.sender is not Sender.DEVICE:
            return
        kind = "message"
        if row.path == _HEARTBEAT:
            kind = "heartbeat"
        elif row.path == _STATUS and any(word in payload for word in _GONE):
            kind = "will"
        self._facts.setdefault(names[0], {})[kind] = int(self._now() * 1000)

    def take(self, reads_log: bool | None) -> list[BrokerHeard]:
        """What was noted since the last time, in parts that a message can hold: one at least, which says we live."""
        facts, self._facts = list(self._facts.items()), {}
        return [
            BrokerHeard(
                broker=self._broker,
                reads_log=reads_log,
                devices={name: HeardFact(**fact) for name, fact in facts[begin : begin + _MOST_AT_ONCE]},
            )
            for begin in range(0, max(len(facts), 1), _MOST_AT_ONCE)
        ]

    async def tell(self, functions: Functions, reads_log: Callable[[], bool | None]) -> None:
        """Publish it every five seconds, until cancelled; ``reads_log`` is None where this process has no keeper."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            for told in self.take(reads_log()):
                try:
                    await functions.publish(HEARD, told.encode(), headers=None)
                except Unavailable:
                    # It is told anew in a moment; who hears nothing for a while draws its conclusions.
                    break
