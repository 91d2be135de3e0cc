"""What bridges tell of when devices were heard of last, kept in memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError

from functions.contract.messages import BrokerHeard, HeardFact
from functions.contract.subjects import subject
from functions.domain.presence import BrokerWord, Evidence

# A device's heartbeats are regular when so many came in a row; it is overdue after so many times the longest pause.
_REGULAR = 3
_PAUSES_MISSED = 3
# Below that a poor line would be taken for an end; what is told comes every five seconds.
_LEAST_SECONDS = 30.0
# A device that has been silent for so long is judged no more by heartbeats it once sent.
_FORGOTTEN_SECONDS = 3600.0
# A bridge that was silent for longer has begun anew.
_GAP_SECONDS = 15.0

log = structlog.get_logger("functions")


@dataclass(frozen=True, slots=True)
class _Notes:
    evidence: Evidence
    heard: float
    beat: float | None = None
    pauses: tuple[float, ...] = ()


@dataclass(slots=True)
class _Teller:
    last: float
    since: float
    reads_log: bool | None = None


class BusHeard:
    """Hears the bridges (``functions.ports.Heard``); 0.6 KiB a device that was heard of since the process began.

    Args:
        client: the connection.
        clock: seconds, never running backwards.
    """

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._devices: dict[str, _Notes] = {}
        self._brokers: dict[str, _Teller] = {}
        self._deaf_until = clock()

    async def start(self) -> None:
        """Begin to hear."""
        await self._client.subscribe(subject("broker", "heard"), cb=self._heard)

    def of(self, device: str) -> Evidence | None:
        """What is known of a device; None for nothing."""
        notes = self._devices.get(device)
        return None if notes is None else replace(notes.evidence, silent_seconds=self._clock() - notes.heard)

    def overdue(self) -> list[str]:
        """The devices whose heartbeats came regularly, and of which nothing came for three times as long."""
        now = self._clock()
        if any(now - teller.last > _GAP_SECONDS for teller in self._brokers.values()):
            # It is the bridge that is silent, or the bus.
            return []
        steady = min((now - teller.since for teller in self._brokers.values()), default=0.0)
        return [device for device, notes in self._devices.items() if _is_overdue(notes, now, steady)]

    def brokers(self) -> dict[str, BrokerWord]:
        """What is known of those who tell, by broker."""
        now = self._clock()
        if not self._client.is_connected:
            # Then nothing can be heard, and silence says nothing of who is silent.
            self._deaf_until = now
        return {
            broker: BrokerWord(now - max(teller.last, self._deaf_until), now - teller.since, teller.reads_log)
            for broker, teller in self._brokers.items()
        }

    async def _heard(self, msg: Msg) -> None:
        try:
            self.take(BrokerHeard.model_validate_json(msg.data))
        except ValidationError as problem:
            log.warning("event not understood", subject=msg.subject, problem=str(problem))

    def take(self, told: BrokerHeard) -> None:
        """Take in what a bridge tells."""
        now = self._clock()
        teller = self._brokers.setdefault(told.broker, _Teller(now, now))
        if now - teller.last > _GAP_SECONDS:
            teller.since = now
        teller.last = now
        if told.reads_log is not None:
            if told.reads_log is not teller.reads_log:
                teller.since = now
            teller.reads_log = told.reads_log
        for device, fact in told.devices.items():
            self._devices[device] = _noted(self._devices.get(device), fact, now)


def _noted(before: _Notes | None, fact: HeardFact, now: float) -> _Notes:
    known = Evidence() if before is None else before.evidence
    evidence = Evidence(
        _time(fact.message) or known.message_at,
        _time(fact.heartbeat) or known.heartbeat_at,
        _time(fact.will) or known.will_at,
    )
    beat = None if before is None else before.beat
    pauses = () if before is None else before.pauses
    if fact.heartbeat is not None:
        pauses = pauses if beat is None else (*pauses, now - beat)[-_REGULAR:]
        beat = now
    return _Notes(evidence, now, beat, pauses)


def _is_overdue(notes: _Notes, now: float, steady: float) -> bool:
    if len(notes.pauses) < _REGULAR or now - notes.heard >= _FORGOTTEN_SECONDS:
        return False
    return min(now - notes.heard, steady) > max(_LEAST_SECONDS, _PAUSES_MISSED * max(notes.pauses))


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


class NothingHeard:
    """Knows of nobody (``functions.ports.Heard``): for one call of one function."""

    def of(self, device: str) -> Evidence | None:
        """None."""
        return None

    def overdue(self) -> list[str]:
        """None of them."""
        return []

    def brokers(self) -> dict[str, BrokerWord]:
        """None of them."""
        return {}
