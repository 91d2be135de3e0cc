"""Tells whether what the broker gathers while nothing is read of it has come.

The broker acknowledges a message of ours behind all that it had for the
session by then. Such a mark is sent whenever reading begins; reading that was
held up meanwhile begins with another.
"""

from bridge.mqtt.ports import Broker
from functions.domain.faults import Fault, NotFound, Unavailable


class Backlog:
    """What a session's broker gathered, from when reading ended until the mark behind it is acknowledged.

    Args:
        broker: the session.
        marker: a topic that nobody subscribes to.
    """

    def __init__(self, broker: Broker, marker: str) -> None:
        self._broker = broker
        self._marker = marker
        self._number = 0
        self.is_over = False

    def gather(self) -> None:
        """Nothing is read any more: from now on there is one."""
        self._number += 1
        self.is_over = False

    def come(self) -> None:
        """It is read again, perhaps over a new connection; nothing, if there is none."""
        self.gather()
        number = self._number

        def receipt(fault: Fault | None) -> None:
            if number == self._number and (fault is None or isinstance(fault, NotFound)):
                self.is_over = True

        try:
            self._broker.send(self._marker, b"", receipt=receipt)
        except Unavailable:
            # The next connection begins with a mark.
            return
