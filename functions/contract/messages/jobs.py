"""Messages of jobs: the same thing done to many devices, and what became of each."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from functions.contract.messages.base import Message, Request
from functions.contract.messages.devices import TagKey, TagValue
from functions.contract.messages.inventory import DeviceFilter
from functions.domain.jobs import LEAST_RATE, MOST_DEVICES, MOST_RATE
from functions.domain.methods import DEFAULT_TIMEOUT, LEAST_TIMEOUT, MOST_TIMEOUT

JobKindWord = Literal["methods", "twins", "tags"]
JobStateWord = Literal["running", "cancelling", "done", "cancelled"]
ItemStateWord = Literal["waiting", "done", "failed", "cancelled"]
JobDevice = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class JobTarget(DeviceFilter):
    """Which devices a job is for: those named, by id or role, or those meant; one of both must be given.

    ``rate`` is how many devices a second at most; as many as can be where it is not given.
    """

    devices: Annotated[list[JobDevice], Field(min_length=1, max_length=MOST_DEVICES)] | None = None
    rate: Annotated[float, Field(ge=LEAST_RATE, le=MOST_RATE)] | None = None


class MethodJob(JobTarget):
    """Calls a method of each device; ``payload`` and ``timeout`` as in ``MethodCall``."""

    method: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    payload: JsonValue = None
    timeout: Annotated[float, Field(ge=LEAST_TIMEOUT, le=MOST_TIMEOUT)] = DEFAULT_TIMEOUT


class TwinJob(JobTarget):
    """Merges a wish into the desired half of each device's twin."""

    desired: dict[str, Any]


class TagJob(JobTarget):
    """Merges tags into those of each device; null as a value removes one."""

    tags: Annotated[dict[TagKey, TagValue | None], Field(min_length=1, max_length=128)]


class JobQuery(Request):
    """A question for jobs; what is given must all hold. The newest come first."""

    kind: JobKindWord | None = None
    state: JobStateWord | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class JobItemQuery(Request):
    """Asks for a job with some of its devices, in their order; ``state`` leaves out those with another."""

    state: ItemStateWord | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class JobView(Message):
    """A job: how many of its devices wait, are done, failed, or were cancelled.

    ``cancelReason`` says why the hub cancelled it where nobody asked for that.
    """

    id: str
    kind: JobKindWord
    state: JobStateWord
    total: int
    waiting: int
    done: int
    failed: int
    cancelled: int
    method: str | None
    rate: float | None
    by: str
    created_at: datetime
    finished_at: datetime | None
    cancelled_by: str | None
    cancel_reason: str | None
    retry_of: str | None


class JobItem(Message):
    """One device of a job, as it was named, and what became of it.

    ``error`` is the code of what was refused or failed. ``status`` and
    ``payload`` are a device's answer to a method; ``payloadCut`` says that the
    payload was too large to be kept.
    """

    device: str
    state: ItemStateWord
    error: str | None
    message: str | None
    status: int | None
    payload: JsonValue
    payload_cut: bool
    at: datetime | None


class JobDetail(JobView):
    """A job with what it does to each device, and some of its devices; ``matches`` is how many match in all."""

    body: dict[str, Any]
    items: list[JobItem]
    matches: int


class JobPage(Message):
    """A page of jobs, and how many match in all."""

    total: int
    jobs: list[JobView]


class JobProgress(Message):
    """Event: how far a job is, at most once a second and at its end."""

    job_id: str
    state: JobStateWord
    total: int
    done: int
    failed: int
    cancelled: int
