"""A gateway before functions in process: the real handlers and runtime over a hub in memory."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx
import orjson
from fastapi import FastAPI
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from functions.contract import subjects
from functions.contract.faults import decode_fault
from functions.contract.messages import Message, TokenCreate, TokenCreated, UserCreate, UserFact
from functions.domain.alarms import Alarm, Severity
from functions.domain.callers import SYSTEM, Caller
from functions.domain.certificates import Certificate, Gate, Purpose
from functions.domain.devices import Device
from functions.domain.faults import Fault, Unavailable
from functions.routes import ROUTES
from functions.runtime.calls import answer
from functions.testing import START, MemoryHub, memory_hub
from gateway.app import create_app
from gateway.settings import Bounds, Settings

M = TypeVar("M", bound=Message)

OPERATOR = Caller(SYSTEM, "cli")
DEVICE = "pump-0001"
PASSWORD = "correct horse battery"
SERIAL = "c41f9b1ea0557be0d3a6f1c2984be07d"
ALARM = Alarm("clock-skew", "the broker", Severity.WARNING, "", START, START)
PARTS = frozenset({"functions", "index", "bridge"})


@dataclass(frozen=True)
class Asked:
    """One request that came to the bus."""

    subject: str
    payload: bytes
    caller: str
    headers: Mapping[str, str]


@dataclass
class InProcess:
    """A bus that calls the functions here; what is away can be taken away."""

    hub: MemoryHub
    is_connected: bool = True
    parts: frozenset[str] = PARTS
    has_broker: bool = True
    fault: Fault | None = None
    breaks: Exception | None = None
    asked: list[Asked] = field(default_factory=list)
    heard: list[tuple[str, Callable[[Msg], Awaitable[None]]]] = field(default_factory=list)
    gathered: list[tuple[str, bytes]] = field(default_factory=list)
    told_back: list[Callable[[], None]] = field(default_factory=list)
    quiet: asyncio.Event = field(default_factory=asyncio.Event)

    async def request(
        self,
        subject: str,
        payload: bytes,
        *,
        caller: Caller,
        within: float = 5.0,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        self.asked.append(Asked(subject, payload, str(caller), dict(headers or {})))
        if self.breaks is not None:
            raise self.breaks
        if not self.is_connected:
            raise Unavailable(detail="The bus cannot be reached now.")
        if subject.startswith("$SRV."):
            return self._serve(subject)
        if self.fault is not None:
            raise self.fault
        route = next((one for one in ROUTES if matches(one.full_subject, subject)), None)
        if route is None or ("index" if route.role == "index" else "functions") not in self.parts:
            raise Unavailable(detail="No function answers this call now.")
        stamped = {subjects.CALLER: str(caller), **(headers or {})}
        reply = await answer(route, self.hub, subject, payload, stamped)
        fault = decode_fault(reply.headers, reply.body)
        if fault is not None:
            raise fault
        return reply.body

    async def call(self, subject: str, body: Message, answer: type[M], *, caller: Caller, within: float = 5.0) -> M:
        return answer.model_validate_json(await self.request(subject, body.encode(), caller=caller))

    async def gather(self, subject: str, *, within: float) -> list[bytes]:
        if not self.is_connected:
            raise Unavailable(detail="The bus cannot be reached now.")
        return [answer for subject_, answer in self.gathered if subject_ == subject]

    async def subscribe(self, subject: str, heard: Callable[[Msg], Awaitable[None]]) -> Subscription:
        self.heard.append((subject, heard))
        self.quiet.clear()
        return cast(Subscription, self.heard[-1])

    async def unsubscribe(self, subscription: Subscription) -> None:
        self.heard.remove(cast(Any, subscription))
        if not self.heard:
            self.quiet.set()

    def when_back(self, told: Callable[[], None]) -> None:
        self.told_back.append(told)

    async def say(self, subject: str, data: bytes, headers: dict[str, str] | None = None) -> None:
        """Publish to all who hear the subject."""
        for wanted, heard in list(self.heard):
            if matches(wanted, subject):
                await heard(Msg(cast(Any, None), subject, "", data, headers))

    def on(self, word: str) -> list[Asked]:
        """The requests whose subject holds a word."""
        return [one for one in self.asked if word in one.subject]

    def _serve(self, subject: str) -> bytes:
        """As the service protocol answers, with what the bridge tells of itself."""
        part = subject.rpartition(".")[2]
        if part not in self.parts:
            raise Unavailable(detail="No function answers this call now.")
        lanes = {"control": {"connected": self.has_broker}, "telemetry": {"connected": self.has_broker}}
        return orjson.dumps({"name": part, "endpoints": [{"name": "counters", "data": {"lanes": lanes}}]})


class Clock:
    """Monotonic seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Rig:
    """A gateway and all that stands behind it."""

    app: FastAPI
    bus: InProcess
    clock: Clock

    @property
    def hub(self) -> MemoryHub:
        return self.bus.hub

    def client(self, token: str | None = None, *, address: str = "192.0.2.1") -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(address, 1234))
        return httpx.AsyncClient(transport=transport, base_url="http://hub", headers=headers)

    async def signed_in(self, role: str = "admin", name: str = "", *, address: str = "192.0.2.1") -> httpx.AsyncClient:
        """A browser in which a new user of this role has signed in."""
        name = name or f"a-{role}"
        wish = UserCreate.model_validate({"name": name, "role": role, "password": PASSWORD})
        await self.bus.call("devicehub.users.create", wish, UserFact, caller=OPERATOR)
        async with self.client(address=address) as first:
            answer = await first.post("/api/auth/login", json={"user": name, "password": PASSWORD})
            assert answer.status_code == 200, answer.text
        client = self.client(address=address)
        client.headers["X-Device-Hub"] = "1"
        client.cookies.update(first.cookies)
        return client

    async def token(self, *scopes: str, name: str = "", days: int | None = None) -> str:
        """A new token, named ``app``, ``app-1`` and so on where no name is given."""
        before = len(self.bus.on("tokens.create"))
        name = name or (f"app-{before}" if before else "app")
        made = await self.bus.call(
            "devicehub.tokens.create",
            TokenCreate(name=name, scopes=list(scopes), days=days),
            TokenCreated,
            caller=OPERATOR,
        )
        return made.token


def make_rig(
    *,
    bounds: Bounds | None = None,
    devices: Mapping[str, Device] | None = None,
    webui: Path | None = None,
    **kept: Any,
) -> Rig:
    stores = {"certificates": {SERIAL: make_certificate(SERIAL)}, "alarms": {ALARM.id: ALARM}, **kept}
    hub = memory_hub(devices=devices if devices is not None else {DEVICE: make_device(DEVICE)}, **stores)
    bus, clock = InProcess(hub), Clock()
    settings = Settings(host="127.0.0.1", port=0, nats_url="", nats_password="", bounds=bounds or Bounds(), webui=webui)
    return Rig(create_app(settings, bus, now=clock), bus, clock)


def make_device(id_: str, **facts: Any) -> Device:
    return Device(id=id_, created_at=START, updated_at=START, **facts)


def make_certificate(serial: str, common_name: str = DEVICE, **facts: Any) -> Certificate:
    plain = Certificate(
        serial=serial,
        purpose=Purpose.DEVICE,
        common_name=common_name,
        fingerprint="9b1e" * 16,
        not_before=START,
        not_after=START + timedelta(days=365),
        issued_at=START,
        gate=Gate.TWO_ROUNDS,
        issued_to="claim:factory",
        csr_digest="ef",
        pem="PEM\n",
    )
    return replace(plain, **facts)


def matches(pattern: str, subject: str) -> bool:
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        given = [*given[: len(wanted) - 1], ">"] if len(given) >= len(wanted) else given
    return len(wanted) == len(given) and all(a in ("*", b) for a, b in zip(wanted, given, strict=True))
