"""Reading a whole store past records that cannot be read: nobody else is to suffer from one, and a person must know.

Writes     alarms
"""

from collections.abc import Sequence
from typing import TypeVar

from functions.handlers.alarming import close_alarm, open_alarm
from functions.ports import Hub
from functions.storage import Kept, Spoiled, Store

T = TypeVar("T")

_ALARM = "record-unreadable"
_NAMED = 5


async def read_past(store: Store[T]) -> tuple[dict[str, Kept[T]], list[Spoiled]]:
    """Every value that can be read, by its key, and what cannot."""
    spoiled: list[Spoiled] = []
    found = {key: kept async for key, kept in store.entries(spoiled)}
    return found, spoiled


async def tell_spoiled(hub: Hub, what: str, keys: Sequence[str]) -> None:
    """Have the alarm open while some of these records cannot be read, and closed when all can.

    Args:
        hub: the ports.
        what: they are of, in the plural.
        keys: of those that cannot be read.
    """
    if not keys:
        await close_alarm(hub, _ALARM, what)
        return
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    await open_alarm(hub, _ALARM, what, detail=f"They have the keys {', '.join(sorted(keys)[:_NAMED])}{more}.")
