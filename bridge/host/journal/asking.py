"""What this host can be asked about its logs, within the allow-list."""

from bridge.host.allowed import Allowed
from bridge.host.asks import Ask
from bridge.host.journal.leases import Leases
from bridge.host.journal.port import Journal
from functions.contract.messages import LogFollow, LogLease, LogPage, LogQuery


class Logs:
    """The logs of the allowed units.

    Args:
        journal: of this host.
        leases: of the logs that are followed.
        allowed: which units they are.
        node: this host's name.
    """

    def __init__(self, journal: Journal, leases: Leases, allowed: Allowed, node: str) -> None:
        self._journal = journal
        self._leases = leases
        self._allowed = allowed
        self._node = node

    def asks(self) -> tuple[Ask, ...]:
        """What can be asked."""
        return (
            Ask(("logs", "read"), LogQuery, self.read),
            Ask(("logs", "follow"), LogFollow, self.follow),
        )

    async def read(self, wanted: LogQuery) -> LogPage:
        """The last lines of an allowed unit that are wanted.

        Raises:
            Denied: the unit is not allowed.
            Fault: as ``Journal.read``.
        """
        self._allowed.require(wanted.unit)
        page = await self._journal.read(wanted)
        return page.model_copy(update={"node": self._node})

    async def follow(self, wanted: LogFollow) -> LogLease:
        """Have the log of an allowed unit told; see ``Leases``.

        Raises:
            Denied: the unit is not allowed.
            Fault: as ``Journal.follow``.
        """
        self._allowed.require(wanted.unit)
        return await self._leases.take(wanted.unit)

    async def close(self) -> None:
        """Follow nothing any more."""
        await self._leases.close()
