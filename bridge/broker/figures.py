"""What Mosquitto tells of itself, under ``$SYS``: a few figures for operators."""

from types import MappingProxyType
from typing import Final

_ROOT: Final = "$SYS/broker/"
_NAMES: Final = MappingProxyType(
    {
        f"{_ROOT}clients/connected": "clients",
        f"{_ROOT}messages/received": "messagesReceived",
        f"{_ROOT}messages/sent": "messagesSent",
        f"{_ROOT}bytes/received": "bytesReceived",
        f"{_ROOT}bytes/sent": "bytesSent",
        f"{_ROOT}publish/messages/dropped": "publishesDropped",
        f"{_ROOT}store/messages/count": "messagesStored",
        f"{_ROOT}heap/current": "heapBytes",
    }
)

TOPICS: Final = tuple(_NAMES)


class Figures:
    """The last value of each figure; the broker tells anew, every ten seconds, those that changed."""

    def __init__(self) -> None:
        self._values: dict[str, int] = {}

    def take(self, topic: str, payload: bytes) -> bool:
        """Note a figure; whether it is one. What is no number is passed over, as other versions tell otherwise."""
        name = _NAMES.get(topic)
        if name is None:
            return False
        if payload.isdigit() and len(payload) < 20:
            self._values[name] = int(payload)
        return True

    def to_json(self) -> dict[str, int]:
        """The figures that are known, under the names of the interface."""
        return dict(self._values)
