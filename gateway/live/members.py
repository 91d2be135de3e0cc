"""Which devices are in a group, asked again while somebody wants to know."""

import time
from collections.abc import Callable
from typing import Final

from functions.contract import subjects
from functions.contract.messages import IdPage, IdQuery
from gateway.believed import Believed
from gateway.callers import GATEWAY, Bus

# So long who joins a group, or leaves it, may be taken for what it was.
BELIEVED_SECONDS: Final = 10.0
_MOST_GROUPS: Final = 1000
_SECONDS: Final = 4.5


class Members:
    """The ids of the devices in groups.

    Args:
        bus: where the functions are.
        now: monotonic seconds.
    """

    def __init__(self, bus: Bus, now: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._now = now
        self._groups: dict[str, Believed[frozenset[str]]] = {}

    async def of(self, group: str) -> frozenset[str]:
        """The devices in a group; none where there is no such group.

        Raises:
            Fault: the functions cannot be asked, or cannot say.
        """
        if group not in self._groups:
            if len(self._groups) >= _MOST_GROUPS:
                self._groups.clear()
            self._groups[group] = Believed(lambda: self._ask(group), lambda _: BELIEVED_SECONDS, self._now)
        return await self._groups[group].read()

    async def _ask(self, group: str) -> frozenset[str]:
        found: set[str] = set()
        after: str | None = ""
        while after is not None:
            asked = IdQuery(group=[group], after=after)
            subject = subjects.subject("registry", "ids")
            page = await self._bus.call(subject, asked, IdPage, caller=GATEWAY, within=_SECONDS)
            found.update(page.devices)
            after = page.next
        return frozenset(found)
