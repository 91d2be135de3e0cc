"""What the shim needs of a host, whoever looks after its processes there."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

Source = Literal["systemd", "supervisor"]
State = Literal[
    "active", "reloading", "inactive", "failed", "activating", "deactivating", "maintenance", "refreshing", "unknown"
]


class Verb(StrEnum):
    """What may be asked of a unit."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit; ``restarts`` counts the times that it was started again because it had ended."""

    name: str
    description: str
    state: State
    sub_state: str
    since: datetime | None
    pid: int | None
    memory_bytes: int | None
    restarts: int | None


class Services(Protocol):
    """The units of a host. Every method but ``close`` raises Unavailable while the host's manager cannot be reached."""

    @property
    def source(self) -> Source:
        """Who looks after the units."""
        ...

    async def list(self, names: Sequence[str]) -> list[Unit]:
        """Those of the named units that there are, in this order."""
        ...

    async def get(self, name: str) -> Unit:
        """One unit. Raises NotFound: there is none of this name."""
        ...

    async def act(self, name: str, verb: Verb) -> Unit:
        """Do as asked, and give the unit as it is when that is done; safe to repeat.

        It is cancelled when it takes too long; what was begun goes on then.

        Raises:
            NotFound: there is no such unit.
            Denied: the host does not allow it (``host_refused``), or the name stands for another unit.
            Conflict: it was begun and failed (``job_failed``).
        """
        ...

    def changes(self) -> AsyncGenerator[None, None]:
        """Something may have changed: never ends, and tells many changes at once as one."""
        ...

    async def close(self) -> None:
        """Let go of the host's manager."""
        ...
