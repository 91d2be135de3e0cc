"""The topics that can be heard, the subjects of the bus that they come from, and how their messages read."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

import orjson
from nats.aio.msg import Msg

from functions.contract.subjects import DEVICE_TIME, ROOT, TIME, TYPE


class Told(NamedTuple):
    """What clients get of a message: the device (None for what is of none), its data and more of the frame, as JSON."""

    device: str | None
    data: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Args:
        name: as clients call it.
        subjects: of the bus, where it comes from.
        read: what clients get of a message.
        is_kept: whether its messages are kept for clients that come again.
    """

    name: str
    subjects: tuple[str, ...]
    read: Callable[[Msg], Told]
    is_kept: bool = True


def _as_it_is(message: Msg) -> Told:
    """An event of the hub: it is JSON of the hub's own making, and names its device in its subject."""
    return Told(_token(message, 2), message.data.decode())


def _of_no_device(message: Msg) -> Told:
    """An event of the hub that is about no device in particular."""
    return Told(None, message.data.decode())


def _measured(message: Msg) -> Told:
    """Telemetry, once it is durable."""
    return Told(_token(message, 4), _json_of(message.data), f'"timestamp":"{_time_of(message)}",')


def _happened(message: Msg) -> Told:
    """A device's event, once it is durable."""
    kind = (message.headers or {}).get(TYPE, "")
    data = f'{{"eventType":"{kind}","timestamp":"{_time_of(message)}","data":{_json_of(message.data)}}}'
    return Told(_token(message, 4), data)


def _token(message: Msg, place: int) -> str:
    return message.subject.split(".")[place]


def _time_of(message: Msg) -> str:
    """When it was, by the device's clock or else by the hub's."""
    headers: Mapping[str, str] = message.headers or {}
    milliseconds = int(headers.get(DEVICE_TIME) or headers[TIME])
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json_of(payload: bytes) -> str:
    """A payload, which may be anything that the device sent."""
    try:
        orjson.loads(payload)
    except ValueError:
        return f'{{"base64":"{b64encode(payload).decode()}"}}'
    return payload.decode()


TOPICS: Final[Mapping[str, Topic]] = {
    topic.name: topic
    for topic in (
        Topic("status", (f"{ROOT}.devices.*.presence",), _as_it_is),
        Topic("twin", (f"{ROOT}.devices.*.twin.update.documents",), _as_it_is),
        Topic("swap", (f"{ROOT}.devices.*.swapped",), _as_it_is),
        Topic("jobs", (f"{ROOT}.jobs.*.progress",), _of_no_device),
        Topic("services", (f"{ROOT}.host.*.units.changed",), _of_no_device),
        Topic("metrics", (f"{ROOT}.host.*.metrics.sampled",), _of_no_device),
        Topic("telemetry", (f"{ROOT}.stored.telemetry.>",), _measured),
        Topic("events", (f"{ROOT}.stored.events.>",), _happened),
    )
}
