"""Messages of services: the units that the hub lives on, and the hosts they run on."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from functions.contract.messages.base import Message, Request, Text

# What systemd takes for the name of a unit: no path, no blank, nothing that a shell or a subject would read.
UnitName = Annotated[str, Field(max_length=255, pattern=r"^[A-Za-z0-9:_.\\@-]+$")]
NodeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
UnitState = Literal[
    "active", "reloading", "inactive", "failed", "activating", "deactivating", "maintenance", "refreshing", "unknown"
]
VerbWord = Literal["start", "stop", "restart"]
SourceWord = Literal["systemd", "supervisor"]


class ServiceQuery(Request):
    """A question for services; of one host, or of all where none is named."""

    node: NodeName | None = None


class ServiceNamed(Request):
    """Names a service; the host need be named only where several have one of that name."""

    unit: UnitName
    node: NodeName | None = None


class ServiceView(Message):
    """A unit as its host tells of it.

    ``verbs`` are those that may be asked of it. ``restarts`` counts the times
    that it was started again because it had ended. Where the host does not
    answer, ``problem`` says so, the state is ``unknown``, and ``seenAt`` is
    when the rest was last so.
    """

    node: str
    unit: str
    description: str
    state: UnitState
    sub_state: str
    since: datetime | None
    pid: int | None
    memory_bytes: int | None
    restarts: int | None
    version: str | None
    verbs: list[VerbWord]
    seen_at: datetime
    problem: str | None


class HostView(Message):
    """A host that the hub lives on; ``lost`` when nothing has been heard of it since ``seenAt``."""

    node: str
    source: SourceWord
    version: str
    started_at: datetime
    seen_at: datetime
    lost: bool
    problem: str | None


class ServiceList(Message):
    """The services by node and unit, and the hosts by node."""

    services: list[ServiceView]
    hosts: list[HostView]


class ServiceActed(Message):
    """What came of a verb: ``done`` when its job has ended, ``begun`` where the unit itself carries the answer."""

    verb: VerbWord
    result: Literal["done", "begun"]
    service: ServiceView


class HostHere(Message):
    """Event, and a host's answer: who it is, and its units; ``problem`` where it cannot know of them now."""

    node: NodeName
    source: SourceWord
    version: str
    started_at: datetime
    services: list[ServiceView]
    problem: str | None
    leaving: bool


class UnitNamed(Request):
    """What a host is asked of one unit."""

    unit: UnitName
    caller: Text = ""
