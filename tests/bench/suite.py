"""The benchmarks by name, each with the ceilings that it is held against."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from itertools import count, cycle

from tests.bench import batches, ceilings, endurance, fleet, inventory, live, loads, methods, web
from tests.bench import telemetry as measured
from tests.bench.measure import Pace, Result, Tally, measure, plain
from tests.bench.stage import Stage
from tests.e2e.rig import RunningHub

_STARTS = 3
_SETTLE_SECONDS = 5.0
# Of what is heard live: messages a second, who hears one device each, and who hears all.
_LIVE_RATE = 1000
_SOCKETS = 100
_OF_ALL = 2


@dataclass(frozen=True)
class Sizes:
    """What the benchmarks are run with."""

    devices: Sequence[int] = (1, 50, 200)
    joiners: int = 16
    reporters: int = 50
    ahead: int = 1000
    callers: int = 16
    fleets: Sequence[int] = (1_000, 10_000)
    rows: int = 1_000_000
    minutes: int = 2
    idle_sockets: int = 2000


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


async def fleets(bench: Bench) -> None:
    """Twin updates with registries of several sizes: of few devices over MQTT, and of all of them over the bus."""
    stage, number = bench.stage, bench.sizes.reporters
    tally = Tally()
    for size in bench.sizes.fleets:
        await fleet.fill(stage, size)
        devices = await stage.devices(number)
        update = await bench.see(
            f"twin update, {size:,} devices", loads.updating(stage, devices, tally), tally, at_once=number
        )
        everywhere = await bench.see(
            f"update of any twin, {size:,} devices",
            fleet.updating(stage, size, tally, at_once=number),
            tally,
            at_once=number,
        )
        puts = await bench.see(
            "durable put", ceilings.durable_puts(stage, tally, at_once=number), tally, at_once=number
        )
        compare(update, puts)
        compare(everywhere, puts)


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
    rates = [ceilings.signatures(bench.pace.seconds / 3) for _ in range(3)]
    sign = bench.add(plain("P-256 signature", rates, "/s"))
    compare(join, connect, puts, sign)


async def calls(bench: Bench) -> None:
    """Calls of methods, to the device and back, beside the broker's own way there and back."""
    stage, tally = bench.stage, Tally()
    async with ceilings.broker(stage) as bare:
        for number in bench.sizes.devices:
            devices = await stage.devices(number)
            load = methods.calling(stage, devices, tally)
            call = await bench.see("method call", load, tally, at_once=number)
            load = ceilings.broker_echo(stage, bare, devices, tally)
            echo = await bench.see("broker echo", load, tally, at_once=number)
            bus = await bench.see("NATS echo", ceilings.bus_echo(stage, tally, at_once=number), tally, at_once=number)
            compare(call, echo, bus)


async def telemetry(bench: Bench) -> None:
    """Telemetry from a publish to the stream, and to the store where it can be asked for."""
    stage, number = bench.stage, bench.sizes.reporters
    devices = await stage.devices(number)
    tally = Tally()
    load = loads.reporting(stage, devices, tally, ahead=bench.sizes.ahead)
    report = await bench.see("telemetry", load, tally, at_once=number)
    load = loads.reporting(stage, devices, tally, ahead=bench.sizes.ahead, arrived=measured.kept)
    keep = await bench.see("telemetry, to the store", load, tally, at_once=number)
    async with ceilings.broker(stage) as bare:
        load = ceilings.broker_echo(stage, bare, devices, tally)
        echo = await bench.see("broker echo", load, tally, at_once=number)
    puts = await bench.see("durable put", ceilings.durable_puts(stage, tally, at_once=number), tally, at_once=number)
    compare(report, echo, puts)
    compare(keep, report, echo, puts)


async def telemetry_queries(bench: Bench) -> None:
    """The first page of 1,000 messages of one device over HTTP, and its numbers, among as many as were asked for."""
    stage, number, tally = bench.stage, bench.sizes.callers, Tally()
    port, token = stage.hub.http_port, await stage.token("bench", "telemetry:read")
    devices = await stage.devices(16)
    await measured.fill(stage, bench.sizes.rows, devices)
    among = f"among {bench.sizes.rows:,}"
    for at_once in (1, number):
        paths = cycle(f"/api/telemetry?deviceId={device.name}&limit=1000" for device in devices)
        load = web.asking(port, paths.__next__, token, tally, at_once=at_once)
        page = await bench.see(f"HTTP page of 1,000 messages, {among}", load, tally, at_once=at_once)
    load = web.asking(port, lambda: "/api/telemetry?limit=100", token, tally, at_once=1)
    await bench.see(f"HTTP page of 100 of all, {among}", load, tally, at_once=1)
    alive = await bench.see(
        "HTTP alone", web.asking(port, lambda: "/healthz", token, tally, at_once=number), tally, at_once=number
    )
    compare(page, alive)


async def live_(bench: Bench) -> None:
    """Telemetry at 1,000/s, heard on the bus and by 102 WebSockets: a hundred of one device each, two of all."""
    stage = bench.stage
    devices = await stage.devices(_SOCKETS)
    token = await stage.token("bench", "telemetry:read")
    tally = Tally()
    load = live.on_the_bus(stage, devices, tally, rate=_LIVE_RATE)
    bus = await bench.see("telemetry, stored", load, tally, at_once=_SOCKETS)
    load = live.over_sockets(stage, devices, tally, rate=_LIVE_RATE, token=token, of_all=_OF_ALL)
    told = await bench.see("telemetry, told over WebSockets", load, tally, at_once=_SOCKETS + _OF_ALL)
    told.facts["addsMs"] = {"p50": told.p50 - bus.p50, "p99": told.p99 - bus.p99}
    bench.add(plain("WebSockets add, p99", [told.p99 - bus.p99], " ms"))


async def gateway(bench: Bench) -> None:
    """What idle WebSockets add to the gateway's memory, and a small request while telemetry runs at 1,000/s."""
    stage, number, tally = bench.stage, bench.sizes.idle_sockets, Tally()
    token = await stage.token("bench", "devices:read", "telemetry:read")

    def held() -> float:
        return sum(endurance.resident(process, "Pss") for process in stage.parts()["gateway"]) / 1024

    async with live.idle_sockets(stage, 1, token):
        pass
    before = held()
    async with live.idle_sockets(stage, number, token):
        await asyncio.sleep(_SETTLE_SECONDS)
        bench.add(plain(f"{number:,} idle WebSockets add", [held() - before], " MiB", at_once=number))
    devices = await stage.devices(_SOCKETS)
    path = f"/api/devices/{devices[0].name}"
    load = web.asking(stage.hub.http_port, lambda: path, token, tally, at_once=1)
    alone = await bench.see("HTTP device", load, tally, at_once=1)
    async with live.at_rate(stage, devices, _LIVE_RATE):
        load = web.asking(stage.hub.http_port, lambda: path, token, tally, at_once=1)
        beside = await bench.see("HTTP device, beside telemetry", load, tally, at_once=1)
    compare(beside, alone)
    bench.add(plain("HTTP device beside telemetry, p99", [beside.p99], " ms"))


async def jobs(bench: Bench) -> None:
    """A wish for every device of a fleet, in jobs, beside durable puts: two a device, of its twin and of the trail."""
    stage, size, tally = bench.stage, bench.sizes.fleets[-1], Tally()
    await fleet.fill(stage, size)
    number = bench.sizes.callers
    done = await bench.see(f"job, {size:,} devices", batches.wishing(stage, tally), tally, at_once=1)
    puts = await bench.see("durable put", ceilings.durable_puts(stage, tally, at_once=number), tally, at_once=number)
    compare(done, puts)


async def http(bench: Bench) -> None:
    """Twin GET and PATCH, and pages of devices, over HTTP, at several sizes of the fleet."""
    stage, number, tally = bench.stage, bench.sizes.callers, Tally()
    port = stage.hub.http_port
    token = await stage.token("bench", "devices:read", "twins:read", "twins:write")
    alive = await bench.see(
        "HTTP alone", web.asking(port, lambda: "/healthz", token, tally, at_once=number), tally, at_once=number
    )
    bus = await bench.see("NATS echo", ceilings.bus_echo(stage, tally, at_once=number), tally, at_once=number)
    for size in bench.sizes.fleets:
        await fleet.fill(stage, size)
        asked = {"HTTP twin GET": fleet.twins(size), "HTTP page of 50": fleet.pages(size)}
        for name, paths in asked.items():
            head, body = await web.get(port, paths[0], token)
            if not head.startswith("HTTP/1.1 200 "):
                raise AssertionError(f"{paths[0]}: {head}\n{body[:500]!r}")
            load = web.asking(port, cycle(paths).__next__, token, tally, at_once=number)
            result = await bench.see(f"{name}, {size:,} devices", load, tally, at_once=number)
            result.facts["bytes"] = len(body)
            compare(result, alive, bus)
        targets, wishes = cycle(fleet.twins(size)), map(b'{"desired":{"rate":%d}}'.__mod__, count())
        load = web.asking(port, targets.__next__, token, tally, at_once=number, body=wishes.__next__)
        result = await bench.see(f"HTTP twin PATCH, {size:,} devices", load, tally, at_once=number)
        compare(result, alive, bus)


async def queries(bench: Bench) -> None:
    """Queries, texts and facets over HTTP and over the bus, and an index built again, at several sizes of the fleet."""
    stage, number, tally = bench.stage, bench.sizes.callers, Tally()
    port, token = stage.hub.http_port, await stage.token("bench", "devices:read")
    alive = await bench.see(
        "HTTP alone", web.asking(port, lambda: "/healthz", token, tally, at_once=number), tally, at_once=number
    )
    bus = await bench.see("NATS echo", ceilings.bus_echo(stage, tally, at_once=number), tally, at_once=number)
    for size in bench.sizes.fleets:
        await fleet.fill(stage, size)
        asked = {
            "HTTP query, 50 of a total": inventory.paths("/api/devices", inventory.questions(size)),
            "HTTP text, 50 of a total": inventory.paths("/api/devices", inventory.texts(size)),
            "HTTP facets": inventory.paths("/api/devices/facets", inventory.facets(size)),
        }
        for name, paths in asked.items():
            head, body = await web.get(port, next(paths), token)
            if not head.startswith("HTTP/1.1 200 "):
                raise AssertionError(f"{name}: {head}\n{body[:500]!r}")
            load = web.asking(port, paths.__next__, token, tally, at_once=number)
            compare(await bench.see(f"{name}, {size:,} devices", load, tally, at_once=number), alive, bus)
        load = inventory.over_bus(stage, inventory.questions(size), tally, at_once=number)
        compare(await bench.see(f"NATS query, 50 of a total, {size:,} devices", load, tally, at_once=number), bus)
        built = await inventory.rebuild(stage)
        for name, unit, key in (("built", " s", "seconds"), ("built, processor", " s", "processor")):
            bench.add(plain(f"index {name}, {size:,} devices", [built[key]], unit))
        bench.add(plain(f"index memory, {size:,} devices", [built["bytes"]], " B/device"))


async def ready(bench: Bench) -> None:
    """From the command ``up`` to its word that all is ready: of a new hub, and of one that was there."""
    first: list[float] = []
    again: list[float] = []
    for number in range(_STARTS):
        hub = RunningHub(bench.stage.hub.data / f"ready-{number}")
        for times in (first, again):
            began = time.monotonic()
            await asyncio.to_thread(hub.up)
            times.append(time.monotonic() - began)
            await asyncio.to_thread(hub.down)
    bench.add(plain("up to ready, new", first, " s"))
    bench.add(plain("up to ready", again, " s"))


async def memory(bench: Bench) -> None:
    """What all processes of the hub hold when nothing is asked of them."""
    await asyncio.sleep(_SETTLE_SECONDS)
    for kind, field_name in (("PSS", "Pss"), ("RSS", "Rss")):
        parts = {
            name: sum(endurance.resident(process, field_name) for process in each) / 1024
            for name, each in bench.stage.parts().items()
        }
        result = plain(f"idle memory, {kind}", [sum(parts.values())], " MiB", at_once=1)
        result.facts["parts"] = parts
        bench.add(result)


async def endurance_(bench: Bench) -> None:
    """What each part holds after every minute of telemetry, as fast as it is stored; one WebSocket hears a device."""
    stage, tally = bench.stage, Tally()
    devices = await stage.devices(bench.sizes.reporters)
    token = await stage.token("bench", "telemetry:read")
    load = loads.reporting(stage, devices, tally, ahead=bench.sizes.ahead, arrived=measured.kept)
    async with endurance.listening(stage, [devices[0].name], token), load:
        await asyncio.sleep(bench.pace.warm_up)
        held, rates = await endurance.held(stage, tally, minutes=bench.sizes.minutes)
    bench.add(plain("telemetry, by the minute", rates, "/s", at_once=len(devices)))
    for name, each in held.items():
        bench.add(plain(f"memory of {name}, by the minute", each, " MiB", at_once=len(devices)))


def compare(result: Result, *against: Result) -> None:
    """Note a rate as a share of its ceilings'."""
    result.facts["shares"] = {each.name: result.value / each.value for each in against if each.value}


SUITE: Mapping[str, Callable[[Bench], Awaitable[None]]] = {
    "memory": memory,
    "ready": ready,
    "twins": twins,
    "fleets": fleets,
    "onboarding": onboarding,
    "telemetry": telemetry,
    "telemetry-query": telemetry_queries,
    "endurance": endurance_,
    "methods": calls,
    "live": live_,
    "gateway": gateway,
    "jobs": jobs,
    "http": http,
    "inventory": queries,
}
