"""How much a lane of the bridge takes on, and how long it tries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bridge.mqtt.topics import Lane


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a lane takes on, and how long it tries.

    ``calls`` bounds how many calls run at once: more would only wait in front
    of the functions. After ``timeouts`` of one message, while others were answered,
    the message itself is to blame.
    """

    messages: int = 8_192
    bytes: int = 64 * 1024 * 1024
    per_queue: int = 2_048
    calls: int = 256
    first_delay: float = 0.1
    longest_delay: float = 2.0
    unheld_seconds: float = 5.0
    timeouts: int = 8


# A device that was away sends what it kept meanwhile as fast as it can, and the broker has acknowledged it before the
# bridge sees it: it has room for an hour of four messages a second.
USUAL: Final[Mapping[Lane, Bounds]] = {
    Lane.CONTROL: Bounds(),
    Lane.TELEMETRY: Bounds(messages=32_768, per_queue=16_384),
}
