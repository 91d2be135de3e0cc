"""Who is connected to the broker, as its connect log tells.

A session belongs to the common name of the certificate it was opened with,
which is the identity; the client id is the client's own free choice.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Session:
    """An open session: client id, common name, ``host:port``, when it began, and the broker that holds it."""

    client_id: str
    common_name: str
    address: str
    since: datetime
    broker: str


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a device is online, since when, and on what evidence.

    ``evidence`` is ``connected``, ``disconnected``, ``timeout``, ``replaced``,
    ``ended`` (by the hub) or ``broker-restart``.
    """

    online: bool
    at: datetime
    evidence: str
    address: str = ""
