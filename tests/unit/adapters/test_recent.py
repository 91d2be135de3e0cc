import secrets

import pytest

from functions.adapters.codec import Codec
from functions.adapters.recent import Recent
from functions.domain.twins import Half


def recent(**bounds: int) -> Recent[str]:
    return Recent(bytes.decode, **bounds)


def put(into: Recent[str], key: str, text: str, revision: int = 1) -> None:
    into.put(key, text, revision, text.encode())


def test_what_was_put_last_is_remembered_with_its_revision() -> None:
    one = recent()
    put(one, "a", "one", 1)
    put(one, "a", "two", 2)

    assert one.get("a") == ("two", 2)
    assert one.get("b") is None


def test_an_answer_that_comes_late_does_not_put_an_old_value_over_a_newer() -> None:
    one = recent()
    put(one, "a", "two", 2)
    put(one, "a", "one", 1)

    assert one.get("a") == ("two", 2)


def test_the_keys_used_longest_ago_give_way_by_number() -> None:
    one = recent(max_entries=2)
    for key in ("a", "b", "a", "c"):
        put(one, key, key)

    assert [key for key in ("a", "b", "c") if one.get(key)] == ["a", "c"]


def test_the_keys_used_longest_ago_give_way_by_bytes() -> None:
    one = recent(max_bytes=100)
    put(one, "a", "a" * 60)
    put(one, "b", "b" * 60)

    assert one.get("a") is None
    assert one.get("b") == ("b" * 60, 1)


def test_a_value_larger_than_all_the_room_is_not_remembered() -> None:
    one = recent(max_bytes=100)
    put(one, "a", "a" * 101)

    assert one.get("a") is None
    put(one, "b", "b" * 100)
    assert one.get("b") == ("b" * 100, 1)


@pytest.mark.parametrize("packed_bytes", [0, 10_000])
def test_what_was_dropped_is_forgotten_and_its_room_free(packed_bytes: int) -> None:
    one = recent(max_bytes=100, packed_bytes=packed_bytes)
    put(one, "a", "a" * 100)
    one.drop("a")
    one.drop("a")
    put(one, "b", "b" * 100)

    assert one.get("a") is None
    assert one.get("b") == ("b" * 100, 1)


def test_what_gives_way_is_packed_and_comes_back_as_it_was() -> None:
    codec = Codec(Half)
    one = Recent(codec.decode, max_entries=1, packed_bytes=100_000)
    halves = [Half(number, {"rate": number, "text": secrets.token_urlsafe()}, {"rate": 1}) for number in range(100)]
    for number, half in enumerate(halves):
        one.put(f"D{number}", half, number + 1, codec.encode(half))

    assert [one.get(f"D{number}") for number in range(100)] == [(half, half.version + 1) for half in halves]


def test_a_later_value_takes_the_place_of_a_packed_one_and_an_earlier_does_not() -> None:
    one = recent(max_entries=1, packed_bytes=10_000)
    put(one, "a", "two", 2)
    put(one, "b", "b")
    put(one, "a", "one", 1)
    assert one.get("a") == ("two", 2)

    put(one, "a", "three", 3)
    put(one, "b", "b", 2)
    assert one.get("a") == ("three", 3)
    one.drop("a")
    assert one.get("a") is None


def test_packed_values_are_bounded_by_the_bytes_that_they_take() -> None:
    one = recent(max_entries=1, packed_bytes=3_000)
    for number in range(100):
        put(one, f"D{number}", secrets.token_hex(100))

    left = [number for number in range(100) if one.get(f"D{number}")]
    # Random digits take half their bytes packed, and each its place besides.
    assert 5 <= len(left) <= 12
    assert left == list(range(100 - len(left), 100)), "those used last"


def test_where_others_write_the_same_keys_memory_is_seldom_gone_by() -> None:
    one = recent()

    def told(number: int, *, is_wrong: bool) -> int:
        count = 0
        for _ in range(number):
            put(one, "a", "a")
            if one.get("a") is not None:
                count += 1
                if is_wrong:
                    one.drop("a")
        return count

    assert told(1000, is_wrong=True) < 100
    assert told(8000, is_wrong=False) > 1000, "it is tried now and then, and gone by again once it is right"
    assert told(1000, is_wrong=False) == 1000
