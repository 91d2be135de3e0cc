import sys
from typing import Any

import pytest

from gateway.problems import Refusal
from gateway.strangers import Strangers
from tests.unit.gateway.rig import Clock


def scope(address: str | None) -> dict[str, Any]:
    return {"client": (address, 1234) if address is not None else None}


def admitted(strangers: Strangers, address: str | None, *, most: int = 100) -> int:
    for number in range(most):
        try:
            strangers.admit(scope(address))
        except Refusal:
            return number
    return most


def test_an_address_may_ask_so_often_at_once_and_then_once_a_second() -> None:
    clock = Clock()
    strangers = Strangers(clock)

    assert admitted(strangers, "192.0.2.1") == 60
    clock.now += 0.5
    with pytest.raises(Refusal) as refused:
        strangers.admit(scope("192.0.2.1"))
    assert refused.value.headers == {"Retry-After": "1"}
    clock.now += 0.5
    assert admitted(strangers, "192.0.2.1") == 1
    clock.now += 3600
    assert admitted(strangers, "192.0.2.1") == 60


def test_what_is_refused_does_not_count() -> None:
    clock = Clock()
    strangers = Strangers(clock)
    admitted(strangers, "192.0.2.1")
    for _ in range(1000):
        assert admitted(strangers, "192.0.2.1") == 0
    clock.now += 1

    assert admitted(strangers, "192.0.2.1") == 1


def test_one_holder_of_many_addresses_is_one() -> None:
    strangers = Strangers(Clock())

    assert sum(admitted(strangers, f"2001:db8:7::{number:x}", most=1) for number in range(1, 100)) == 60


def test_who_has_no_address_is_counted_too() -> None:
    strangers = Strangers(Clock())

    assert admitted(strangers, None) == 60
    assert admitted(strangers, "192.0.2.1") == 60


def test_the_table_does_not_grow_for_ever() -> None:
    strangers = Strangers(Clock())
    for number in range(10_000):
        strangers.admit(scope(f"2001:db8:{number:x}::1"))

    table = strangers._asked._clean_at
    assert len(table) == 4096
    assert sys.getsizeof(table) < 1024 * 1024
