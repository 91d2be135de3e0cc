"""Messages between the hub and a broker's keeper: sessions, presence, who may do what, the broker's certificate."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from functions.contract.messages.base import Message, Pem, Request, Time


class SessionOpened(Request):
    """A connect line of the broker's log."""

    broker: str
    client_id: str
    common_name: str
    address: str
    at: Time


class SessionClosed(Request):
    """A disconnect line of the broker's log; ``evidence`` as in ``functions.domain.sessions``."""

    broker: str
    client_id: str
    evidence: str
    at: Time


class BrokerRestarted(Request):
    """The broker was started at ``at``: no session from before it lives."""

    broker: str
    at: Time


class BrokerName(Request):
    """Asks about one broker."""

    broker: str


class SessionFact(Message):
    """One open session."""

    client_id: str
    common_name: str
    address: str
    since: datetime


class SessionList(Message):
    """Every open session of a broker."""

    sessions: list[SessionFact]


class PresenceChanged(Message):
    """Event: a device came or went, or nobody can tell any more; ``flapping`` that it will not be told each time."""

    device_id: str
    online: bool
    status: Literal["online", "offline", "unknown"]
    evidence: str
    timestamp: datetime
    flapping: bool = False


class HeardFact(Message):
    """When a device was heard of last, in milliseconds since 1970: by a message, a heartbeat, its last will."""

    message: int | None = None
    heartbeat: int | None = None
    will: int | None = None


class BrokerHeard(Message):
    """Event, every five seconds: a bridge lives, and which devices it heard of since the last one.

    ``reads_log`` says whether the broker's log tells it who comes and goes;
    null where another process knows.
    """

    broker: str
    reads_log: bool | None
    devices: dict[str, HeardFact]


class BrokerChanged(Message):
    """Event: a broker was restarted, or nobody can tell who is connected to it, or one can again.

    It concerns so many devices, of which none is told by itself.
    """

    broker: str
    change: Literal["restarted", "unknown", "known"]
    sessions: int
    timestamp: datetime


class ConnectionFact(Message):
    """A connection of a device; while it is open, when and why it ended is null."""

    connected_at: datetime
    disconnected_at: datetime | None
    address: str | None
    evidence: str | None


class ConnectionList(Message):
    """The last connections of a device, the newest first."""

    connections: list[ConnectionFact]


class Cut(Message):
    """A common name whose sessions from before ``at`` must end."""

    common_name: str
    at: datetime


class Access(Message):
    """What the broker must enforce: claim roles, denied devices, the CRL, sessions to end, and whom to trust.

    ``ca_pem`` is all that it must trust, ``issuer`` the fingerprint of the CA
    that signs; while not ``settled``, the keeper is to tell when the broker takes that one's certificates.
    ``hostnames`` must stand in the broker's certificate besides those that its keeper was started with.
    """

    claims: list[str]
    suspended: list[str]
    crl_number: int
    crl_pem: str
    crl_next_update: datetime | None = None
    cut: list[Cut]
    issuer: str = ""
    ca_pem: str = ""
    settled: bool = True
    hostnames: list[str] = Field(default_factory=list)


class AccessChanged(Message):
    """Event: the keeper should fetch the access state now; ``end`` names who must lose their sessions."""

    end: list[str]


class TrustTaken(Request):
    """Tells the CA (its fingerprint) whose certificates the broker takes by now."""

    issuer: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BrokerCertify(Request):
    """Asks for a broker's server certificate, for a key that stays with it, under the names that devices use."""

    csr_pem: Pem
    hostnames: Annotated[
        list[Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,253}$")]], Field(min_length=1, max_length=200)
    ]


class BridgeName(Request):
    """A bridge that starts; names are stable across its restarts."""

    bridge: str


class BridgeEpoch(Message):
    """The epoch of the orders that this run of the bridge stamps."""

    epoch: int
