"""Entries of the audit trail that calls cut short between a change and its entry still owe.

A change of one record pledges its entry in the same write (``pledge`` of
``functions.storage.Store``). Who has the trail's index looks at what was
pledged and writes what the trail lacks: the entry under the id that the call
would have written it under.

Reads      the stores that are pledged in, the trail
"""

from datetime import timedelta
from typing import Any, Final

from functions.domain.audit import AuditEntry, AuditWanted
from functions.handlers.auditing import record_all
from functions.ports import Hub
from functions.storage import Store

# No call that could still write it is as old; clocks of workers may differ a little.
_SETTLED_AFTER: Final = timedelta(seconds=40)
# A trail may have dropped what is older: that is not to come back.
_OWED_FOR: Final = timedelta(days=30)
_MILLISECOND: Final = timedelta(milliseconds=1)

# By the names of the Hub's fields.
PLEDGED: Final = (
    "alarms",
    "claim_certificates",
    "credentials",
    "enrolment",
    "groups",
    "settings",
    "setup_codes",
    "tokens",
    "trust",
    "user_sessions",
    "users",
    "whitelist",
)


class Pledges:
    """What was pledged and is not known to be in the trail; it lives as long as the process."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, int]] = {name: {} for name in PLEDGED}
        self._open: dict[str, AuditEntry] = {}

    async def keep(self, hub: Hub) -> None:
        """Write down what was pledged and is not in the trail; for a timer, in as many processes as there are.

        Raises:
            Unavailable: the storage, or the trail is still being read; what is left is done the next time.
        """
        now = hub.clock.now()
        for name, seen in self._seen.items():
            store: Store[Any] = getattr(hub, name)
            self._open |= {one.id: one for one in await store.pledged(seen) if now - one.at < _OWED_FOR}
        for entry in [one for one in self._open.values() if abs(now - one.at) >= _SETTLED_AFTER]:
            if not await _is_kept(hub, entry):
                await record_all(hub, [entry])
            del self._open[entry.id]


async def _is_kept(hub: Hub, entry: AuditEntry) -> bool:
    wanted = AuditWanted(
        action=entry.action, kind=entry.kind, target=entry.target, after=entry.at, before=entry.at + _MILLISECOND
    )
    return any(one.id == entry.id for one in await hub.trails.walk(wanted))
