"""The topics that can be heard, the subjects of the bus that they come from, and how their messages read."""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

import orjson
from nats.aio.msg import Msg

from functions.contract.messages import AuditRecorded, LiveChange, Message, OnboardingStep
from functions.contract.subjects import DEVICE_TIME, ROOT, TIME, TYPE
from functions.domain.names import is_token

# Joinings that one client can hear at once, each by itself.
MOST_JOININGS: Final = 16

JOINING_PATTERN: Final = r"onboarding:[A-Za-z0-9_-]{1,64}"
_JOINING: Final = re.compile(JOINING_PATTERN)


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
        read: what clients get of a message; None for one that is not of the topic.
        is_kept: whether its messages are kept for clients that come again.
        model: of the data, where that is not what the subject carries.
    """

    name: str
    subjects: tuple[str, ...]
    read: Callable[[Msg], Told | None]
    is_kept: bool = True
    model: type[Message] | None = None


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


def _joined(message: Msg) -> Told:
    """A step of joining, under the id that it is told by."""
    return Told(_token(message, 2), message.data.decode())


def _change(*actions: str) -> Callable[[Msg], Told | None]:
    """Some of the acts that the audit trail has, without who did them, which only some may know."""

    def read(message: Msg) -> Told | None:
        told = _act(message)
        if told is None or not told.action.startswith(actions):
            return None
        device = told.target if told.action.startswith("device.") and is_token(told.target) else None
        return Told(device, told.model_dump_json(by_alias=True))

    return read


def _act(message: Msg) -> LiveChange | None:
    if _token(message, 1) == "audit":
        entry = AuditRecorded.model_validate_json(message.data)
        return LiveChange(action=entry.action, target=entry.target, timestamp=entry.at)
    step = OnboardingStep.model_validate_json(message.data)
    # It is told under both of its ids, and an act once.
    if step.step != "accepted" or step.device_id != _token(message, 2):
        return None
    return LiveChange(action="device.joined", target=step.device_id, timestamp=step.timestamp)


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


_CHANGES: Final = (f"{ROOT}.audit.recorded", f"{ROOT}.onboarding.*")

TOPICS: Final[Mapping[str, Topic]] = {
    topic.name: topic
    for topic in (
        Topic("status", (f"{ROOT}.devices.*.presence",), _as_it_is),
        Topic("presence", (f"{ROOT}.devices.*.presence",), _as_it_is),
        Topic("devices", _CHANGES, _change("device."), model=LiveChange),
        Topic("certificates", _CHANGES, _change("certificate.", "claim.", "ca.", "device."), model=LiveChange),
        Topic("alarms", (f"{ROOT}.alarms.changed",), _of_no_device),
        Topic("audit", (f"{ROOT}.audit.recorded",), _of_no_device),
        Topic("onboarding", (f"{ROOT}.onboarding.*",), _joined),
        Topic("twin", (f"{ROOT}.devices.*.twin.update.documents",), _as_it_is),
        Topic("swap", (f"{ROOT}.devices.*.swapped",), _as_it_is),
        Topic("jobs", (f"{ROOT}.jobs.*.progress",), _of_no_device),
        Topic("services", (f"{ROOT}.host.*.units.changed",), _of_no_device),
        Topic("metrics", (f"{ROOT}.host.*.metrics.sampled",), _of_no_device),
        Topic("telemetry", (f"{ROOT}.stored.telemetry.>",), _measured),
        Topic("events", (f"{ROOT}.stored.events.>",), _happened),
    )
}


def joining_of(name: str) -> Topic | None:
    """One joining as a topic, ``onboarding:ID``; None for what is none. It is not kept: it would put out all others."""
    if _JOINING.fullmatch(name) is None:
        return None
    return Topic(name, (f"{ROOT}.{name.replace(':', '.')}",), _joined, is_kept=False)


def route_of(name: str) -> str:
    """The token by which the functions know a topic."""
    return name.partition(":")[0]
