"""What waits to be sent to one client: never more than it may, whatever comes."""

import asyncio
from collections import deque
from typing import Final

GAP: Final = '{"type":"gap"}'

_MOST_MESSAGES: Final = 1024
_MOST_CHARACTERS: Final = 1024 * 1024


class Listener:
    """A client's queue.

    Messages of topics are dropped when more wait than may, all that wait at
    once, and ``gap`` stands in their place: the client must fetch again what
    it wants to know. Replies are not dropped, as the client asks for each.
    """

    def __init__(self) -> None:
        self.topics: frozenset[str] = frozenset()
        self.gaps = 0
        self.sent = 0
        self._replies: deque[str] = deque()
        self._messages: deque[str] = deque()
        self._characters = 0
        self._some = asyncio.Event()

    def offer(self, frame: str) -> None:
        """Queue a message of a topic."""
        self._characters += len(frame)
        if len(self._messages) >= _MOST_MESSAGES or self._characters > _MOST_CHARACTERS:
            self.miss()
            return
        self._messages.append(frame)
        self._some.set()

    def miss(self) -> None:
        """Say that something was missed, in the place of all that waits."""
        self._messages.clear()
        self._messages.append(GAP)
        self._characters = 0
        self.gaps += 1
        self._some.set()

    def reply(self, frame: str) -> None:
        """Queue an answer, before messages that wait."""
        self._replies.append(frame)
        self._some.set()

    async def take(self) -> str:
        """The next frame, as soon as there is one."""
        while True:
            if self._replies:
                return self._replies.popleft()
            if self._messages:
                frame = self._messages.popleft()
                self._characters = max(0, self._characters - len(frame))
                self.sent += 1
                return frame
            self._some.clear()
            await self._some.wait()
