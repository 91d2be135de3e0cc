"""The system's clock."""

from datetime import UTC

from functions.adapters.clock import SystemClock


def test_the_time_is_aware_and_goes_on() -> None:
    first, second = SystemClock().now(), SystemClock().now()

    assert first.tzinfo is UTC
    assert first <= second
