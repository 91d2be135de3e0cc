"""The checks that any telemetry store must pass; its tests subclass them."""

from typing import Any

from pydantic_core import to_json

from functions.domain.telemetry import (
    BELIEVED_AHEAD,
    BELIEVED_BEHIND,
    DAY,
    HOUR,
    MOST_DEVICE_KEYS,
    Cursor,
    Keeping,
    Kind,
    Place,
    Sent,
    TelemetryWanted,
    milliseconds_of,
)
from functions.ports import TelemetryStore
from functions.testing import START

NOW = milliseconds_of(START)
EVERYTHING = TelemetryWanted()
STREAM = "telemetry-0"
FOR_EVER = Keeping(10**15, 10**15, 10**15, 2**62)


class TelemetryChecks:
    """What every ``TelemetryStore`` must do. Subclass it in a test module, with a fixture ``store``, an empty one."""

    async def test_a_message_comes_back_exactly(self, store: TelemetryStore) -> None:
        """Its payload byte for byte, both times, and whether it is JSON."""
        await put(store, measured(1, {"temp": 21.5}, at=NOW - 5))
        await put(store, Sent("EDGB-0001", 2, NOW, b"\x00\xff", None, is_bytes=True))

        binary, json = await store.find(EVERYTHING)
        assert (json.device, json.at, json.hub_time, json.device_time) == ("EDGB-0001", NOW - 5, NOW + 1, NOW - 5)
        assert (json.payload, json.is_bytes) == (b'{"temp":21.5}', False)
        assert (binary.payload, binary.is_bytes, binary.device_time) == (b"\x00\xff", True, None)

    async def test_the_same_messages_again_change_nothing(self, store: TelemetryStore) -> None:
        """A batch may come again, whole or in part with new ones behind it."""
        first = [measured(number, {"n": number}) for number in (1, 2, 3)]
        await put(store, *first)
        await put(store, *first)
        await put(store, *first[1:], measured(4, {"n": 4}))

        assert await store.count(EVERYTHING) == 4
        (span,) = await store.spans(None, 0, 2**62)
        assert (span.numbers["n"].count, span.numbers["n"].total) == (4, 10)
        assert await store.place(STREAM) == Place(4, 4)

    async def test_streams_are_known_apart(self, store: TelemetryStore) -> None:
        """Each up to its own place; events are no telemetry."""
        await put(store, measured(5, {"n": 1}))
        await put(store, Sent("EDGB-0001", 5, NOW, b"{}", {}, type="boot"), stream="events-1", kind=Kind.EVENTS)

        assert await store.place("telemetry-1") is None
        assert [one.type for one in await store.find(TelemetryWanted(kind=Kind.EVENTS))] == ["boot"]
        assert await store.count(TelemetryWanted(kind=Kind.EVENTS, type="halt")) == 0
        assert await store.count(EVERYTHING) == 1

    async def test_a_stream_made_anew_is_read_from_its_beginning(self, store: TelemetryStore) -> None:
        """What was kept of the old one stays, and numbers that repeat are other messages."""
        await put(store, measured(1, {"n": 1}))
        await store.renew(STREAM)
        assert await store.place(STREAM) is None
        await put(store, measured(1, {"n": 2}))

        assert await store.count(EVERYTHING) == 2

    async def test_the_newest_come_first_whatever_came_last(self, store: TelemetryStore) -> None:
        """By the time that each is of; of one time, the one that came last."""
        for number, at in enumerate((5, 9, 1, 9, 7), 1):
            await put(store, measured(number, {"n": number}, at=NOW + at))

        assert await numbers(store, EVERYTHING) == [4, 2, 5, 1, 3]
        assert await numbers(store, TelemetryWanted(oldest_first=True)) == [3, 1, 5, 2, 4]

    async def test_a_page_goes_on_where_the_last_one_ended(self, store: TelemetryStore) -> None:
        """By offset, and after a message; over several devices too."""
        await put(store, *(measured(n, {"n": n}, at=NOW + n // 3, device=f"EDGB-000{n % 2}") for n in range(1, 10)))

        everything = await numbers(store, EVERYTHING)
        assert len(everything) == 9
        assert await numbers(store, TelemetryWanted(limit=4, offset=3)) == everything[3:7]
        last = (await store.find(TelemetryWanted(limit=4)))[-1]
        after = Cursor(last.at, last.device, last.place)
        assert await numbers(store, TelemetryWanted(after=after)) == everything[4:]
        both = ("EDGB-0000", "EDGB-0001", "EDGB-0009")
        assert await numbers(store, TelemetryWanted(devices=both, after=after)) == everything[4:]

    async def test_a_page_ends_before_it_is_too_large(self, store: TelemetryStore) -> None:
        """After one message at least."""
        await put(store, *(measured(number, {"text": "x" * 90}) for number in (1, 2, 3)))

        for most, found in ((0, 1), (150, 1), (210, 2), (10_000, 3)):
            assert len(await store.find(TelemetryWanted(most_bytes=most))) == found

    async def test_a_time_has_a_beginning_and_no_end(self, store: TelemetryStore) -> None:
        """Of its beginning a message is in it, of its end not; totals agree with that to the millisecond."""
        times = [-2 * HOUR, -HOUR, -1, 0, 1, HOUR - 1, HOUR, 2 * HOUR]
        await put(store, *(measured(n, {"n": n}, at=NOW + at, hub=NOW + DAY) for n, at in enumerate(times, 1)))

        for begin in times:
            for end in times:
                wanted = TelemetryWanted(begin=NOW + begin, end=NOW + end)
                among = [at for at in times if begin <= at < end]
                assert await store.count(wanted) == len(await store.find(wanted)) == len(among), (begin, end)

    async def test_a_clock_that_cannot_be_right_is_not_believed(self, store: TelemetryStore) -> None:
        """Its time is kept beside the hub's."""
        for number, told in enumerate((0, NOW + BELIEVED_AHEAD + 2, NOW - BELIEVED_BEHIND - 1, 253_402_300_799_999), 1):
            await put(store, Sent("EDGB-0001", number, NOW, b"{}", {}, device_time=told))
            newest = (await store.find(EVERYTHING))[0]
            assert (newest.at, newest.device_time) == (NOW, told)

    async def test_numbers_are_put_together_by_hour(self, store: TelemetryStore) -> None:
        """Also what comes late; the last is that of the latest time. Texts, truth and lists are no numbers."""
        hour = NOW - NOW % HOUR
        late = {"t": 1, "in": {"side": 0.5}, "ok": True, "text": "5", "list": [1], "none": None}
        await put(store, measured(1, {"t": 5}, at=hour + 30), measured(2, {"t": 3}, at=hour + 50))
        await put(store, measured(3, late, at=hour + 10), measured(4, {"t": 7}, at=hour - 1))

        found = {span.at: span.numbers for span in await store.spans(("EDGB-0001",), 0, 2**62)}
        assert set(found) == {hour, hour - HOUR}
        assert set(found[hour]) == {"t", "in.side"}
        t = found[hour]["t"]
        assert (t.count, t.total, t.least, t.most, t.last, t.mean) == (3, 9, 1, 5, 3, 3)
        assert await store.spans(("EDGB-0001",), hour + 1, 2**62) == []
        assert await store.spans(("EDGB-0002",), 0, 2**62) == []

    async def test_the_latest_value_is_that_of_the_latest_time(self, store: TelemetryStore) -> None:
        """Each key by itself; of any kind of value."""
        await put(store, measured(1, {"t": 5, "state": "on"}, at=NOW), measured(2, {"t": 3}, at=NOW - 9))
        await put(store, measured(3, {"ok": None}, at=NOW + 1))

        found = [(one.key, one.at, one.value) for one in await store.latest("EDGB-0001")]
        assert found == [("ok", NOW + 1, b"null"), ("state", NOW, b'"on"'), ("t", NOW, b"5")]
        assert await store.latest("EDGB-0002") == []

    async def test_a_device_that_makes_up_keys_has_so_many_followed(self, store: TelemetryStore) -> None:
        """Its messages are kept all the same."""
        for number in range(1, 10):
            await put(store, measured(number, {f"{number}-{key}": key for key in range(60)}))

        assert await store.count(EVERYTHING) == 9
        assert len(await store.latest("EDGB-0001")) == MOST_DEVICE_KEYS

    async def test_what_is_old_is_dropped_by_the_hour(self, store: TelemetryStore) -> None:
        """Messages and numbers each by their own age."""
        for number, days in enumerate((20, 10, 5, 0), 1):
            await put(store, measured(number, {"n": number}, at=NOW - days * DAY))

        await store.forget(Keeping(7 * DAY, DAY, 15 * DAY, 2**62), NOW)

        assert await numbers(store, EVERYTHING) == [4, 3]
        assert await store.count(EVERYTHING) == await store.count(TelemetryWanted(devices=("EDGB-0001",))) == 2
        assert len(await store.spans(None, 0, 2**62)) == 3
        await store.forget(FOR_EVER, NOW)
        assert await store.count(EVERYTHING) == 2


async def put(store: TelemetryStore, *sent: Sent, stream: str = STREAM, kind: Kind = Kind.TELEMETRY) -> None:
    """Put messages as one batch."""
    await store.put(stream, kind, sent, Place(sent[-1].sequence, sent[-1].sequence))


async def numbers(store: TelemetryStore, wanted: TelemetryWanted) -> list[int]:
    """The ``n`` of those found."""
    return [int(one.payload.partition(b'"n":')[2].rstrip(b"}")) for one in await store.find(wanted)]


def measured(
    number: int, content: dict[str, Any], *, at: int = NOW, hub: int | None = None, device: str = "EDGB-0001"
) -> Sent:
    """A message with a device's time."""
    hub = NOW + number if hub is None else hub
    return Sent(device, number, hub, to_json(content), content, device_time=at)
