"""Figures are the median of runs, and say how far the runs lie apart."""

import asyncio

from tests.bench.measure import Pace, Tally, Window, measure, percentiles, plain, spread, summary


def _window(rate: float, **more: float) -> Window:
    return Window(seconds=1, rate=rate, p50=1, p99=2, errors={}, cores={"load": 0.5, **more})


def test_percentiles_are_in_milliseconds_and_of_nothing_are_zero() -> None:
    assert percentiles([number / 1000 for number in range(100)]) == (50.0, 99.0)
    assert percentiles([0.004]) == (4.0, 4.0)
    assert percentiles([]) == (0.0, 0.0)


def test_the_spread_is_from_worst_to_best_run_as_a_share_of_the_median() -> None:
    assert spread([90, 100, 110]) == 0.2
    assert spread([0, 0]) == 0.0


def test_a_summary_takes_medians_and_adds_errors() -> None:
    windows = [_window(90), _window(200, echo=0.1), _window(100)]
    windows[1].errors = {"no answer": 2}
    windows[2].errors = {"no answer": 1, "too_large": 1}

    result = summary("twin update", windows, at_once=50)

    assert (result.value, result.p50, result.p99) == (100, 1, 2)
    assert result.errors == {"no answer": 3, "too_large": 1}
    assert result.cores == {"echo": 0.0, "load": 0.5}
    assert result.runs == [90, 200, 100]


def test_a_plain_figure_has_no_latency() -> None:
    result = plain("up to ready", [1.0, 3.0, 2.0], " s")

    assert (result.value, result.spread, result.p50) == (2.0, 1.0, 0.0)


async def test_what_was_done_before_a_window_does_not_count_in_it_and_nothing_done_is_an_error() -> None:
    tally = Tally()
    tally.done(0)

    result = await measure("idle", tally, dict, Pace(warm_up=0, seconds=0.01, runs=2, patience=1), at_once=1)

    assert result.value == 0
    assert result.errors == {"nothing was done": 2}
    await asyncio.sleep(0)


def test_a_run_is_quiet_unless_other_programs_took_a_fifth_of_a_core() -> None:
    assert _window(1, others=0.1).is_quiet
    assert not _window(1, others=0.3).is_quiet
