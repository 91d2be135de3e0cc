"""A keeper on a lane of a real broker, with the hub's functions in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from bridge.broker.alarms import Alarms
from bridge.broker.keeper import Keeper
from bridge.broker.mosquitto import Files
from bridge.broker.mosquitto import Mosquitto as Admin
from bridge.broker.server import ServerFiles
from bridge.broker.sessions import Sessions
from bridge.broker.sockets import peers
from bridge.mqtt.lanes import Lane, Login
from bridge.mqtt.topics import Lane as Name
from functions.contract.messages import SessionFact
from functions.domain.callers import Caller
from tests.integration.bridge.broker.client import Client
from tests.integration.bridge.mosquitto import PASSWORD, USER, Mosquitto
from tests.unit.bridge.broker.memory import MemoryFunctions

CLIENT_ID = "0123456789abcdef0123456789abcdef"
Join = Callable[..., Awaitable[Client]]


class Functions(MemoryFunctions):
    """Also answers what devices ask, and notes who asked; ``slow`` holds back the answers."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_by: list[tuple[str, str, bytes]] = []
        self.slow = asyncio.Event()
        self.slow.set()

    async def request(
        self, subject: str, payload: bytes, *, caller: Caller, within: float, headers: Mapping[str, str] | None
    ) -> bytes:
        self.asked_by.append((subject, str(caller), payload))
        async with self.news:
            self.news.notify_all()
        await self.slow.wait()
        return b"{}"

    async def publish(self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None) -> None:
        raise AssertionError(f"nothing here is told on {subject}")


class Keeping:
    """A lane and its keeper, which can be started, killed and started again as a new process would be."""

    def __init__(self, broker: Mosquitto) -> None:
        self.broker = broker
        self.functions = Functions()
        self.functions.access = self.functions.access.model_copy(
            update={"crl_pem": (broker.folder / "crl.pem").read_text()}
        )
        self.prefixes: tuple[str, ...] = ("$devicehub",)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start; returns when the first access state is applied and the broker has saved its sessions."""
        self._make()
        self._tasks = [asyncio.create_task(self.lane.run()), asyncio.create_task(self.keeper.run())]
        async with asyncio.timeout(15):
            await self.keeper.ready.wait()

    async def kill(self) -> None:
        """End at once, without a word to the broker."""
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        problems = [found for found in results if not isinstance(found, asyncio.CancelledError | None)]
        self._tasks = []
        await self.lane.queues.drain(0)
        await self.lane.session.close()
        assert not problems, problems

    async def saved(self, times: int = 1) -> None:
        """Wait until this keeper has had the sessions saved so often."""
        async with asyncio.timeout(15):
            # A count has no event to await.
            while self.keeper.to_json()["saves"] < times:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def sign(self, *certificates: Path) -> str:
        """A CRL of these certificates, nowhere but in what this returns."""
        authority = self.broker.authority
        here = authority.folder
        authority.folder = here / "elsewhere"
        authority.folder.mkdir(exist_ok=True)
        try:
            return authority.revoke(list(certificates))
        finally:
            authority.folder = here

    def revoke(self, *certificates: Path, name: str = "EDGB-0001") -> None:
        """Let functions have revoked these certificates, the last of which has this name, and not told it yet."""
        self.functions.cut(name, datetime.now(UTC))
        self.functions.access = self.functions.access.model_copy(update={"crl_pem": self.sign(*certificates)})

    async def apply(self, **access: list[str]) -> None:
        """Change the access state, and wait until the keeper has applied it."""
        self.functions.access = self.functions.access.model_copy(update=access)
        asked = self.functions.asked["access.get"]
        await self.functions.tell()
        async with asyncio.timeout(15):
            # A count has no event to await.
            while asked == self._ended_rounds or self.functions.asked["access.get"] > self._ended_rounds:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def until_told(self, line: str, seconds: float = 10.0) -> None:
        """Wait until functions were told this."""
        await self.functions.until(lambda: line in self.functions.lines, seconds)

    def read_log(self) -> None:
        """Have the keeper read all that the broker has written until now."""
        self.admin.read_log()

    def remember(self) -> None:
        """Let the functions know the open sessions, as the real ones do."""
        self.functions.known = [
            SessionFact(
                client_id=session.client_id,
                common_name=session.common_name,
                address=session.address,
                since=session.since,
            )
            for session in self.sessions.all().values()
        ]

    @property
    def _ended_rounds(self) -> int:
        return int(self.keeper.to_json()["rounds"]) + self._rounds_before

    def _make(self) -> None:
        self._rounds_before = self.functions.asked["access.get"]
        login = Login(self.broker.address, CLIENT_ID, USER, PASSWORD)
        self.lane = Lane(Name.CONTROL, login, self.prefixes, self.functions, order="local-control/1/")
        self.alarms = Alarms(self.functions)
        self.sessions = Sessions("local")
        self.admin = Admin(
            self.lane.session,
            self.sessions,
            prefixes=self.prefixes,
            files=Files(
                self.broker.folder / "crl.pem",
                self.broker.folder / "mosquitto.pid",
                self.broker.folder / "broker.log",
                ServerFiles(self.broker.folder / "ca.crt", self.broker.folder / "server.pem", ("localhost",)),
            ),
            lanes=[self.lane],
            alarms=self.alarms,
        )
        self.keeper = Keeper(
            self.admin,
            self.sessions,
            self.lane.session,
            self.lane,
            self.functions,
            own=USER,
            # Reports are counted here; that one comes again later is not what is tried.
            subscribes_within=600.0,
            alarms=self.alarms,
            peers=partial(peers, self.broker.port),
        )
        self.lane.listen(self.keeper)


@pytest.fixture
async def keeping(mosquitto: Mosquitto) -> AsyncIterator[Keeping]:
    """A keeper, not started yet."""
    made = Keeping(mosquitto)
    yield made
    await made.kill()


@pytest.fixture
async def join(mosquitto: Mosquitto) -> AsyncIterator[Join]:
    """Connects clients; their connections are closed with the test."""
    joined: list[Client] = []

    async def made(identity: tuple[Path, Path], client_id: str, **more: object) -> Client:
        joined.append(await Client.connect(mosquitto, identity, client_id, **more))  # type: ignore[arg-type]
        return joined[-1]

    yield made
    for client in joined:
        await client.drop()
