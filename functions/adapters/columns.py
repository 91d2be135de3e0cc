"""What devices are found and sorted by: labels, orders and texts, each device a number in all of them."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from functions.adapters.labels import Label, Labels, Ranking
from functions.adapters.orders import Order
from functions.adapters.texts import Texts
from functions.domain.devices import Device
from functions.domain.inventory import ABSENT, Status, TwinFacts, status_of
from functions.domain.query import REPORTED, Field
from functions.domain.sessions import Presence
from functions.domain.versions import version_of

# The kind of label that a tag has whatever its value; a tag with its value has the kind ``tag``.
KEY: Final = "key"
SHOWN_ID: Final = "deviceId"
# What the orders are called of what a device has several of, and of its notes.
GROUPS, TAGS, NOTES = "groups", "tags", "notes"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_SECONDS: Final = 86_400
_SECOND: Final = 1_000_000

# For how many devices more room is made at once.
_ROOM: Final = 256
TRUE, FALSE = "true", "false"
# Between an id without capitals and the id itself, so that two that differ in those alone still differ.
NO_SIGN: Final = "\x00"

_LABELS: Final = (
    Field.STATUS,
    Field.MODEL,
    Field.FIRMWARE,
    Field.GROUP,
    KEY,
    Field.TAG,
    Field.LIFECYCLE,
    Field.IN_SYNC,
)
_OF_RECORD: Final = (
    SHOWN_ID, Field.NAME, Field.ROLE, Field.MODEL, Field.FIRMWARE, Field.CREATED, Field.UPDATED, GROUPS, TAGS, NOTES,
)  # fmt: skip
_ORDERS: Final = (*_OF_RECORD, Field.LAST_SEEN, Field.OUT_OF_SYNC)

# Values of a path compare by what they are, then by themselves.
_TRUTH, _NUMBER, TEXT, _NULL, _OTHER = range(5)
_MOST_KEPT_CHARACTERS: Final = 256


class Columns:
    """The devices by what they are.

    Args:
        paths: of what devices report, those that can be asked for.
    """

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._paths = tuple(f"{REPORTED}{path}" for path in paths)
        self._nothing = (ABSENT,) * len(paths)
        self._ids: list[str] = []
        self.labels = Labels(_LABELS, searched=(Field.MODEL, Field.TAG))
        self.texts = Texts(settled=False)
        self.by_id = Order(self._ids)
        self.orders: dict[str, Order] = {name: Order(self._ids) for name in (*_ORDERS, *self._paths)}
        self.orders[Field.ID] = self.by_id
        # By number: groups and tags, and labels that each device has one of.
        self.held: list[tuple[Label, ...]] = []
        self._models: list[tuple[Label, ...]] = []
        self._firmwares: list[tuple[Label, ...]] = []
        self._lifecycles: list[tuple[Label, ...]] = []
        self._statuses: list[tuple[Label, ...]] = []
        self._syncs: list[tuple[Label, ...]] = []
        self.rankings: dict[str, Ranking] = {
            Field.LIFECYCLE: Ranking(self.labels, Field.LIFECYCLE, self._lifecycles),
            Field.STATUS: Ranking(self.labels, Field.STATUS, self._statuses),
            Field.IN_SYNC: Ranking(self.labels, Field.IN_SYNC, self._syncs),
        }

    def settle(self) -> Iterator[None]:
        """Bring everything into the form in which it can be asked, step by step; else the first question does."""
        for order in self.orders.values():
            order.settle()
            yield

    def add(self, number: int, id_: str) -> None:
        """Make room for a device, under a number that no device has; of its presence and twin nothing is known yet."""
        if number >= len(self._ids):
            self._ids.extend([""] * _ROOM)
            for labels in (self.held, self._models, self._firmwares, self._lifecycles, self._statuses, self._syncs):
                labels.extend([()] * _ROOM)
        self._ids[number] = sorted_id(id_)
        self.by_id.put(number, self._ids[number])
        self._relabel(self._statuses, number, Field.STATUS, Status.UNKNOWN)
        self._relabel(self._syncs, number, Field.IN_SYNC, TRUE)

    def id_of(self, number: int) -> str:
        """The id of a device."""
        return spelled_id(self._ids[number])

    def after(self, id_: str) -> int:
        """As bits, the devices whose id comes after this one."""
        return self.by_id.at_least(sorted_id(id_), or_equal=False)

    def drop(self, number: int) -> None:
        """Forget a device whose record is forgotten; its number is free then."""
        for labels in (self._statuses, self._syncs):
            self.labels.give_up(number, labels[number])
            labels[number] = ()
        for order in self.orders.values():
            order.put(number, None)
        self._ids[number] = ""

    def put_record(self, number: int, device: Device) -> None:
        """Take in what a device's record says, but for what the device is."""
        self.labels.give_up(number, self.held[number])
        self.held[number] = self.labels.take(number, _labels(device))
        self._relabel(self._lifecycles, number, Field.LIFECYCLE, device.lifecycle)
        role = None if device.role is None else device.role.casefold()
        folded = plain_id(self._ids[number])
        for name, value in (
            (SHOWN_ID, role or self._ids[number]),
            (Field.NAME, device.name.casefold() or folded),
            (Field.ROLE, role),
            (Field.CREATED, microseconds(device.created_at)),
            (Field.UPDATED, microseconds(device.updated_at)),
            (GROUPS, _row(device.groups)),
            (TAGS, _row(tuple([f"{key}={value}" for key, value in device.tags.items()]))),
            (NOTES, device.notes[:_MOST_KEPT_CHARACTERS].casefold() or None),
        ):
            self.orders[name].put(number, value)
        # Model and tags are looked for among the labels.
        self.texts.put(number, (device.id, device.name, device.role or ""))

    def put_traits(self, number: int, model: str, firmware: str) -> None:
        """Take in what a device is."""
        self._relabel(self._firmwares, number, Field.FIRMWARE, firmware)
        self.orders[Field.FIRMWARE].put(number, _version(firmware))
        self._relabel(self._models, number, Field.MODEL, model)
        self.orders[Field.MODEL].put(number, sys.intern(model.casefold()) or None)

    def model(self, number: int) -> str:
        """The model of a device; empty where it is not known."""
        labels = self._models[number]
        return labels[0].name if labels else ""

    def firmware(self, number: int) -> str:
        """The firmware of a device; empty where it is not known."""
        labels = self._firmwares[number]
        return labels[0].name if labels else ""

    def put_presence(self, number: int, presence: Presence | None) -> None:
        """Take in what is known of a device's connection."""
        self._relabel(self._statuses, number, Field.STATUS, status_of(presence))
        self.orders[Field.LAST_SEEN].put(number, None if presence is None else microseconds(presence.at))

    def put_twin(self, number: int, twin: TwinFacts) -> None:
        """Take in what is known of a device's twin."""
        in_sync = TRUE if twin.drifted_at is None else FALSE
        self._relabel(self._syncs, number, Field.IN_SYNC, in_sync)
        self.orders[Field.OUT_OF_SYNC].put(number, None if twin.drifted_at is None else twin.drifted_at * 1000)
        for name, value in zip(self._paths, twin.reported or self._nothing, strict=True):
            self.orders[name].put(number, comparable(value))

    def drop_record(self, number: int) -> None:
        """Forget what a device's record said."""
        for labels in (self.held, self._models, self._firmwares, self._lifecycles):
            self.labels.give_up(number, labels[number])
            labels[number] = ()
        self.texts.put(number, ())
        for name in _OF_RECORD:
            self.orders[name].put(number, None)

    def is_in_sync(self, number: int) -> bool:
        """Whether a device shows all that is desired of it."""
        return self.orders[Field.OUT_OF_SYNC].value(number) is None

    def is_blank(self, number: int) -> bool:
        """Whether nothing is known of a device besides its record."""
        names = (Field.LAST_SEEN, Field.OUT_OF_SYNC, *self._paths)
        return all(self.orders[name].value(number) is None for name in names)

    def _relabel(self, held: list[tuple[Label, ...]], number: int, kind: str, name: str) -> None:
        before = held[number]
        if not before or before[0].name != name:
            held[number] = self.labels.take_one(number, kind, name)
            self.labels.give_up(number, before)


def sorted_id(id_: str) -> str:
    """An id as what it is sorted by: letters folded, and behind it as it is spelled where that differs."""
    folded = id_.casefold()
    return folded if folded == id_ else f"{folded}{NO_SIGN}{id_}"


def spelled_id(text: str) -> str:
    """The id of what it is sorted by."""
    return text.rpartition(NO_SIGN)[2]


def plain_id(text: str) -> str:
    """A device's id with letters folded, from what it is ordered by."""
    return text.partition(NO_SIGN)[0]


@lru_cache(maxsize=4096, typed=True)
def _shared(kind: int, value: Any) -> tuple[int, Any]:
    """What many devices report alike takes its memory once."""
    return kind, value


def comparable(value: Any) -> tuple[int, Any] | None:
    """What a reported value compares by; None of nothing. Of a long text the beginning counts."""
    match value:
        case bool():
            return _shared(_TRUTH, value)
        case int() | float():
            return _shared(_NUMBER, value)
        case str():
            return _shared(TEXT, value[:_MOST_KEPT_CHARACTERS])
        case None:
            return _NULL, 0
    return None if value is ABSENT else (_OTHER, "")


def microseconds(moment: datetime) -> int:
    """A time as microseconds since 1970."""
    # By hand, which takes a third of what a division of two durations takes.
    past = moment - _EPOCH
    return (past.days * _DAY_SECONDS + past.seconds) * _SECOND + past.microseconds


@lru_cache(maxsize=4096)
def _row(texts: tuple[str, ...]) -> str | None:
    """Texts as what they are sorted by together, in their own order; None of none. Devices share what they share."""
    return sys.intern(NO_SIGN.join(sorted({text.casefold() for text in texts}))) or None


def _labels(device: Device) -> tuple[tuple[str, str], ...]:
    """Groups and tags of a record, each once."""
    groups = [(Field.GROUP, group) for group in dict.fromkeys(device.groups)]
    tags = [label for key, value in device.tags.items() for label in ((KEY, key), (Field.TAG, f"{key}={value}"))]
    return (*groups, *tags)


# Devices share few versions; so they share what those compare by.
_version: Final = lru_cache(maxsize=4096)(version_of)
