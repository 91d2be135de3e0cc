"""Messages of metrics: what the hosts that the hub lives on are busy with.

Bytes are bytes, not kibibytes; a rate is the mean since the sample before;
percent are of what there is: 100 is all processors of the host busy, or all
memory used. ``null`` is what this host cannot tell.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from functions.contract.messages.base import Message, Request, Time

_Node = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
StepSeconds = Literal[10, 60]


class MetricsQuery(Request):
    """Asks for what hosts are busy with now; of one host, or of all where none is named."""

    node: _Node | None = None


class MetricsHistoryQuery(Request):
    """Asks for what one host was busy with; it need be named only where there are several.

    ``step`` is in seconds: 10 is kept for an hour, 60 for a day. Without it,
    the finest that reaches back to ``since`` is given; without ``since``, all.
    """

    node: _Node | None = None
    since: Time | None = None
    step: StepSeconds | None = None


class CpuUse(Message):
    """Processors: in all and of each, in percent; ``load`` is the mean of those waiting over 1, 5 and 15 minutes."""

    percent: float
    cores: list[float]
    load: list[float]


class MemoryUse(Message):
    """Memory; ``available`` is what can be had without swapping, and what is used is all but that."""

    total_bytes: int
    used_bytes: int
    available_bytes: int
    swap_total_bytes: int
    swap_used_bytes: int


class DiskUse(Message):
    """A file system; ``percent`` is of what others than root may fill."""

    mount: str
    device: str
    file_system: str
    total_bytes: int
    used_bytes: int
    free_bytes: int
    percent: float
    read_bytes_per_second: float | None
    written_bytes_per_second: float | None


class NetworkUse(Message):
    """A network interface; what it counts began with the host."""

    name: str
    is_up: bool
    received_bytes: int
    sent_bytes: int
    received_bytes_per_second: float | None
    sent_bytes_per_second: float | None
    errors: int
    dropped: int


class Temperature(Message):
    """What a sensor of the host reads."""

    sensor: str
    celsius: float


class PartUse(Message):
    """A service with all its processes; ``percent`` is of one processor, memory is what is resident."""

    unit: str
    processes: int
    percent: float | None
    memory_bytes: int


class HostSample(Message):
    """What a host is busy with at a time.

    ``clockSynchronised`` is whether its clock follows a time server, as the
    kernel was told. Of disks, interfaces and sensors the first 32 are given.
    """

    node: str
    at: datetime
    uptime_seconds: int
    clock_synchronised: bool | None
    cpu: CpuUse
    memory: MemoryUse
    disks: list[DiskUse]
    networks: list[NetworkUse]
    temperatures: list[Temperature]
    parts: list[PartUse]


class HostMetrics(Message):
    """What a host told when it was asked just now; no sample, and a problem, where it did not answer."""

    node: str
    sample: HostSample | None
    problem: str | None


class MetricsList(Message):
    """What each host is busy with, by node."""

    hosts: list[HostMetrics]


class MetricsSeries(Message):
    """One figure over time: the mean and the largest of each step; null where nothing was measured."""

    mean: list[float | None]
    max: list[float | None]


class MetricsHistory(Message):
    """What a host was busy with, oldest first; step ``n`` of every series began at ``times[n]``.

    A shim keeps this in its memory: it begins anew when the shim does, at
    ``beginsAt``. A step in which nothing was measured is left out.
    """

    node: str
    begins_at: datetime
    step_seconds: StepSeconds
    times: list[datetime]
    series: dict[str, MetricsSeries]
