"""What the other parts count, gathered over the bus when Prometheus asks: each part tells its own, and may be away."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from pydantic import TypeAdapter
from pydantic_core import from_json

from functions.contract import subjects
from functions.contract.messages import CertificatePage, CertificateQuery
from functions.domain.faults import Fault
from gateway.believed import Believed
from gateway.callers import GATEWAY, Bus

# Of this account only: what the server counts of others is not ours to see.
NATS_ACCOUNT: Final = "$SYS.REQ.ACCOUNT.PING.STATZ"
NATS_STORAGE: Final = "$JS.API.INFO"

_WITHIN_SECONDS = 1.0
# To find the nearest end of a certificate sorts the register; it moves slowly.
_EXPIRY_SECONDS = 60.0
_KINDS: Final = ("device", "claim", "server")

_Parts = dict[str, Any]
_LANE_COUNTS: Final = ("received", "repeated", "answered", "retried", "dropped", "published", "reconnects")
_LANE_GAUGES: Final = {"waiting": "waiting", "waitingBytes": "waiting_bytes"}
# By their names in the answers: the name of the metric, what it is, and whether it only grows.
_BROKER: Final = {
    "clients": ("clients", "Clients connected to the broker.", False),
    "messagesReceived": ("messages_received", "MQTT packets that the broker received.", True),
    "messagesSent": ("messages_sent", "MQTT packets that the broker sent.", True),
    "bytesReceived": ("received_bytes", "Bytes that the broker received.", True),
    "bytesSent": ("sent_bytes", "Bytes that the broker sent.", True),
    "publishesDropped": ("publishes_dropped", "Messages that the broker dropped, as a queue was full.", True),
    "messagesStored": ("messages_stored", "Messages that the broker holds.", False),
    "heapBytes": ("heap_bytes", "Memory that the broker uses.", False),
}
_ACCOUNT: Final = {
    "conns": ("connections", "Connections of the hub's account.", False),
    "num_subscriptions": ("subscriptions", "Subscriptions of the hub's account.", False),
    "slow_consumers": ("slow_consumers", "Connections that read too slowly and were closed.", True),
}
_STORAGE: Final = {
    "storage": ("storage_bytes", "Bytes in the hub's streams on disk.", False),
    "memory": ("memory_bytes", "Bytes in the hub's streams in memory.", False),
    "streams": ("streams", "Streams of the hub.", False),
    "consumers": ("consumers", "Consumers of the hub's streams.", False),
}


class Figures:
    """Gathers; what does not answer in a second is left out, and ``devicehub_part_up`` says so.

    Args:
        bus: where the parts are.
        now: monotonic seconds.
    """

    def __init__(self, bus: Bus, now: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._expiry = Believed(self._ask_expiry, lambda _: _EXPIRY_SECONDS, now)

    async def gather(self) -> list[Metric]:
        """The metrics of the others, as they are now."""
        functions, index, bridges, account, storage, expiry = await asyncio.gather(
            self._told("functions"),
            self._told("index"),
            self._told("bridge"),
            self._one(NATS_ACCOUNT),
            self._one(NATS_STORAGE),
            self._nearest(),
        )
        return [
            *_of_functions({"functions": functions, "index": index}),
            *_of_bridges(bridges),
            *_of_nats(next(iter(account.get("data", {}).get("account_statz", ())), {}), storage),
            _of_certificates(expiry),
        ]

    async def _told(self, part: str) -> list[_Parts]:
        """What every process of a part answers."""
        try:
            answers = await self._bus.gather(f"$SRV.STATS.{part}", within=_WITHIN_SECONDS)
        except Fault:
            return []
        return [from_json(answer) for answer in answers]

    async def _one(self, subject: str) -> _Parts:
        try:
            answer = await self._bus.request(subject, b"", caller=GATEWAY, within=_WITHIN_SECONDS)
        except Fault:
            return {}
        told: Any = from_json(answer)
        return told if isinstance(told, dict) else {}

    async def _nearest(self) -> Mapping[str, datetime]:
        try:
            return await self._expiry.read()
        except Fault:
            return {}

    async def _ask_expiry(self) -> Mapping[str, datetime]:
        """When the next good certificate of each kind ends; asked for the gateway itself, whoever reads."""
        pages = await asyncio.gather(
            *(
                self._bus.call(
                    subjects.subject("certificates", "query"),
                    TypeAdapter(CertificateQuery).validate_python(
                        {"kind": kind, "state": "active", "sort": "notAfter", "limit": 1}
                    ),
                    CertificatePage,
                    caller=GATEWAY,
                )
                for kind in _KINDS
            )
        )
        return {
            kind: page.certificates[0].not_after for kind, page in zip(_KINDS, pages, strict=True) if page.certificates
        }


def _of_functions(parts: Mapping[str, list[_Parts]]) -> Iterator[Metric]:
    labels = ("part", "process", "function")
    calls = CounterMetricFamily("devicehub_function_calls", "Calls answered, by function and process.", labels=labels)
    faults = CounterMetricFamily("devicehub_function_faults", "Of these, refused or failed.", labels=labels)
    seconds = CounterMetricFamily("devicehub_function_seconds", "Time that the calls took, in all.", labels=labels)
    processes = GaugeMetricFamily("devicehub_processes", "Processes that answer, by part.", labels=("part",))
    for part, told in parts.items():
        processes.add_metric([part], len(told))
        for one in told:
            for endpoint in one.get("endpoints", ()):
                counts = endpoint.get("data") or {}
                if counts.get("calls"):
                    name = [part, str(one.get("id", "")), str(endpoint.get("subject", ""))]
                    calls.add_metric(name, counts["calls"])
                    faults.add_metric(name, counts["faults"])
                    seconds.add_metric(name, counts["microseconds"] / 1e6)
    yield from (calls, faults, seconds, processes)


def _of_bridges(bridges: list[_Parts]) -> Iterator[Metric]:
    labels = ("broker", "lane")
    counters = {
        name: CounterMetricFamily(f"devicehub_bridge_{name}", f"Messages {name}, by lane.", labels=labels)
        for name in _LANE_COUNTS
    }
    counters["reconnects"].documentation = "Times that a lane lost its connection with the broker."
    gauges = {
        name: GaugeMetricFamily(
            f"devicehub_bridge_{metric}", "What a lane has taken in and not answered.", labels=labels
        )
        for name, metric in _LANE_GAUGES.items()
    }
    families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {**counters, **gauges}
    refused = CounterMetricFamily(
        "devicehub_bridge_refused", "Messages of devices refused, by reason.", labels=(*labels, "reason")
    )
    broker: list[Metric] = []
    for told in (endpoint["data"] for one in bridges for endpoint in one.get("endpoints", ()) if endpoint.get("data")):
        name = str(told.get("broker", ""))
        for lane, counts in told.get("lanes", {}).items():
            for word, family in families.items():
                if word in counts:
                    family.add_metric([name, lane], counts[word])
            for reason, number in counts.get("refused", {}).items():
                refused.add_metric([name, lane, reason], number)
        broker += _plain("broker", _BROKER, told.get("keeper", {}).get("broker", {}), broker=name)
    yield from (*families.values(), refused, *broker)


def _of_nats(account: Mapping[str, Any], storage: Mapping[str, Any]) -> Iterator[Metric]:
    yield from _plain("nats", _ACCOUNT, account)
    for way in ("sent", "received"):
        for unit, number in account.get(way, {}).items():
            if unit in ("msgs", "bytes"):
                text = f"{'Messages' if unit == 'msgs' else 'Bytes'} {way} by the server for the hub's account."
                metric = "messages" if unit == "msgs" else "bytes"
                yield _metric(f"devicehub_nats_{way}_{metric}", text, number, grows=True)
    yield from _plain("nats", _STORAGE, storage)
    if "api" in storage:
        errors = storage["api"].get("errors", 0)
        yield _metric("devicehub_nats_api_errors", "Storage requests that the server refused.", errors, grows=True)


def _of_certificates(expiry: Mapping[str, datetime]) -> Metric:
    family = GaugeMetricFamily(
        "devicehub_certificate_expiry_timestamp_seconds",
        "When the next good certificate of a kind ends, in Unix time.",
        labels=("kind",),
    )
    for kind, end in expiry.items():
        family.add_metric([kind], end.timestamp())
    return family


def _plain(
    prefix: str, names: Mapping[str, tuple[str, str, bool]], told: Mapping[str, Any], **labels: str
) -> Iterator[Metric]:
    for name, (metric, text, grows) in names.items():
        if name in told:
            yield _metric(f"devicehub_{prefix}_{metric}", text, told[name], grows=grows, **labels)


def _metric(name: str, text: str, value: float, *, grows: bool, **labels: str) -> Metric:
    family: type[CounterMetricFamily | GaugeMetricFamily] = CounterMetricFamily if grows else GaugeMetricFamily
    made = family(name, text, labels=tuple(labels))
    made.add_metric(list(labels.values()), value)
    return made
