"""Messages of questions about many devices: pages, facets, counts, groups."""

from typing import Annotated, Literal

from pydantic import Field

from functions.contract.messages.base import GroupName, Message, Request, Text, Texts, Time
from functions.contract.messages.devices import DeviceView


class DeviceFilter(Request):
    """Which devices are meant; what is given must all hold, and nothing given means every device but the retired.

    ``q`` is a query (the written interface has its grammar); each ``group``
    must have the device; a ``tag`` is ``key=value``, or ``key`` for any value.
    """

    q: Text = ""
    status: Literal["online", "offline", "unknown"] | None = None
    model: Text | None = None
    group: Texts = Field(default=[])
    tag: Texts = Field(default=[])
    last_seen_after: Time | None = None
    last_seen_before: Time | None = None


class RegistryQuery(DeviceFilter):
    """A question to the inventory.

    ``sort`` names fields of ``DeviceView`` with commas between, ``-`` before
    one turns its order round; equals go by id. ``at_least`` names records by
    ``device:revision`` that the answer must have seen, or later ones.
    """

    sort: Text = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    at_least: Texts = Field(default=[])


class IdQuery(DeviceFilter):
    """Asks for the ids of the devices that are meant, as many as may be at once, that come after one."""

    after: Annotated[str, Field(max_length=64)] = ""
    limit: Annotated[int, Field(ge=1, le=10_000)] = 10_000


class IdPage(Message):
    """Ids in order; there are more if ``next`` is one, which is the last of these."""

    devices: list[str]
    next: str | None


class FacetQuery(DeviceFilter):
    """Asks how many of the devices that are meant there are of what."""


class Facets(Message):
    """How many devices there are by what they have; of groups, models and tags at most the 100 that most have.

    A device counts in each of its groups and tags (``key=value``); one without model is not in ``model``.
    """

    total: int
    status: dict[str, int]
    group: dict[str, int]
    model: dict[str, int]
    tag: dict[str, int]


class DevicePage(Message):
    """A page of devices, and how many match in all."""

    devices: list[DeviceView]
    total: int


class FleetQuery(Request):
    """Asks for counts over the fleet; a twin counts as out of sync once it has been so for longer than this."""

    out_of_sync_seconds: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0


class FleetStats(Message):
    """Counts over the fleet; ``total`` is ``online``, ``offline`` and ``neverSeen`` together.

    A device in several groups counts in each; one without model is not in
    ``byModel``. Of groups and models the 1,000 that most devices have are
    given. ``retired`` devices are in no other count.
    """

    total: int
    online: int
    offline: int
    never_seen: int
    by_group: dict[str, int]
    by_model: dict[str, int]
    out_of_sync: int
    retired: int


class GroupQuery(Request):
    """Asks for a page of the groups; ``sort`` names ``group`` or ``device_count``, by name if not given."""

    sort: Text = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class GroupCreate(Request):
    """Makes a group; with a query, those are in it for whom the query holds."""

    group: GroupName
    query: Text | None = None


class GroupUpdate(Request):
    """Gives a group another query; null for none."""

    query: Text | None


class GroupFact(Message):
    """A group: how many devices it has, and its query if it is dynamic; ``wrong`` is why that cannot be answered."""

    group: str
    device_count: int = Field(alias="device_count")
    query: str | None = None
    wrong: str | None = None


class GroupList(Message):
    """A page of the groups, and how many there are in all."""

    total: int
    groups: list[GroupFact]
