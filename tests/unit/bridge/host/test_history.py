"""Figures over time: what is kept, how it is folded, and that it never grows."""

import sys
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from bridge.host.metrics.history import STEPS, History

NOON = 1_900_000_800.0  # The beginning of a minute.


def _times(*seconds: float) -> list[datetime]:
    return [datetime.fromtimestamp(one, UTC) for one in seconds]


def test_a_step_has_the_mean_and_the_largest_of_what_was_measured_in_it() -> None:
    history = History(("load",), NOON)
    for second, value in ((0, 1.0), (5, 3.0), (10, 7.0)):
        history.add(NOON + second, [value])

    read = history.read("n1", NOON + 12, None, 10)

    assert read.times == _times(NOON, NOON + 10)
    assert read.series["load"].mean == [2.0, 7.0]
    assert read.series["load"].max == [3.0, 7.0]
    assert read.begins_at == datetime.fromtimestamp(NOON, UTC)


def test_what_was_not_measured_is_null_and_counts_for_nothing() -> None:
    history = History(("load", "hottest"), NOON)
    history.add(NOON, [1.0, None])
    history.add(NOON + 5, [None, None])

    read = history.read("n1", NOON + 6, None, 10)

    assert read.series["load"].mean == [1.0]
    assert read.series["hottest"].mean == [None]
    assert read.series["hottest"].max == [None]


def test_a_step_without_samples_is_left_out() -> None:
    history = History(("load",), NOON)
    history.add(NOON, [1.0])
    history.add(NOON + 40, [1.0])

    assert history.read("n1", NOON + 41, None, 10).times == _times(NOON, NOON + 40)


def test_the_finest_steps_that_reach_back_far_enough_are_given() -> None:
    history = History(("load",), NOON - 90_000)

    assert history.read("n1", NOON, NOON - 3_500, None).step_seconds == 10
    assert history.read("n1", NOON, NOON - 3_700, None).step_seconds == 60
    assert history.read("n1", NOON, None, None).step_seconds == 60
    assert History(("load",), NOON - 100).read("n1", NOON, None, None).step_seconds == 10


def test_since_cuts_off_what_was_before() -> None:
    history = History(("load",), NOON)
    for second in range(0, 60, 5):
        history.add(NOON + second, [1.0])

    assert history.read("n1", NOON + 59, NOON + 25, 10).times == _times(NOON + 20, NOON + 30, NOON + 40, NOON + 50)


def test_after_days_it_holds_an_hour_and_a_day_and_no_more() -> None:
    history = History(("load",), NOON)
    end = NOON + 3 * 86_400
    for second in range(0, 3 * 86_400, 5):
        history.add(NOON + second, [float(second)])

    fine, coarse = history.read("n1", end - 1, None, 10), history.read("n1", end - 1, None, 60)

    assert len(fine.times) == STEPS[10]
    assert fine.times[0] == datetime.fromtimestamp(end - 3_600, UTC)
    assert len(coarse.times) == STEPS[60]
    assert coarse.times[0] == datetime.fromtimestamp(end - 86_400, UTC)
    assert coarse.series["load"].max[-1] == 3 * 86_400 - 5


def test_a_full_day_of_every_figure_fits_into_one_message_of_the_bus() -> None:
    history = History([f"figure{number}BytesPerSecond" for number in range(10)], NOON)
    for second in range(0, 86_400, 5):
        history.add(NOON + second, [123_456_789_012.34 + second] * 10)

    assert len(history.read("n1", NOON + 86_399, None, 60).encode()) < 1024 * 1024


def test_a_clock_that_is_put_back_leaves_no_future_behind() -> None:
    history = History(("load",), NOON)
    history.add(NOON + 500, [1.0])
    history.add(NOON, [2.0])

    read = history.read("n1", NOON + 1, None, 10)

    assert read.times == _times(NOON)
    assert read.series["load"].mean == [2.0]


@given(st.lists(st.tuples(st.integers(0, 10_000), st.floats(-1e12, 1e12)), max_size=200))
def test_steps_are_in_order_and_never_more_than_are_kept(samples: list[tuple[int, float]]) -> None:
    history = History(("load",), NOON)
    for second, value in samples:
        history.add(NOON + second, [value])

    read = history.read("n1", NOON + 10_000, None, 10)

    assert read.times == sorted(set(read.times))
    assert len(read.times) <= STEPS[10]
    means, most = read.series["load"].mean, read.series["load"].max
    assert len(means) == len(most) == len(read.times)
    for mean, largest in zip(means, most, strict=True):
        assert mean is not None
        assert largest is not None
        assert mean <= largest + abs(largest) * 1e-9 + 0.02


def test_it_takes_the_room_it_says() -> None:
    rings = vars(History([str(number) for number in range(10)], NOON))["_rings"].values()

    size = sum(sys.getsizeof(one) for ring in rings for one in vars(ring).values())

    assert size < 500_000
