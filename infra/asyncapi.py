"""The hub's messages described for machines (AsyncAPI 3.0): over NATS, MQTT and the WebSocket.

Made of the tables that the parts work by, which no single part knows all of:
the routes, the bridge's topics and the gateway's live topics. The description
is the hub's own: it receives what others ask, and sends what they may hear.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, get_args, get_type_hints

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bridge.mqtt import topics as mqtt
from functions.contract import messages as m
from functions.contract.subjects import MQTT_PREFIX, ROOT
from functions.domain.callers import APP
from functions.route import Route
from gateway.live import sayings
from gateway.live.topics import TOPICS
from infra.stack.permissions import HEARD_BY_INTEGRATIONS

VERSION: Final = "3.0.0"

# What is told on the bus, below the root; None is any JSON. A test holds it against the written interface.
EVENTS: Final[Mapping[str, type[BaseModel] | None]] = {
    "devices.*.twin.update.delta": m.TwinDelta,
    "devices.*.twin.update.documents": m.TwinDocuments,
    "devices.*.twin.update.reached": m.TwinReached,
    "devices.*.presence": m.PresenceChanged,
    "devices.*.swapped": m.DeviceSwapped,
    "devices.*.methods.*.request": m.MethodRequest,
    "devices.*.methods.*.response": m.MethodResponse,
    "devices.*.messages.devicebound": None,
    "broker.changed": m.BrokerChanged,
    "broker.heard": m.BrokerHeard,
    "broker.access.changed": m.AccessChanged,
    "alarms.changed": m.AlarmChanged,
    "sessions.changed": m.SessionsChanged,
    "jobs.*.progress": m.JobProgress,
    "hosts.wanted": m.Nothing,
    "host.*.here": m.HostHere,
    "host.*.units.changed": m.ServiceView,
    "host.*.logs.of.*": m.LogLines,
    "host.*.metrics.sampled": m.HostSample,
    "audit.recorded": m.AuditRecorded,
    "onboarding.*": m.OnboardingStep,
    "stored.telemetry.*.*": None,
    "stored.events.*.*.*": None,
}

# What other parts answer: the request and the reply.
SERVED: Final[Mapping[str, tuple[type[BaseModel] | None, type[BaseModel] | None]]] = {
    "http.event": (None, None),
    "bridge.*.counters": (m.Nothing, None),
    "host.*.units.list": (m.Nothing, m.HostHere),
    "host.*.logs.read": (m.LogQuery, m.LogPage),
    "host.*.logs.follow": (m.LogFollow, m.LogLease),
    "host.*.metrics": (m.Nothing, m.HostSample),
    "host.*.metrics.history": (m.MetricsHistoryQuery, m.MetricsHistory),
    "host.*.unit.get": (m.UnitNamed, m.ServiceView),
    "host.*.unit.start": (m.UnitNamed, m.ServiceActed),
    "host.*.unit.stop": (m.UnitNamed, m.ServiceActed),
    "host.*.unit.restart": (m.UnitNamed, m.ServiceActed),
}

_ANY: Final = "AnyJson"
_FAULT: Final = "Fault"
_SAID: Final = (
    sayings.Subscribe,
    sayings.Unsubscribe,
    sayings.CallMethod,
    sayings.SendMessage,
    sayings.Ping,
    sayings.Resume,
)
# What a token of a subject is called after the one before it.
_CALLED: Final = {"devices": "device", "twins": "device", "methods": "method", "events": "type", "jobs": "job"}
_ABOUT: Final = """What a Device Hub hears and tells over NATS, MQTT and its WebSocket. Bodies are JSON in camelCase,
times in ISO 8601 and UTC. A refusal has the headers Nats-Service-Error and Nats-Service-Error-Code, and
the body of Fault. Of an application each function needs the scope in x-scope; x-callers names who else may call."""


def document(routes: Iterable[Route], *, version: str) -> dict[str, Any]:
    """The description of a hub with these functions, which are its own and those of other packages."""
    book = _Book()
    for route in routes:
        _function(book, route)
    for subject, (asked, answer) in SERVED.items():
        channel = book.channel(f"{ROOT}.{subject}", "nats", [book.message(asked)])
        book.operation("receive", channel, "Answered by a part.", **book.answered(channel, [book.message(answer)]))
    for subject, body in EVENTS.items():
        scope = HEARD_BY_INTEGRATIONS.get(f"{ROOT}.{subject}")
        channel = book.channel(f"{ROOT}.{subject}", "nats", [book.message(body)])
        book.operation("send", channel, f"Told on {ROOT}.{subject}.", **({"x-scope": str(scope)} if scope else {}))
    replies = {route.subject: _reply(route.handler) for route in routes}
    bodies = {route.subject: route.body for route in routes}
    for row in mqtt.ROWS:
        _topic(book, row, bodies, replies)
    for told in mqtt.OUTBOUND:
        channel = book.channel(
            f"{MQTT_PREFIX}/{told.subject.replace('.', '/')}", "mqtt", [book.message(EVENTS[told.subject])]
        )
        book.operation("send", channel, "Sent to one device.")
    _socket(book)
    return {
        "asyncapi": VERSION,
        "info": {"title": "Device Hub", "version": version, "description": _ABOUT},
        "defaultContentType": "application/json",
        "servers": _servers(),
        **book.pages(),
    }


class _Book:
    """Channels, operations and components as they come together."""

    def __init__(self) -> None:
        self._channels: dict[str, Any] = {}
        self._operations: dict[str, Any] = {}
        self._messages: dict[str, Any] = {}
        self._models: dict[str, type[BaseModel]] = {}
        self._schemas: dict[str, Any] = {_ANY: {"description": "Any JSON."}, _FAULT: _fault()}

    def message(self, body: type[BaseModel] | None) -> str:
        """The name of the message of a model; None is any JSON."""
        name = _ANY if body is None else body.__name__
        if body is not None:
            self._models[name] = body
        return self.written(name, {"$ref": f"#/components/schemas/{name}"})

    def written(self, name: str, payload: Mapping[str, Any]) -> str:
        """The name of a message with a schema of its own."""
        self._messages[name] = {"name": name, "payload": payload}
        return name

    def channel(self, address: str | None, server: str, told: Iterable[str], key: str = "") -> str:
        """The key of a channel, whose address has ``*`` or ``+`` for names."""
        filled, names = _named(address) if address is not None else (None, [])
        key = key or _key(f"{server}.{address}")
        one: dict[str, Any] = {
            "address": filled,
            "servers": [{"$ref": f"#/servers/{server}"}],
            "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in told},
        }
        if names:
            one["parameters"] = {name: {"description": "1 to 64 of [A-Za-z0-9_-]."} for name in names}
        self._channels[key] = one
        return key

    def operation(self, action: str, channel: str, summary: str, **more: Any) -> None:
        """What the hub does on a channel."""
        told = [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in self._channels[channel]["messages"]]
        self._operations[f"{action}-{channel}"] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": summary,
            "messages": told,
            **more,
        }

    def answered(self, channel: str, told: Iterable[str], server: str = "nats") -> dict[str, Any]:
        """The reply of an operation: on an address that only the request names."""
        key = self.channel(
            None, server, [*told, self.written(_FAULT, {"$ref": f"#/components/schemas/{_FAULT}"})], f"{channel}-reply"
        )
        return {"reply": {"address": {"location": "$message.header#/reply"}, "channel": {"$ref": f"#/channels/{key}"}}}

    def pages(self) -> dict[str, Any]:
        """All of it."""
        wanted = [(model, "validation") for model in self._models.values()]
        _, found = models_json_schema(wanted, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
        return {
            "channels": self._channels,
            "operations": self._operations,
            "components": {"messages": self._messages, "schemas": {**found.get("$defs", {}), **self._schemas}},
        }


def _function(book: _Book, route: Route) -> None:
    channel = book.channel(route.full_subject, "nats", [book.message(route.body)])
    first = (route.handler.__doc__ or "").strip().partition("\n")[0]
    facts: dict[str, Any] = {
        "x-callers": [str(kind.name).lower() for kind in route.allow],
        "x-within-seconds": route.within,
    }
    if route.allow & APP:
        facts["x-scope"] = str(route.scope)
    book.operation("receive", channel, first, **facts, **book.answered(channel, [book.message(_reply(route.handler))]))


def _topic(
    book: _Book,
    row: mqtt.Row,
    bodies: Mapping[str, type[BaseModel]],
    replies: Mapping[str, type[BaseModel]],
) -> None:
    subject = row.path.replace("/", ".").replace("+", "*")
    body = bodies.get(subject, EVENTS.get(subject))
    channel = book.channel(f"{MQTT_PREFIX}/{row.path}", "mqtt", [book.message(body)])
    book.operation("receive", channel, "Published by a device.")
    if row.accepts:
        accepted = book.channel(f"{MQTT_PREFIX}/{row.answers}/accepted", "mqtt", [book.message(replies[subject])])
        book.operation("send", accepted, "Told to the device once it is durable.")
    if row.answers:
        fault = book.written(_FAULT, {"$ref": f"#/components/schemas/{_FAULT}"})
        rejected = book.channel(f"{MQTT_PREFIX}/{row.answers}/rejected", "mqtt", [fault])
        book.operation("send", rejected, "Told to the device where it is refused.")


def _socket(book: _Book) -> None:
    """The WebSocket: what clients say, and the frames of each topic."""
    said = book.channel("/ws", "websocket", [book.message(one) for one in _SAID], "websocket-said")
    book.operation("receive", said, "Said by a client.")
    told = []
    for topic in TOPICS.values():
        subject = topic.subjects[0].removeprefix(f"{ROOT}.")
        body = topic.model or EVENTS.get(subject)
        data = {"$ref": f"#/components/schemas/{book.message(body)}"}
        frame = {
            "type": "object",
            "required": ["type", "topic", "seq", "data"],
            "properties": {
                "type": {"const": "message"},
                "topic": {"const": topic.name},
                "deviceId": {"type": ["string", "null"]},
                "seq": {"type": "integer"},
                "timestamp": {"type": "string", "format": "date-time"},
                "data": data,
            },
        }
        told.append(book.written(f"Live-{topic.name}", frame))
    heard = book.channel("/ws", "websocket", told, "websocket-told")
    book.operation("send", heard, "Told to a client that subscribed to the topic.")


def _servers() -> dict[str, Any]:
    hub = {"variables": {"hub": {"default": "localhost", "description": "The address of the hub."}}}
    return {
        "nats": {"host": "{hub}:4222", "protocol": "nats", "description": "Credentials: nats-credentials.", **hub},
        "mqtt": {"host": "{hub}:8883", "protocol": "secure-mqtt", "description": "Mutual TLS.", **hub},
        "websocket": {"host": "{hub}:8080", "protocol": "ws", "description": "/ws?token=TOKEN, or /api/ws.", **hub},
    }


def _reply(handler: Any) -> type[BaseModel]:
    declared = get_type_hints(handler)["return"]
    kind: type[BaseModel] = next(iter(get_args(declared)), declared)
    return kind


def _named(address: str) -> tuple[str, list[str]]:
    """An address with a name in the place of each wildcard, and the names."""
    mark = "/" if "/" in address else "."
    filled: list[str] = []
    names: list[str] = []
    for token in address.split(mark):
        if token in ("*", "+"):
            name = _CALLED.get(filled[-1], "shard" if filled[-2:-1] == ["stored"] else "name")
            name = "device" if filled[-1:] == ["{shard}"] else name
            name = f"{name}{len(names) + 1}" if name in names else name
            names.append(name)
            filled.append(f"{{{name}}}")
        else:
            filled.append(token)
    return mark.join(filled), names


def _key(text: str) -> str:
    return "-".join(_words(text))


def _words(text: str) -> Iterator[str]:
    for word in re.split(r"[./$]", text):
        if word:
            yield "_" if word in ("*", "+") else word


def _fault() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["error", "message", "code"],
        "properties": {
            "error": text,
            "message": text,
            "code": {"type": "integer"},
            "timestamp": text,
            "fields": {"type": "object"},
        },
    }
