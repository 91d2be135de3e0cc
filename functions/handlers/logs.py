"""Log functions: what the units of a host have written, and are writing.

Subjects   devicehub.logs.read, .follow
Asks       devicehub.host.<node>.logs.read, .logs.follow
"""

from functions.contract.messages import LogFollow, LogLease, LogPage, LogQuery
from functions.domain.services import choose_node
from functions.ports import Call, Hub

# A little longer than a search may take on its host.
_SECONDS = 3.5


async def read(call: Call[LogQuery], hub: Hub) -> LogPage:
    """The last lines of a unit's log that are wanted, newest first.

    Raises:
        NotFound: no such host, none has such a unit, or it has no log.
        Conflict: several hosts have it, and none is named.
        Denied: the unit is not on its host's list.
        Malformed: no line has the cursor.
        Unavailable: the host does not answer, has no journal, or may not read it.
    """
    node = choose_node(hub.hosts.known(), call.body.unit, call.body.node)
    return await hub.hosts.ask(node, ("logs", "read"), call.body, LogPage, within=_SECONDS)


async def follow(call: Call[LogFollow], hub: Hub) -> LogLease:
    """Have a unit's log told as it is written, for as long as the answer says; asked again in time, it goes on.

    Raises:
        Fault: as ``read``.
    """
    node = choose_node(hub.hosts.known(), call.body.unit, call.body.node)
    return await hub.hosts.ask(node, ("logs", "follow"), call.body, LogLease, within=_SECONDS)
