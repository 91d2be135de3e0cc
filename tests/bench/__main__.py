"""``python -m tests.bench``: bring up a hub, load it, print a table and write JSON.

It is a benchmark, not a test: it fails only where something does not work.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from tests.bench import report
from tests.bench.measure import Pace, Result
from tests.bench.stage import machine, set_stage, strike
from tests.bench.suite import SUITE, Bench, Sizes


def main() -> None:
    options = _options()
    data = Path(tempfile.mkdtemp(prefix="hub-bench-", dir=options.at))
    try:
        failed = uvloop.run(run(options, data))
    finally:
        if options.keep:
            print(f"The hub's data is kept in {data}")
        else:
            shutil.rmtree(data)
    sys.exit(1 if failed else 0)


async def run(options: argparse.Namespace, data: Path) -> bool:
    """Each benchmark on a new hub, so that none finds what another left; whether anything went wrong."""
    pace = Pace(options.warm_up, options.seconds, options.runs, options.patience)
    sizes = Sizes(
        options.devices,
        options.joiners,
        options.reporters,
        options.ahead,
        options.callers,
        options.fleets,
        options.rows,
        options.minutes,
    )
    settings = dict(each.split("=", 1) for each in options.set)
    results: list[Result] = []
    for name in options.only or SUITE:
        stage = await set_stage(data / name, **settings)
        try:
            print(f"== {name}, on a hub that was ready in {stage.ready_seconds:.2f} s", flush=True)
            bench = Bench(stage, pace, sizes, lambda result: print(report.line(result), flush=True))
            await SUITE[name](bench)
        finally:
            await strike(stage)
        results += bench.results
        if not options.keep:
            shutil.rmtree(data / name)
    report.table(results)
    told = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    report.write(options.json, machine(), results, told)
    print(f"Written to {options.json}")
    return any(result.errors for result in results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=tuple(SUITE), help="run this one; may be given several times"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a run")
    parser.add_argument("--runs", type=int, default=5, help="how many runs the median is of")
    parser.add_argument(
        "--patience", type=int, default=3, help="how many times as many runs to make while other programs disturb them"
    )
    parser.add_argument("--warm-up", type=float, default=1.5, help="seconds before the first run of each")
    parser.add_argument("--devices", type=_numbers, default=(1, 50, 200), help="how many update twins at once")
    parser.add_argument("--reporters", type=int, default=50, help="how many send telemetry at once")
    parser.add_argument("--ahead", type=int, default=1000, help="how much telemetry is on its way at most")
    parser.add_argument("--joiners", type=int, default=16, help="how many join at once")
    parser.add_argument(
        "--fleets", type=_numbers, default=(1_000, 10_000), help="sizes of the registry asked over HTTP"
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="messages in the telemetry store that is asked")
    parser.add_argument("--minutes", type=int, default=2, help="how long telemetry goes on while memory is watched")
    parser.add_argument("--callers", type=int, default=16, help="how many ask over HTTP at once")
    parser.add_argument("--at", type=Path, help="where to make the data directory; a real disk, or syncs cost nothing")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the hub")
    parser.add_argument("--keep", action="store_true", help="keep the data directory")
    name = f"build/bench/{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    parser.add_argument("--json", type=Path, default=Path(name), help="where to write the figures")
    return parser.parse_args()


def _numbers(text: str) -> Sequence[int]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    main()
