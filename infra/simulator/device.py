"""One simulated device: it reports how it is, and becomes what it is told to be."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, Protocol

import orjson

from functions.domain.faults import Unavailable
from functions.domain.twins import delta
from infra.simulator.counts import Counts
from infra.simulator.joining import Broker
from infra.simulator.keyring import Identity
from infra.simulator.session import Session

# Every tenth message is a report of the twin, the others are telemetry.
_REPORT_EVERY = 10
_PATIENCE_SECONDS = 20.0
_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 30.0


class Line(Protocol):
    """Where a device publishes."""

    def publish(self, topic: str, payload: bytes) -> bool:
        """Publish without waiting; whether there was a connection to do so."""
        ...


class Device:
    """A device that has joined.

    Args:
        broker: where it connects.
        identity: with its certificate.
        number: its place in the fleet, which makes its values its own.
        counts: what it tells of its work.
        now: seconds that only go on.
    """

    def __init__(
        self,
        broker: Broker,
        identity: Identity,
        number: int,
        counts: Counts,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = identity.device_id or ""
        self._address = broker.for_device(identity)
        self._base = f"{broker.prefix}/devices/{self.name}"
        self._number = number
        self.counts = counts
        self._now = now
        self._sent = number
        self._asked: dict[str, float] = {}
        self._session: Session | None = None
        self._line: Line | None = None
        self.connected = asyncio.Event()

    def attend(self, line: Line) -> None:
        """Speak over a connection that has its subscriptions."""
        self._line = line
        self.connected.set()
        # What it missed while it was away.
        self._publish("twin/get", {})

    async def live(self) -> None:
        """Be connected until cancelled, again and again if need be."""
        wait = _RETRY_SECONDS
        while True:
            try:
                session = await self._connect()
                wait = _RETRY_SECONDS
                await session.ended.wait()
                self.counts.failed("connection lost")
            except Unavailable as fault:
                self.counts.failed(f"no connection: {fault.detail}")
            finally:
                self.connected.clear()
                self._line = None
                if self._session is not None:
                    await self._session.close()
            # Not all at the same moment after an outage.
            await asyncio.sleep(wait * (0.5 + self._number % 16 / 16))
            wait = min(wait * 2, _LONGEST_RETRY_SECONDS)

    def send(self) -> bool:
        """Send its next message, telemetry or a report; False if it is not connected."""
        if not self.connected.is_set():
            return False
        self._sent += 1
        if self._sent % _REPORT_EVERY == 0:
            return self._report({"messages": self._sent // _REPORT_EVERY, "state": "running"})
        if not self._publish("telemetry", self._measured()):
            return False
        self.counts.done["telemetry"] += 1
        return True

    def give_up(self) -> None:
        """Count what has waited too long for an answer."""
        over = self._now() - _PATIENCE_SECONDS
        for token in [token for token, at in self._asked.items() if at < over]:
            del self._asked[token]
            self.counts.failed("no answer to a twin update")

    async def _connect(self) -> Session:
        session = self._session = await Session.open(self._address, self.name, self.hear)
        await session.subscribe([f"{self._base}/twin/update/{leaf}" for leaf in ("accepted", "rejected", "delta")])
        self.attend(session)
        return session

    def _publish(self, rest: str, body: dict[str, Any]) -> bool:
        return self._line is not None and self._line.publish(f"{self._base}/{rest}", orjson.dumps(body))

    def _report(self, reported: dict[str, Any]) -> bool:
        token = f"{self._sent}-{len(self._asked)}"
        if not self._publish("twin/update", {"reported": reported, "clientToken": token}):
            return False
        self._asked[token] = self._now()
        return True

    def _measured(self) -> dict[str, Any]:
        """Values like a pump's, that move: no two devices have the same."""
        turn = self._sent / 20 + self._number
        return {
            "temperature": round(21 + 4 * math.sin(turn), 2),
            "pressure": round(1.0 + 0.1 * math.cos(turn / 3), 3),
            "rpm": 1480 + self._number % 7 * 10,
        }

    def hear(self, topic: str, payload: bytes) -> None:
        """Take what the hub says of its twin."""
        told = orjson.loads(payload)
        leaf = topic.rpartition("/")[2]
        if leaf == "delta":
            self.counts.done["deltas"] += 1
            self._report(told["delta"])
        elif leaf == "rejected":
            self._asked.pop(told.get("clientToken", ""), None)
            self.counts.failed(f"twin update rejected: {told.get('error')}")
        elif told["operation"] == "get":
            if missing := delta(told["desired"]["doc"], told["reported"]["doc"]):
                self._report(missing)
        elif (began := self._asked.pop(told.get("clientToken", ""), None)) is not None:
            self.counts.took("updates", self._now() - began)
