"""The inventory in memory: every device ready to be listed, found by what it is and sorted by what it has.

A device is a number. Sets of numbers are bits of one integer, so that
conditions are joined by a machine's work (``numbers``); what devices have in
common are labels, what they are sorted and compared by are orders, what a
text is looked for in are texts (``columns``). A device's JSON lies ready, in
one part for its record, one for its presence and one for its twin.
"""

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

from pydantic_core import from_json, to_json

from functions.adapters.budget import MOST_SECONDS, Budget
from functions.adapters.choosing import Chooser
from functions.adapters.columns import SHOWN_ID, Columns, microseconds
from functions.adapters.labels import most_common
from functions.adapters.numbers import Members
from functions.adapters.orders import Runs, page
from functions.contract.views import (
    presence_part,
    presence_values,
    record_part,
    record_values,
    traits_part,
    twin_part,
)
from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Malformed
from functions.domain.inventory import Counts, DeviceQuery, Sort, Status, TwinFacts
from functions.domain.query import All, Condition, Field, Is, Saved, conditions
from functions.domain.query import names as is_about
from functions.domain.sessions import Presence
from functions.domain.traits import known_traits, own_word
from functions.storage import Page

# What the view of a device calls otherwise than a query does.
_ORDERS: Final = {"deviceId": SHOWN_ID, "deviceName": Field.ID, "displayName": Field.NAME}
_NO_METADATA: Final = b"{}"
_NOTHING: Final[dict[str, Any]] = {}


@lru_cache(maxsize=4096)
def _own(text: str) -> dict[str, Any]:
    """What devices report of what they are, read once for all that report the same; not to be changed."""
    return own_word(from_json(text))


class _Told(NamedTuple):
    """What a record says of what a device is, and, in JSON, what the device reports of it."""

    model: str
    firmware: str
    metadata: bytes
    own: str


class Inventory:
    """Devices, their presence and their twins, as told by whoever fills it.

    Args:
        paths: of what devices report, those that can be asked for.
        most_seconds: of the processor that one question may take.
    """

    def __init__(self, paths: tuple[str, ...] = (), *, most_seconds: float = MOST_SECONDS) -> None:
        self._columns = Columns(paths)
        self._most_seconds = most_seconds
        # A number is also given to those that are known by their presence or twin, before or after their record.
        self._numbers: dict[str, int] = {}
        self._free: list[int] = []
        self._listed = Members()
        # By number: what stands in the parts of a device's view.
        self._records: list[bytes] = []
        self._metadata: list[bytes] = []
        self._presences: list[bytes] = []
        # Of those that report what they are, else None.
        self._told: list[_Told | None] = []
        self._saved: dict[str, Saved] = {}

    def settle(self) -> Iterator[None]:
        """Bring what was taken in into the form in which it is asked, step by step; else the first question does."""
        yield from self._columns.settle()

    def learn(self) -> Iterator[None]:
        """Learn to find texts without looking through all, step by step; it can be asked and changed in between."""
        yield from self._columns.texts.settle()

    def put_device(self, device: Device) -> None:
        """Take in a device, new or changed; suspended and retired ones stay, as their record says so."""
        number = self._number(device.id)
        self._columns.put_record(number, device)
        self._records[number] = record_values(device)
        if number not in self._listed:
            self._listed.add(number)
        before = self._told[number]
        # Devices of a kind have the same, which takes its memory once.
        model, firmware = sys.intern(device.model), sys.intern(device.firmware)
        told = _Told(model, firmware, to_json(device.metadata), "" if before is None else before.own)
        if before is not None:
            self._told[number] = told
        self._put_traits(number, told, device.metadata)

    def drop_device(self, key: str) -> None:
        """Forget a device whose record was removed; its presence and twin stay."""
        number = self._numbers.get(key)
        if number is not None and number in self._listed:
            self._listed.discard(number)
            self._columns.drop_record(number)
            self._records[number], self._metadata[number] = b"", _NO_METADATA
            self._free_if_blank(key, number)

    def put_presence(self, key: str, presence: Presence | None) -> None:
        """Take in a device's presence; None where nothing is known of it any more."""
        if presence is None and key not in self._numbers:
            return
        number = self._number(key)
        self._columns.put_presence(number, presence)
        self._presences[number] = b"" if presence is None else presence_values(presence)
        self._free_if_blank(key, number)

    def put_twin(self, key: str, twin: TwinFacts) -> None:
        """Take in what is to be known of a device's twin."""
        number = self._number(key)
        self._columns.put_twin(number, twin)
        self._put_own(number, to_json(twin.own).decode() if twin.own else "")
        self._free_if_blank(key, number)

    def put_group(self, name: str, saved: Saved | None) -> None:
        """Take in the question that is a group; None where there is none any more."""
        self._saved.pop(name, None)
        if saved is not None:
            self._saved[name] = saved

    def query(self, wanted: DeviceQuery, now: datetime) -> Page[bytes]:
        """A page of the devices that are wanted, and how many there are in all.

        Raises:
            Malformed: it names a group whose own question cannot be answered,
                or is more work than it may be (``query_too_costly``).
        """
        chosen = self._choose(wanted.where, now, self._budget())
        down = bool(wanted.sorts) and wanted.sorts[-1].descending
        terms = [(self._order(sort), sort.descending) for sort in wanted.sorts]
        found = page(chosen, terms, (self._columns.by_id, down), wanted.offset, wanted.limit)
        return Page(list(map(self._view, found)), chosen.bit_count())

    def ids(self, where: Condition, now: datetime, *, after: str, limit: int) -> list[str]:
        """The ids of those for whom a condition holds, in order, that come after one.

        Raises:
            Malformed: as for ``query``.
        """
        chosen = self._choose(where, now, self._budget())
        if after:
            chosen &= self._columns.after(after)
        return list(map(self._columns.id_of, page(chosen, [], (self._columns.by_id, False), 0, limit)))

    def count(self, where: Condition, now: datetime, *, drifted_for: timedelta, most: int | None = None) -> Counts:
        """How many of those for whom a condition holds there are of what.

        Args:
            where: the condition.
            now: what ages are counted from.
            drifted_for: for how long a twin must be out of sync to be counted so.
            most: how many groups, models and tags at most, the largest; all of them by name if not given.

        Raises:
            Malformed: as for ``query``.
        """
        budget = self._budget()
        chosen = self._choose(where, now, budget)
        columns, labels = self._columns, self._columns.labels
        statuses = labels.sizes(Field.STATUS, chosen)
        models = labels.sizes(Field.MODEL, chosen)
        groups, tags = (labels.sizes(kind, chosen, columns.held) for kind in (Field.GROUP, Field.TAG))
        models.pop("", None)
        asked = ((name, chosen & self._group(name, now, budget)) for name in self._saved)
        groups |= {name: found.bit_count() for name, found in asked if found}
        retired = self._listed.bits & labels.bits(Field.LIFECYCLE, Lifecycle.RETIRED)
        drifted = columns.orders[Field.OUT_OF_SYNC].at_most(microseconds(now - drifted_for))
        return Counts(
            total=chosen.bit_count(),
            by_status={Status(status): size for status, size in sorted(statuses.items())},
            by_group=most_common(groups, most),
            by_model=most_common(models, most),
            by_tag=most_common(tags, most),
            out_of_sync=(chosen & drifted).bit_count(),
            retired=retired.bit_count(),
        )

    def group_sizes(self, now: datetime) -> dict[str, int]:
        """How many devices each group has that any device or any question is of, by name; retired ones do not count.

        Raises:
            Malformed: the questions are more work together than one may be;
                it names the group at which it gave up.
        """
        budget = self._budget()
        labels = self._columns.labels
        named = labels.sizes(Field.GROUP, self._visible(All()), self._columns.held)
        asked = {name: self._group(name, now, budget).bit_count() for name in self._saved}
        return {name: asked.get(name, named.get(name, 0)) for name in sorted({*labels.names(Field.GROUP), *asked})}

    def group_size(self, name: str, saved: Saved | None, now: datetime) -> int:
        """How many devices a group has if this is its question, whether that was put in yet or not.

        Raises:
            Malformed: the question is more work than it may be.
        """
        return self._in_group(name, saved, now, self._budget()).bit_count()

    def members(self, group: str) -> int:
        """How many devices name a group in their record."""
        return (self._listed.bits & self._columns.labels.bits(Field.GROUP, group)).bit_count()

    def _put_own(self, number: int, own: str) -> None:
        """Take in what a device reports of what it is, over what its record says."""
        told = self._told[number]
        if own == ("" if told is None else told.own):
            return
        if told is None:
            columns = self._columns
            told = _Told(columns.model(number), columns.firmware(number), self._metadata[number], "")
        # Devices of a kind report the same.
        told = told._replace(own=sys.intern(own or "{}"))
        if number in self._listed:
            self._put_traits(number, told, from_json(told.metadata))
        self._told[number] = told if own else None

    def _put_traits(self, number: int, told: _Told, metadata: dict[str, Any]) -> None:
        own = _own(told.own) if told.own else _NOTHING
        model, firmware, known = known_traits(told.model, told.firmware, metadata, own)
        self._columns.put_traits(number, model, firmware)
        self._metadata[number] = told.metadata if known is metadata else to_json(known)

    def _budget(self) -> Budget:
        return Budget(self._most_seconds)

    def _group(self, name: str, now: datetime, budget: Budget) -> int:
        try:
            return self._in_group(name, self._saved.get(name), now, budget)
        except Malformed as refusal:
            told = f"To count the groups is more work than a question may be, at the latest with the query of '{name}'."
            raise Malformed(refusal.reason, f"{told} Make it name what it looks for, or delete the group.") from refusal

    def _in_group(self, name: str, saved: Saved | None, now: datetime, budget: Budget) -> int:
        """The devices of a group; of one whose question cannot be answered, those whose records have it."""
        chosen = self._visible(All()) & self._columns.labels.bits(Field.GROUP, name)
        if saved is None or saved.wrong:
            return chosen
        chooser = Chooser(self._columns, {}, microseconds(now), budget)
        return chosen | chooser.choose(saved.where, self._visible(saved.where))

    def _choose(self, where: Condition, now: datetime, budget: Budget) -> int:
        return Chooser(self._columns, self._saved, microseconds(now), budget).choose(where, self._visible(where))

    def _visible(self, where: Condition) -> int:
        """The devices that a condition is asked of: those retired only where it says something of the lifecycle."""
        if self._is_about_lifecycle(where):
            return self._listed.bits
        return self._listed.bits & ~self._columns.labels.bits(Field.LIFECYCLE, Lifecycle.RETIRED)

    def _is_about_lifecycle(self, where: Condition) -> bool:
        for one in conditions(where):
            if isinstance(one, Is) and one.field == Field.LIFECYCLE:
                return True
            if isinstance(one, Is) and one.field == Field.GROUP and self._saved:
                asked = [saved.where for name, saved in self._saved.items() if one.pattern.matches(name)]
                if any(is_about(each, Field.LIFECYCLE) for each in asked):
                    return True
        return False

    def _order(self, sort: Sort) -> Runs:
        name = _ORDERS.get(sort.field, sort.field)
        return self._columns.rankings.get(name) or self._columns.orders[name]

    def _view(self, number: int) -> bytes:
        columns = self._columns
        parts = (
            record_part(self._records[number]),
            traits_part(columns.model(number), columns.firmware(number), self._metadata[number]),
            presence_part(self._presences[number]),
            twin_part(columns.is_in_sync(number)),
        )
        return b"".join(parts)

    def _number(self, key: str) -> int:
        """The number of a device; another is given to one that has none."""
        number = self._numbers.get(key)
        if number is None:
            number = heappop(self._free) if self._free else len(self._records)
            # Others keep the same id, who are told it by others.
            key = sys.intern(key)
            self._numbers[key] = number
            if number == len(self._records):
                self._records.append(b"")
                self._presences.append(b"")
                self._metadata.append(_NO_METADATA)
                self._told.append(None)
            self._columns.add(number, key)
        return number

    def _free_if_blank(self, key: str, number: int) -> None:
        """Take the number from a device of which nothing is known any more."""
        if number not in self._listed and self._told[number] is None and self._columns.is_blank(number):
            self._columns.drop(number)
            self._presences[number] = b""
            del self._numbers[key]
            heappush(self._free, number)
