"""What devices measured and what happened to them: times that can be believed, numbers by hour, questions."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
_MILLISECOND: Final = timedelta(milliseconds=1)
# 9999-12-31T23:59:59.999Z: what ISO 8601 writes with four digits of a year.
_LAST: Final = 253_402_300_799_999

# A device's clock is believed from so long before the hub's time, for what was
# measured while there was no connection, to so little after it. What says
# another time goes by the hub's: else a clock that was never set would have its
# telemetry forgotten at once, and one that is ahead would stand first for years.
BELIEVED_BEHIND: Final = 31 * DAY
BELIEVED_AHEAD: Final = 60_000

# Of one message; a device that makes up keys must not fill the store with them.
MOST_KEYS: Final = 64
MOST_DEPTH: Final = 5
MOST_KEY_CHARACTERS: Final = 128
MOST_TEXT_CHARACTERS: Final = 256
# Of one device, those that were ever sent.
MOST_DEVICE_KEYS: Final = 256


class Kind(StrEnum):
    """What a message is: of the stream of that name."""

    TELEMETRY = "telemetry"
    EVENTS = "events"


class Aggregation(StrEnum):
    """Over how long numbers are put together."""

    HOURLY = "hourly"
    DAILY = "daily"

    @property
    def milliseconds(self) -> int:
        """How long that is."""
        return HOUR if self is Aggregation.HOURLY else DAY


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of a device as the stream has it; times are milliseconds since 1970.

    Args:
        device: whose.
        sequence: its number in its stream, by which it is known when it comes again.
        hub_time: when the hub took it.
        payload: as it came.
        content: the values of its JSON; None too where it ``is_bytes``, which is no JSON.
        device_time: when it was by the device's clock, if it told one.
        type: of an event.
    """

    device: str
    sequence: int
    hub_time: int
    payload: bytes
    content: Any = None
    is_bytes: bool = False
    device_time: int | None = None
    type: str = ""

    @property
    def at(self) -> int:
        """The time that it is kept under."""
        return believed(self.hub_time, self.device_time)


@dataclass(frozen=True, slots=True)
class KeptMessage:
    """A message as it is kept; ``payload`` is JSON unless it ``is_bytes``.

    ``place`` tells it from others of the same device and time: a later one has a higher one.
    """

    device: str
    at: int
    place: int
    hub_time: int
    device_time: int | None
    type: str
    is_bytes: bool
    payload: bytes


@dataclass(frozen=True, slots=True)
class Numbers:
    """What is known of the values of one key over a time."""

    count: int
    total: float
    least: float
    most: float
    last: float
    last_place: tuple[int, int]

    @property
    def mean(self) -> float:
        """The sum by the count; the sum may have grown beyond what a number can be."""
        return self.total / self.count

    def joined(self, other: "Numbers") -> "Numbers":
        """Of both times together; the order does not matter."""
        newer = max(self, other, key=lambda one: one.last_place)
        return Numbers(
            self.count + other.count,
            self.total + other.total,
            min(self.least, other.least),
            max(self.most, other.most),
            newer.last,
            newer.last_place,
        )


@dataclass(frozen=True, slots=True)
class Span:
    """The numbers of a device over an hour or longer, from ``at`` on."""

    device: str
    at: int
    numbers: dict[str, Numbers]


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest value of a key: JSON, and when it was."""

    key: str
    at: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Up to where a stream is known: a message's number, and when the stream took it (nanoseconds since 1970)."""

    sequence: int
    nanoseconds: int


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long things are kept, in milliseconds, and how much of the store's file may be in use.

    Whole hours are dropped; when there is too much, the oldest messages go first.
    """

    telemetry: int
    events: int
    numbers: int
    most_bytes: int

    def milliseconds(self, kind: Kind) -> int:
        """How long messages of a kind are kept."""
        return self.telemetry if kind is Kind.TELEMETRY else self.events


@dataclass(frozen=True, slots=True)
class Cursor:
    """After which message to go on: those of a time stand by device, those of a device by place."""

    at: int
    device: str
    place: int


@dataclass(frozen=True, slots=True)
class TelemetryWanted:
    """A question for messages, newest first; what is given must all hold.

    Args:
        kind: telemetry or events.
        devices: of these; None for all.
        type: events of this type.
        begin: of this time and later, in milliseconds since 1970.
        end: before this time.
        limit: how many at most.
        offset: how many to leave out first.
        most_bytes: of payloads; with so many the page ends early, after one message at least.
        oldest_first: the other way round.
        after: of those that come after this one, in that order.
    """

    kind: Kind = Kind.TELEMETRY
    devices: tuple[str, ...] | None = None
    type: str | None = None
    begin: int = 0
    end: int = 2**62
    limit: int = 100
    offset: int = 0
    most_bytes: int = 2**62
    oldest_first: bool = False
    after: Cursor | None = None

    def matches(self, one: KeptMessage) -> bool:
        """Whether a message is wanted, of those of its kind."""
        return (
            (self.devices is None or one.device in self.devices)
            and self.type in (None, one.type)
            and self.begin <= one.at < self.end
        )


def believed(hub_time: int, device_time: int | None) -> int:
    """The time that a message is kept under: the device's if it can be, else the hub's; milliseconds since 1970."""
    if device_time is None or not hub_time - BELIEVED_BEHIND <= device_time <= hub_time + BELIEVED_AHEAD:
        return hub_time
    return device_time


def device_time(value: Any) -> int | None:
    """Milliseconds since 1970 of a time that a device gave, or None if it is no time from 1970 to 9999.

    Devices give ISO 8601 text (UTC where it names no zone) or milliseconds,
    as a number with or without a fraction.
    """
    if isinstance(value, str):
        milliseconds = _of_text(value)
    elif isinstance(value, float):
        milliseconds = int(value) if math.isfinite(value) else None
    else:
        milliseconds = value if isinstance(value, int) and not isinstance(value, bool) else None
    return milliseconds if milliseconds is not None and 0 <= milliseconds <= _LAST else None


def time_told(content: Any) -> int | None:
    """The device's time that a message has in it as ``timestamp``, if that is one."""
    return device_time(content.get("timestamp")) if isinstance(content, dict) else None


def values_of(content: Any) -> dict[str, Any]:
    """The values that a message holds by key, those inside others with dots between: ``{"pump.rpm": 1480}``.

    Numbers, texts, truth and null; lists are passed over. Of too many keys
    the first are taken, of too deep ones none; of numbers, those that can be
    a double.
    """
    found: dict[str, Any] = {}
    if isinstance(content, dict):
        for key, value in _leaves(content, "", 1):
            if len(found) >= MOST_KEYS:
                break
            found.setdefault(key, value)
    return found


def number_of(value: Any) -> float | None:
    """A value as a double, if it is a number that one can be; truth is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def spans(rows: Sequence[Span], milliseconds: int) -> list[Span]:
    """Spans of a device put together into longer ones, newest first; whole multiples of an hour from 1970 on."""
    found: dict[tuple[str, int], dict[str, Numbers]] = {}
    for row in rows:
        into = found.setdefault((row.device, row.at - row.at % milliseconds), {})
        for key, numbers in row.numbers.items():
            into[key] = into[key].joined(numbers) if key in into else numbers
    joined = [Span(device, at, numbers) for (device, at), numbers in found.items()]
    return sorted(joined, key=lambda one: (-one.at, one.device))


def span_for(points: int | None, milliseconds: int, first: int, last: int) -> int:
    """How long a span must be, as a multiple, so that no more than so many hold all from the first time to the last."""
    span = milliseconds
    if points is not None:
        while last // span - first // span >= points:
            span += milliseconds * max(1, ((last - first) // points - span) // milliseconds)
    return span


def moment(milliseconds: int) -> datetime:
    """A time in UTC."""
    return EPOCH + milliseconds * _MILLISECOND


def milliseconds_of(at: datetime) -> int:
    """Milliseconds since 1970; what is left of one goes to the next, as a time of the next is what is meant."""
    return -((EPOCH - at) // _MILLISECOND)


def _of_text(text: str) -> int | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return (at - EPOCH) // _MILLISECOND


def _leaves(content: dict[str, Any], before: str, depth: int) -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        key = f"{before}{name}"
        if not name or len(key) > MOST_KEY_CHARACTERS or not key.isprintable():
            continue
        if isinstance(value, dict):
            if depth < MOST_DEPTH:
                yield from _leaves(value, f"{key}.", depth + 1)
        elif not isinstance(value, list) and not (isinstance(value, str) and len(value) > MOST_TEXT_CHARACTERS):
            yield key, value
