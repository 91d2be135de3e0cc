"""One simulation from its first handshake to its last word: join, report, sum up."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from infra.problem import Problem
from infra.simulator.counts import Counts
from infra.simulator.fleet import Fleet, Joined, join_all
from infra.simulator.joining import Broker
from infra.simulator.keyring import Identity
from infra.simulator.renewing import renew_all

# Messages a second from each device, unless a rate is given.
_OWN_RATE = 0.1
_MOST_REASONS = 5

Enrolment = Callable[[], AbstractAsyncContextManager[None]]


class Show(Protocol):
    """What is told while it runs."""

    def say(self, text: str) -> None:
        """Tell something that stays."""
        ...

    def joining(self, done: int, total: int, failed: int) -> None:
        """Tell how far the joining is."""
        ...

    def reporting(self, text: str) -> None:
        """Tell how it is now; takes the place of what it was before."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted: so many devices; messages a second in all; how long, or until stopped; certificates renewed."""

    devices: int
    rate: float | None = None
    seconds: float | None = None
    renew: bool = False

    @property
    def messages(self) -> float:
        """Messages a second in all."""
        return self.devices * _OWN_RATE if self.rate is None else self.rate


async def run(
    broker: Broker, identities: Sequence[Identity], wish: Wish, stop: asyncio.Event, show: Show, enrolment: Enrolment
) -> dict[str, Any]:
    """Have the devices join and report until ``stop``; the summary as JSON values.

    Stopped while devices are joining, ``reporting`` is None.

    Args:
        broker: where they connect.
        identities: with their keys; those without a certificate join.
        wish: what is wanted.
        stop: set to end early, in good order.
        show: is told how it goes.
        enrolment: holds enrolment open; entered only if a device has to join.

    Raises:
        Problem: none of the devices could join.
    """
    try:
        joined, counts = await _join(broker, identities, stop, show, enrolment)
        summary: dict[str, Any] = {"devices": wish.devices, "joining": _summed_joining(joined, counts, wish)}
        _tell_joining(summary["joining"], show)
        if stop.is_set():
            return summary | {"reporting": None}
        if not joined.identities:
            raise Problem("None of the devices could join.", "'devicehub logs functions' may tell more.")
        if wish.renew:
            summary["renewing"] = await _renew(broker, joined.identities, stop, show)
        return summary | {"reporting": await _report(broker, joined.identities, wish, stop, show)}
    finally:
        show.close()


async def _join(
    broker: Broker, identities: Sequence[Identity], stop: asyncio.Event, show: Show, enrolment: Enrolment
) -> tuple[Joined, Counts]:
    counts = Counts()
    missing = sum(identity.device_id is None for identity in identities)
    if not missing:
        return Joined(tuple(identities), len(identities), 0.0), counts

    def progress() -> None:
        show.joining(counts.done["joined"], missing, counts.errors.total())

    async with enrolment():
        progress()
        return await join_all(broker, identities, counts, stop, progress), counts


async def _renew(broker: Broker, identities: Sequence[Identity], stop: asyncio.Event, show: Show) -> dict[str, Any]:
    counts = Counts()
    renewed = await renew_all(broker, identities, counts, stop)
    told = {
        "renewed": renewed.number,
        "failed": counts.errors.total(),
        "seconds": round(renewed.seconds, 3),
        "perSecond": round(renewed.number / renewed.seconds, 1) if renewed.number else None,
        **_times(counts),
        "errors": dict(counts.errors),
    }
    show.say(f"{renewed.number} devices renewed their certificates in {renewed.seconds:.1f} s.")
    _tell_reasons(counts, show)
    return told


async def _report(
    broker: Broker, identities: Sequence[Identity], wish: Wish, stop: asyncio.Event, show: Show
) -> dict[str, Any]:
    fleet = Fleet(broker, identities)
    began = time.monotonic()
    running = asyncio.create_task(fleet.run(wish.messages))
    telling = asyncio.create_task(_tell(fleet, len(identities), show))
    try:
        async with asyncio.timeout(wish.seconds):
            await _until(stop, running)
    except TimeoutError:
        show.say("The time is over.")
    finally:
        for task in (running, telling):
            task.cancel()
        await asyncio.wait((running, telling))
    summary = _summed_reporting(fleet, time.monotonic() - began)
    show.close()
    show.say(_line(fleet.counts, summary["seconds"], fleet.counts.done) + ".")
    _tell_reasons(fleet.counts, show)
    return summary


async def _until(stop: asyncio.Event, running: "asyncio.Task[None]") -> None:
    """Wait for the end of either; what a device did not foresee comes out here."""
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((stopped, running), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        stopped.cancel()


async def _tell(fleet: Fleet, number: int, show: Show) -> None:
    before, last = fleet.counts.done.copy(), time.monotonic()
    while True:
        await asyncio.sleep(1)
        now = time.monotonic()
        since = fleet.counts.done - before
        show.reporting(f"{fleet.connected} of {number} connected; {_line(fleet.counts, now - last, since)}")
        before, last = fleet.counts.done.copy(), now


def _line(counts: Counts, seconds: float, done: Counter[str]) -> str:
    per_second = {name: done[name] / max(seconds, 0.001) for name in ("telemetry", "updates")}
    told = [f"{per_second['telemetry']:,.1f} telemetry/s", f"{per_second['updates']:,.1f} twin updates/s"]
    if times := counts.milliseconds():
        told.append(f"accepted in {times[0]:.1f} ms (p99 {times[1]:.0f} ms)")
    if counts.done["deltas"]:
        told.append(f"deltas: {counts.done['deltas']}")
    return ", ".join([*told, f"{counts.errors.total()} errors"])


def _summed_joining(joined: Joined, counts: Counts, wish: Wish) -> dict[str, Any]:
    number = counts.done["joined"]
    return {
        "joined": number,
        "known": joined.known,
        "failed": wish.devices - number - joined.known,
        "seconds": round(joined.seconds, 3),
        "perSecond": round(number / joined.seconds, 1) if number else None,
        **_times(counts),
        "errors": dict(counts.errors),
    }


def _summed_reporting(fleet: Fleet, seconds: float) -> dict[str, Any]:
    counts = fleet.counts
    return {
        "seconds": round(seconds, 3),
        "telemetry": counts.done["telemetry"],
        "updates": counts.done["updates"],
        "deltas": counts.done["deltas"],
        "perSecond": round((counts.done["telemetry"] + counts.done["updates"]) / seconds, 1),
        **_times(counts),
        "errors": dict(counts.errors),
    }


def _times(counts: Counts) -> dict[str, float | None]:
    p50, p99 = counts.milliseconds() or (None, None)
    return {"p50Ms": None if p50 is None else round(p50, 2), "p99Ms": None if p99 is None else round(p99, 2)}


def _tell_joining(told: dict[str, Any], show: Show) -> None:
    if told["joined"]:
        show.say(
            f"{told['joined']} devices joined in {told['seconds']:.1f} s ({told['perSecond']}/s,"
            f" each in {told['p50Ms']:.0f} ms, p99 {told['p99Ms']:.0f} ms)."
        )
    if told["known"]:
        show.say(f"{told['known']} devices had joined before.")
    if told["failed"]:
        show.say(f"{told['failed']} devices did not join{':' if told['errors'] else '.'}")
        _show_reasons(told["errors"], show)


def _tell_reasons(counts: Counts, show: Show) -> None:
    if counts.errors:
        show.say("Errors:")
        _show_reasons(counts.errors, show)


def _show_reasons(errors: Mapping[str, int], show: Show) -> None:
    most = Counter(errors).most_common()
    for reason, number in most[:_MOST_REASONS]:
        show.say(f"  {number} x {reason}")
    if len(most) > _MOST_REASONS:
        show.say(f"  and {len(most) - _MOST_REASONS} other reasons")
