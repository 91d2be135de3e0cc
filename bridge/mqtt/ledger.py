"""What the broker has sent and not been told to forget: knows a message again when it comes twice.

After a connection ends the broker sends every message again that it holds
unacknowledged, with DUP and the packet identifier it had (MQTT 5, 4.4). By
that identifier and the same content a copy is known to be a message that
already waits here, runs, or has been answered.
"""

from dataclasses import dataclass

from bridge.mqtt.session import Incoming
from bridge.mqtt.topics import Target
from functions.domain.callers import Caller
from functions.domain.sessions import SessionMark

# Acknowledgements that a broker had not read when its connection ended are
# what lies in a socket's buffers; older ones need no remembering.
_REMEMBERED = 4_096


@dataclass(slots=True)
class Entry:
    """A message taken in: where it leads, its place in the order, and the newest copy of it.

    ``reply`` is set once it is answered: the topics and the payload, empty
    if there is nothing to say. ``session`` is known where its row asks for it.
    ``timeouts`` and ``answered_before`` serve to
    recognise a message that no function survives.
    """

    incoming: Incoming
    target: Target
    caller: Caller | None
    order: str
    call: str
    taken_at: float
    session: SessionMark | None = None
    reply: tuple[tuple[str, ...], bytes] | None = None
    timeouts: int = 0
    answered_before: int = 0


class Ledger:
    """The entries of one session by packet identifier. Messages of QoS 0 have none and are not kept here."""

    def __init__(self) -> None:
        self._held: dict[int, Entry] = {}
        self._closed: dict[int, int] = {}
        self._closed_before: dict[int, int] = {}
        self._ended = 0

    def hold(self, entry: Entry) -> None:
        """Keep an entry until it is closed. Whatever had its identifier before is over."""
        incoming = entry.incoming
        if incoming.qos:
            self._held[incoming.mid] = entry
            self._closed.pop(incoming.mid, None)
            self._closed_before.pop(incoming.mid, None)

    def find(self, incoming: Incoming) -> Entry | None:
        """The entry that this is a second copy of."""
        held = self._held.get(incoming.mid) if incoming.dup else None
        if held is None or held.incoming.topic != incoming.topic or held.incoming.payload != incoming.payload:
            return None
        return held

    def is_closed(self, incoming: Incoming) -> bool:
        """Whether this is a second copy of a message done with, over this connection or the one before."""
        if not incoming.dup:
            return False
        told = _print(incoming)
        return told in (self._closed.get(incoming.mid), self._closed_before.get(incoming.mid))

    def close(self, incoming: Incoming) -> None:
        """Done with a message: it was acknowledged, and its answer, if any, is at the broker."""
        if not incoming.qos:
            return
        held = self._held.get(incoming.mid)
        if held is not None and held.incoming is incoming:
            del self._held[incoming.mid]
        self._closed.pop(incoming.mid, None)
        self._closed[incoming.mid] = _print(incoming)
        if len(self._closed) > _REMEMBERED:
            del self._closed[next(iter(self._closed))]

    def disconnected(self, generation: int) -> None:
        """The connection ``generation`` has ended, so that copies may come over the next.

        What was answered before it and not sent again over it will not be:
        the broker had read that acknowledgement, or died.
        """
        if generation <= self._ended:
            return
        self._ended = generation
        if self._closed:
            # A connection over which nothing was done leaves things as they were.
            self._closed_before, self._closed = self._closed, {}
        over = [mid for mid, entry in self._held.items() if entry.reply and entry.incoming.generation < generation]
        for mid in over:
            del self._held[mid]

    def session_lost(self) -> None:
        """The broker has begun a new session: it numbers from one again and repeats nothing."""
        self._held.clear()
        self._closed.clear()
        self._closed_before.clear()


def _print(incoming: Incoming) -> int:
    return hash((incoming.topic, incoming.payload))
