"""The benchmarks by name, each with the ceilings that it is held against."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from tests.bench import ceilings, loads
from tests.bench.measure import Pace, Result, Tally, measure
from tests.bench.stage import Stage


@dataclass(frozen=True)
class Sizes:
    """What the benchmarks are run with."""

    devices: Sequence[int] = (1, 50, 200)
    joiners: int = 16
    fleets: Sequence[int] = (1_000, 10_000)


@dataclass
class Bench:
    """One run of the suite: what is measured goes through ``see``, which also shows it."""

    stage: Stage
    pace: Pace
    sizes: Sizes
    show: Callable[[Result], None]
    results: list[Result] = field(default_factory=list)

    async def see(self, name: str, load: AbstractAsyncContextManager[None], tally: Tally, *, at_once: int) -> Result:
        """Measure a load."""
        async with load:
            return self.add(await measure(name, tally, self.stage.processes, self.pace, at_once=at_once))

    def add(self, result: Result) -> Result:
        self.results.append(result)
        self.show(result)
        return result


async def twins(bench: Bench) -> None:
    """Twin updates by devices, beside what broker, bus and storage do alone at as many at once."""
    stage = bench.stage
    async with ceilings.broker(stage) as bare:
        for number in bench.sizes.devices:
            devices = await stage.devices(number)
            tally = Tally()
            update = await bench.see("twin update", loads.updating(stage, devices, tally), tally, at_once=number)
            echo = await bench.see(
                "broker echo", ceilings.broker_echo(stage, bare, devices, tally), tally, at_once=number
            )
            bus = await bench.see("NATS echo", ceilings.bus_echo(stage, tally, at_once=number), tally, at_once=number)
            puts = await bench.see(
                "durable put", ceilings.durable_puts(stage, tally, at_once=number), tally, at_once=number
            )
            compare(update, echo, bus, puts)


async def onboarding(bench: Bench) -> None:
    """Devices that join, beside bare handshakes, puts and signatures."""
    stage, number = bench.stage, bench.sizes.joiners
    await stage.open_enrolment()
    tally = Tally()
    join = await bench.see("onboarding", loads.onboarding(stage, tally, at_once=number), tally, at_once=number)
    async with ceilings.broker(stage) as bare:
        connect = await bench.see(
            "TLS connect", ceilings.connects(stage.claim, bare, tally, at_once=number), tally, at_once=number
        )
    puts = await bench.see("durable put", ceilings.durable_puts(stage, tally, at_once=number), tally, at_once=number)
    rates = sorted(ceilings.signatures(bench.pace.seconds / 3) for _ in range(3))
    sign = bench.add(Result("P-256 signature", 1, "/s", rates[1], 0, 0, (rates[2] - rates[0]) / rates[1], runs=rates))
    compare(join, connect, puts, sign)


def compare(result: Result, *against: Result) -> None:
    """Note a rate as a share of its ceilings'."""
    result.facts["shares"] = {each.name: result.rate / each.rate for each in against if each.rate}


SUITE: Mapping[str, Callable[[Bench], Awaitable[None]]] = {
    "twins": twins,
    "onboarding": onboarding,
}
