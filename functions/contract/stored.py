"""Where devices' messages are stored: the subjects of the streams, and which part of a stream a device's are in."""

from collections.abc import Mapping
from typing import Final
from zlib import crc32

from functions.contract.subjects import ROOT

# Into how many streams each is divided; all messages of a device are in one, which gives their order.
SHARDS: Final[Mapping[str, int]] = {"telemetry": 4, "events": 2}

_ROOT: Final = f"{ROOT}.stored"


def stored_subject(stream: str, device: str, kind: str = "") -> str:
    """Where a message of a device is stored; ``kind`` is an event's type.

    Device and type are names (``functions.domain.names.is_token``).
    """
    shard = crc32(device.encode()) % SHARDS[stream]
    return f"{_ROOT}.{stream}.{shard}.{device}.{kind}" if kind else f"{_ROOT}.{stream}.{shard}.{device}"


def stored_filter(stream: str, shard: int) -> str:
    """All subjects of one part of a stream."""
    return f"{_ROOT}.{stream}.{shard}.>"


def device_and_kind(subject: str) -> tuple[str, str]:
    """The device, and the type of an event if it is one, that a message stored under a subject is of."""
    _, _, _, _, device, *kind = subject.split(".")
    return device, kind[0] if kind else ""
