"""The asking side of the telemetry store in SQLite: pages, totals, numbers by hour, latest values."""

import heapq
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from functions.adapters.telemetry_schema import ALL, KINDS, open_reading
from functions.domain.faults import Malformed, Reason, Unavailable
from functions.domain.telemetry import HOUR, KeptMessage, Latest, Numbers, Span, TelemetryWanted

# Of so many devices each is read by itself and their messages are merged; of
# more, all messages are read in the order of time, and others' passed over.
_MOST_MERGED: Final = 500
_MOST_SPANS: Final = 200_000
_STEPS: Final = 100_000

_SELECT: Final = "SELECT device, at, place, hub_time, device_time, type, is_bytes, payload FROM messages"
_SUM: Final = "SELECT coalesce(sum(count), 0) FROM hours"
_COUNT: Final = "SELECT count(*) FROM messages"
_IN: Final = "device IN (SELECT value FROM json_each(:devices))"
_TYPE: Final = "(:type IS NULL OR type = :type)"
_RANGE: Final = "kind = :kind AND at >= :begin AND at < :end"


class TelemetryReader:
    """Asks the file; every question sees it as it is at that moment. For one thread.

    Args:
        path: of the file.
        seconds: after which a question is given up.
    """

    def __init__(self, path: Path, seconds: float = 3.5) -> None:
        self._rows = open_reading(path)
        self._seconds = seconds
        self._until = 0.0
        self._rows.set_progress_handler(lambda: time.monotonic() > self._until, _STEPS)

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def find(self, wanted: TelemetryWanted) -> list[KeptMessage]:
        """A page of the wanted messages.

        Raises:
            Unavailable: it takes too long (``timeout``).
        """
        with self._in_time():
            numbers = self._numbers(wanted.devices)
            names: dict[int, str] = {} if numbers is None else {number: name for name, number in numbers.items()}
            found: list[KeptMessage] = []
            size = 0
            rows = self._messages(wanted, None if numbers is None else [*numbers.values()])
            for device, *facts in islice(rows, wanted.offset, wanted.offset + wanted.limit):
                size += len(facts[-1])
                if found and size > wanted.most_bytes:
                    break
                if device not in names:
                    names[device] = self._name(device)
                at, place, hub_time, device_time, type_, is_bytes, payload = facts
                found.append(
                    KeptMessage(names[device], at, place, hub_time, device_time, type_, bool(is_bytes), bytes(payload))
                )
            return found

    def count(self, wanted: TelemetryWanted) -> int:
        """How many are wanted in all, whatever ``limit`` and ``offset`` say.

        Raises:
            Unavailable: it takes too long (``timeout``).
        """
        with self._in_time():
            numbers = self._numbers(wanted.devices)
            devices = None if numbers is None else [*numbers.values()]
            if devices == []:
                return 0
            first, last = -(-wanted.begin // HOUR) * HOUR, wanted.end // HOUR * HOUR
            if last <= first:
                return self._counted(wanted, devices)
            before, behind = replace(wanted, end=first), replace(wanted, begin=last)
            sums = self._summed(replace(wanted, begin=first, end=last), devices)
            return sums + self._counted(before, devices) + self._counted(behind, devices)

    def spans(self, devices: Sequence[str] | None, begin: int, end: int) -> list[Span]:
        """The numbers of every hour that begins in this time, in no order.

        Raises:
            Malformed: that is too much for one answer (``too_large``).
            Unavailable: it takes too long (``timeout``).
        """
        with self._in_time():
            numbers = self._numbers(devices)
            if numbers is None:
                numbers = dict(self._rows.execute("SELECT id, number FROM devices").fetchall())
            found: list[Span] = []
            left = _MOST_SPANS
            for name, number in numbers.items():
                by_hour: dict[int, dict[str, Numbers]] = {}
                wanted = "SELECT * FROM rollups WHERE device = ? AND hour >= ? AND hour < ?"
                for _, hour, key, count, total, least, most, last, *place in self._rows.execute(
                    wanted, (number, begin, end)
                ):
                    left -= 1
                    if left < 0:
                        raise Malformed(
                            Reason.TOO_LARGE, "These are too many numbers for one answer. Ask for a shorter time."
                        )
                    by_hour.setdefault(hour, {})[key] = Numbers(count, total, least, most, last, (place[0], place[1]))
                found += [Span(name, hour, of_hour) for hour, of_hour in by_hour.items()]
            return found

    def latest(self, device: str) -> list[Latest]:
        """The newest value of each key of a device, by key."""
        wanted = "SELECT key, at, value FROM latest JOIN devices ON device = number WHERE id = ? ORDER BY key"
        with self._in_time():
            return [Latest(key, at, bytes(value)) for key, at, value in self._rows.execute(wanted, (device,))]

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """One moment of the file for all that is read inside, and not for long."""
        self._until = time.monotonic() + self._seconds
        self._rows.execute("BEGIN")
        try:
            yield
        except sqlite3.OperationalError as problem:
            if problem.sqlite_errorname != "SQLITE_INTERRUPT":
                raise
            told = "This takes too long to find. Ask for a shorter time, or for fewer devices."
            raise Unavailable(Reason.TIMEOUT, told) from problem
        finally:
            self._until = time.monotonic() + self._seconds
            self._rows.execute("ROLLBACK")

    def _messages(self, wanted: TelemetryWanted, devices: list[int] | None) -> Iterator[tuple[Any, ...]]:
        if devices is None or len(devices) > _MOST_MERGED:
            where = f"{_RANGE} AND {_TYPE}" + ("" if devices is None else f" AND {_IN}")
            return self._walk("INDEXED BY by_time", where, wanted, devices or ())
        each = [
            self._walk("", f"device = :device AND {_RANGE} AND {_TYPE}", wanted, (), device=number)
            for number in devices
        ]
        if len(each) == 1:
            return each[0]
        return heapq.merge(*each, key=lambda row: (row[1], row[0], row[2]), reverse=not wanted.oldest_first)

    def _walk(
        self, how: str, where: str, wanted: TelemetryWanted, devices: Sequence[int], *, device: int = ALL
    ) -> Iterator[tuple[Any, ...]]:
        after = wanted.after
        if after is not None:
            # It follows from what is asked below, and is where to begin to read.
            if wanted.oldest_first:
                wanted = replace(wanted, begin=max(wanted.begin, after.at))
            else:
                wanted = replace(wanted, end=min(wanted.end, after.at + 1))
        values = self._values(wanted, devices) | {"device": device}
        order = "ASC" if wanted.oldest_first else "DESC"
        if after is not None:
            sign = ">" if wanted.oldest_first else "<"
            where += f" AND (at, device, place) {sign} (:after_at, :after_device, :after_place)"
            values |= {
                "after_at": after.at,
                "after_device": (self._numbers((after.device,)) or {}).get(after.device, ALL),
                "after_place": after.place,
            }
        by = f"at {order}, place {order}" if device else f"at {order}, device {order}, place {order}"
        yield from self._rows.execute(f"{_SELECT} {how} WHERE {where} ORDER BY {by}", values)

    def _summed(self, wanted: TelemetryWanted, devices: list[int] | None) -> int:
        """How many the hours of a time have that begins and ends with one."""
        where = f"kind = :kind AND hour >= :begin AND hour < :end AND {_TYPE} AND "
        where += "device = 0" if devices is None else _IN
        return self._number_of(f"{_SUM} WHERE {where}", wanted, devices)

    def _counted(self, wanted: TelemetryWanted, devices: list[int] | None) -> int:
        """How many there are in a short time, one by one."""
        if wanted.begin >= wanted.end:
            return 0
        if devices is None or len(devices) > _MOST_MERGED:
            how, which = "INDEXED BY by_time", "" if devices is None else f" AND {_IN}"
        else:
            how, which = "", f" AND {_IN}"
        # The type lies in the message itself, which an index alone need not read.
        type_ = "" if wanted.type is None else f" AND {_TYPE}"
        return self._number_of(f"{_COUNT} {how} WHERE {_RANGE}{which}{type_}", wanted, devices)

    def _number_of(self, statement: str, wanted: TelemetryWanted, devices: list[int] | None) -> int:
        number: int = self._rows.execute(statement, self._values(wanted, devices or ())).fetchone()[0]
        return number

    def _values(self, wanted: TelemetryWanted, devices: Sequence[int]) -> dict[str, Any]:
        return {
            "kind": KINDS[wanted.kind],
            "begin": wanted.begin,
            "end": wanted.end,
            "type": wanted.type,
            "devices": f"[{','.join(map(str, devices))}]",
        }

    def _numbers(self, devices: Sequence[str] | None) -> dict[str, int] | None:
        """The numbers of those of the devices that are known here; None for all."""
        if devices is None:
            return None
        found: dict[str, int] = {}
        for name in devices:
            row = self._rows.execute("SELECT number FROM devices WHERE id = ?", (name,)).fetchone()
            if row is not None:
                found[name] = row[0]
        return found

    def _name(self, number: int) -> str:
        name: str = self._rows.execute("SELECT id FROM devices WHERE number = ?", (number,)).fetchone()[0]
        return name
