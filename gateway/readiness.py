"""Whether the parts of the hub answer, asked now and then, however many want to know."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from functions.domain.faults import Fault
from gateway.believed import Believed
from gateway.callers import GATEWAY, Bus

UP = "up"
DOWN = "down"

_WITHIN_SECONDS = 1.0
_BELIEVED_SECONDS = 1.0
# A return is noticed sooner than a loss.
_NOT_READY_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class State:
    """What each part was found to be: ``up``, or ``down``."""

    parts: dict[str, str]

    @property
    def is_ready(self) -> bool:
        """Whether all of it is up."""
        return all(state == UP for state in self.parts.values())


class Readiness:
    """Asks the parts through the service protocol.

    The address that tells is open to all, so however many ask at once, the
    hub is asked once, and the answer believed for a second.
    """

    def __init__(self, bus: Bus, now: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._state = Believed(self._ask, _believed_seconds, now)

    async def state(self) -> State:
        """How the parts are."""
        return await self._state.read()

    async def _ask(self) -> State:
        if not self._bus.is_connected:
            return State(dict.fromkeys(("nats", "functions", "index", "bridge", "broker"), DOWN))
        functions, index, bridge = await asyncio.gather(
            self._told("PING", "functions"), self._told("PING", "index"), self._told("STATS", "bridge")
        )
        return State(
            {
                "nats": UP if self._bus.is_connected else DOWN,
                "functions": DOWN if functions is None else UP,
                "index": DOWN if index is None else UP,
                "bridge": DOWN if bridge is None else UP,
                "broker": UP if _has_broker(bridge) else DOWN,
            }
        )

    async def _told(self, verb: str, part: str) -> Any:
        """What the first process of a part answers to one of the protocol's questions; None if none does."""
        try:
            answer = await self._bus.request(f"$SRV.{verb}.{part}", b"", caller=GATEWAY, within=_WITHIN_SECONDS)
        except Fault:
            return None
        return from_json(answer)


def _believed_seconds(state: State) -> float:
    return _BELIEVED_SECONDS if state.is_ready else _NOT_READY_SECONDS


def _has_broker(bridge: Any) -> bool:
    """Whether every lane of a bridge has its session with the broker, by its own account."""
    endpoints = bridge.get("endpoints", ()) if isinstance(bridge, dict) else ()
    lanes = [lane for one in endpoints for lane in (one.get("data") or {}).get("lanes", {}).values()]
    return bool(lanes) and all(lane.get("connected") for lane in lanes)
