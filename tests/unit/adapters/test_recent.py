from functions.adapters.recent import Recent


def test_what_was_put_last_is_remembered_with_its_revision() -> None:
    recent = Recent[str]()
    recent.put("a", "one", 1, 10)
    recent.put("a", "two", 2, 10)

    assert recent.get("a") == ("two", 2)
    assert recent.get("b") is None


def test_an_answer_that_comes_late_does_not_put_an_old_value_over_a_newer() -> None:
    recent = Recent[str]()
    recent.put("a", "two", 2, 10)
    recent.put("a", "one", 1, 10)

    assert recent.get("a") == ("two", 2)


def test_the_keys_used_longest_ago_give_way_by_number() -> None:
    recent = Recent[str](max_entries=2)
    for key in ("a", "b", "a", "c"):
        recent.put(key, key, 1, 1)

    assert [key for key in ("a", "b", "c") if recent.get(key)] == ["a", "c"]


def test_the_keys_used_longest_ago_give_way_by_bytes() -> None:
    recent = Recent[str](max_bytes=100)
    recent.put("a", "a", 1, 60)
    recent.put("b", "b", 1, 60)

    assert recent.get("a") is None
    assert recent.get("b") == ("b", 1)


def test_a_value_larger_than_all_the_room_is_not_remembered() -> None:
    recent = Recent[str](max_bytes=100)
    recent.put("a", "a", 1, 101)

    assert recent.get("a") is None
    recent.put("b", "b", 1, 100)
    assert recent.get("b") == ("b", 1)


def test_what_was_dropped_is_forgotten_and_its_room_free() -> None:
    recent = Recent[str](max_bytes=100)
    recent.put("a", "a", 1, 100)
    recent.drop("a")
    recent.drop("a")
    recent.put("b", "b", 1, 100)

    assert recent.get("a") is None
    assert recent.get("b") == ("b", 1)
