"""Sessions that functions are not told of yet, as most of their kind are over before anyone could want to know.

A device that joins connects with its claim certificate for a tenth of a
second. Telling of each such session, and of its end, was a sixth of all that
a joining cost.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from functions.domain.sessions import Session

# Longer than a joining takes, shorter than anyone looks for a claim certificate that stays.
TOLD_AFTER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Wait:
    session: Session
    done: Callable[[], None]
    timer: asyncio.TimerHandle


class Waiting:
    """Keeps sessions, by client id, until their time has come or they are over.

    The log's line of a session is not done with while it waits here, so a
    crash loses none: the line is read again.

    Args:
        tell: called with a session whose time has come, and with what to call when it is told.
        seconds: how long a session waits.
    """

    def __init__(
        self, tell: Callable[[Session, Callable[[], None]], None], seconds: float = TOLD_AFTER_SECONDS
    ) -> None:
        self._tell = tell
        self._seconds = seconds
        self._waits: dict[str, _Wait] = {}

    def __contains__(self, client_id: str) -> bool:
        return client_id in self._waits

    def add(self, session: Session, done: Callable[[], None]) -> None:
        """Tell of a session later; one under the same client id must have been dropped."""
        timer = asyncio.get_running_loop().call_later(self._seconds, self._time_has_come, session.client_id)
        self._waits[session.client_id] = _Wait(session, done, timer)

    def drop(self, client_id: str) -> bool:
        """A session is over and nobody needs to know; False if it does not wait here."""
        wait = self._waits.pop(client_id, None)
        if wait is None:
            return False
        wait.timer.cancel()
        wait.done()
        return True

    def drop_all(self) -> None:
        """The broker has started anew, and none of them is left."""
        for client_id in tuple(self._waits):
            self.drop(client_id)

    def _time_has_come(self, client_id: str) -> None:
        wait = self._waits.pop(client_id)
        self._tell(wait.session, wait.done)
