"""What a lane has done since it started, for operators."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Counters:
    """Counts of one lane; ``waiting`` and ``waiting_bytes`` are of now.

    received: messages taken in, each once.
    repeated: copies that the broker sent again and that were known.
    answered: messages that a function has answered, with a refusal or not.
    refused: by reason; the bridge's own (``bad_topic`` and so on) and the functions'.
    retried: calls made again because the functions were away.
    dropped: retained copies from the broker, and messages for devices while the broker was away.
    published: messages sent to devices, answers included.
    reconnects: times the connection to the broker was lost.
    """

    received: int = 0
    repeated: int = 0
    answered: int = 0
    retried: int = 0
    dropped: int = 0
    published: int = 0
    reconnects: int = 0
    waiting: int = 0
    waiting_bytes: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """The counts under the names of the interface."""
        return {
            "received": self.received,
            "repeated": self.repeated,
            "answered": self.answered,
            "refused": dict(self.refused),
            "retried": self.retried,
            "dropped": self.dropped,
            "published": self.published,
            "reconnects": self.reconnects,
            "waiting": self.waiting,
            "waitingBytes": self.waiting_bytes,
        }
