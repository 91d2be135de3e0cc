"""The gateway's counters, as Prometheus reads them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from functions.contract.messages import FleetStats

MEDIA_TYPE: Final = CONTENT_TYPE_LATEST

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
# Any word may stand as a method in an event; a series is not made of each.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Counters:
    """Counts of one gateway, in a registry of its own, so that two apps in one process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "devicehub_http_requests",
            "Requests answered, by route and status.",
            ("method", "path", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "devicehub_http_request_seconds",
            "Time from request to answer.",
            ("method", "path"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._answering = Gauge("devicehub_http_answering", "Requests being answered now.", registry=self._registry)
        self._sockets = Gauge("devicehub_sockets", "WebSockets that are open now.", registry=self._registry)
        self._frames = Counter("devicehub_socket_messages", "Messages sent over WebSockets.", registry=self._registry)
        self._gaps = Counter(
            "devicehub_socket_gaps", "Times that a WebSocket's client missed messages.", registry=self._registry
        )
        self.sockets = 0
        self._devices = Gauge("devicehub_devices", "Devices, by presence.", ("status",), registry=self._registry)
        self._parts = Gauge(
            "devicehub_part_up", "Whether a part of the hub answers (1) or not (0).", ("part",), registry=self._registry
        )

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Note an answer; ``path`` is the route's pattern, so that ids make no series of their own."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, path, str(status)).inc()
        self._seconds.labels(method, path).observe(seconds)

    def answering(self, number: int) -> None:
        """Note how many requests are being answered."""
        self._answering.set(number)

    @contextmanager
    def socket(self) -> Iterator[None]:
        """Note that a WebSocket is open."""
        self.sockets += 1
        self._sockets.set(self.sockets)
        try:
            yield
        finally:
            self.sockets -= 1
            self._sockets.set(self.sockets)

    def told(self, messages: int, gaps: int) -> None:
        """Note what a WebSocket's client was sent."""
        self._frames.inc(messages)
        self._gaps.inc(gaps)

    def devices(self, stats: FleetStats) -> None:
        """Note the state of the fleet."""
        told = (("online", stats.online), ("offline", stats.offline), ("never_seen", stats.never_seen))
        for status, count in told:
            self._devices.labels(status).set(count)

    def part(self, name: str, *, is_up: bool) -> None:
        """Note whether a part answers."""
        self._parts.labels(name).set(is_up)

    def page(self, others: Sequence[Metric] = ()) -> bytes:
        """The text that Prometheus reads, with what others count."""
        every = CollectorRegistry()
        every.register(_Told(others))
        return bytes(generate_latest(self._registry) + generate_latest(every))


class _Told(Collector):
    """Metrics that are made already; of those of one name, in one."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics: dict[str, Metric] = {}
        for one in metrics:
            if one.name in self._metrics:
                self._metrics[one.name].samples.extend(one.samples)
            else:
                self._metrics[one.name] = one

    def collect(self) -> Iterator[Metric]:
        """Each once."""
        yield from self._metrics.values()
