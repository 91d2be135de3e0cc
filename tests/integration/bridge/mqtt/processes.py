"""The bridge's process between a real broker and a real bus, and what stands in for the functions it asks itself."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import nats.errors
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from infra.stack.permissions import USERS
from tests.integration.bridge.mosquitto import PASSWORD, Mosquitto
from tests.integration.nats_server import NatsServer

CONTROL_ID = "c" * 32
TELEMETRY_ID = "t" * 32


class BridgeNats(NatsServer):
    """A server that knows the bridge, with the permissions of a real hub's."""

    def __init__(self, binary: str, folder: Path) -> None:
        super().__init__(binary, folder)
        allowed = USERS["bridge"]
        permissions = (
            f"publish: {{ allow: {orjson.dumps(allowed.publish).decode()} }},"
            f" subscribe: {{ allow: {orjson.dumps(allowed.subscribe).decode()} }},"
            ' allow_responses: { max: 1, expires: "60s" }'
        )
        user = f"{{ user: bridge, password: bridge, permissions: {{ {permissions} }} }}"
        lines = self._config.read_text().splitlines()
        at = next(number for number, line in enumerate(lines) if "user: admin" in line)
        self._config.write_text("\n".join([*lines[:at], user, *lines[at:]]))

    def shut_out_the_bridge(self) -> None:
        """Change its password while it is connected: the server tells it off and closes the connection."""
        assert self._process is not None
        self._config.write_text(self._config.read_text().replace("password: bridge", "password: another"))
        self._process.send_signal(signal.SIGHUP)


class HubStandIn:
    """Answers what the bridge and its keeper ask on their own behalf."""

    def __init__(self, crl_pem: str) -> None:
        self._crl_pem = crl_pem
        self.epochs: dict[str, int] = {}
        self.asked: list[str] = []
        self.may_apply = asyncio.Event()
        self.may_apply.set()

    async def serve(self, client: Client) -> None:
        await client.subscribe("devicehub.broker.>", cb=self._heard)
        await client.flush()

    async def _heard(self, msg: Msg) -> None:
        if not msg.reply:
            return
        self.asked.append(msg.subject)
        match msg.subject.removeprefix("devicehub.broker."):
            case "bridges.start":
                name = orjson.loads(msg.data)["bridge"]
                self.epochs[name] = self.epochs.get(name, 0) + 1
                answer: dict[str, Any] = {"epoch": self.epochs[name]}
            case "access.get":
                await self.may_apply.wait()
                answer = {"claims": [], "suspended": [], "crlNumber": 1, "crlPem": self._crl_pem, "cut": []}
            case "sessions.list":
                answer = {"sessions": []}
            case _:
                answer = {"done": True}
        await msg._client.publish(msg.reply, orjson.dumps(answer))


class BridgeProcess:
    """``python -m bridge``, started, killed and asked."""

    def __init__(self, mosquitto: Mosquitto, url: str, asking: Client) -> None:
        self._asking = asking
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self.log = ""
        folder = mosquitto.folder
        secrets = {
            "HUB_NATS_PASSWORD_FILE": "bridge",
            "HUB_BROKER_PASSWORD_FILE": PASSWORD,
            "HUB_BRIDGE_CONTROL_ID_FILE": CONTROL_ID,
            "HUB_BRIDGE_TELEMETRY_ID_FILE": TELEMETRY_ID,
        }
        for name, secret in secrets.items():
            (folder / name).write_text(secret)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HUB_NATS_URL": url,
            "HUB_BROKER_URL": f"unix:{mosquitto.address.path}",
            "HUB_BROKER_CRL_FILE": str(folder / "crl.pem"),
            "HUB_BROKER_TRUST_FILE": str(folder / "ca.crt"),
            "HUB_BROKER_SERVER_FILE": str(folder / "server.pem"),
            "HUB_BROKER_HOSTNAMES": "localhost",
            "HUB_BROKER_PID_FILE": str(folder / "mosquitto.pid"),
            "HUB_BROKER_LOG_FILE": str(folder / "broker.log"),
            "HUB_MQTT_PORT": str(mosquitto.port),
            "HUB_LOG_FORMAT": "json",
            **{name: str(folder / name) for name in secrets},
        }

    async def start(self, *arguments: str) -> None:
        """Start it; it need not be ready."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bridge",
            *arguments,
            env=self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._listening = asyncio.create_task(self._listen(self._process))

    async def says(self, words: str, within: float = 10.0) -> None:
        """Wait until its log holds these words."""
        async with asyncio.timeout(within):
            while words not in self.log:
                self._news.clear()
                await self._news.wait()

    async def ready(self, within: float = 10.0) -> None:
        """Wait until it answers as a service."""
        async with asyncio.timeout(within):
            while not await self.is_ready():
                pass

    async def is_ready(self) -> bool:
        """Whether it answers as a service, asked for a moment."""
        try:
            await self._asking.request("$SRV.PING.bridge", timeout=0.1)
        except (nats.errors.TimeoutError, nats.errors.NoRespondersError):
            return False
        return True

    async def count(self) -> dict[str, Any]:
        """Its counters."""
        reply = await self._asking.request("devicehub.bridge.local.counters", timeout=2)
        counted: dict[str, Any] = orjson.loads(reply.data)
        return counted

    def terminate(self) -> None:
        assert self._process is not None
        self._process.terminate()

    async def kill(self) -> None:
        """End it at once; harmless when it has ended."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self.ended()

    async def ended(self, within: float = 10.0) -> int:
        """Wait for its end; gives the exit code."""
        assert self._process is not None
        assert self._listening is not None
        async with asyncio.timeout(within):
            await self._listening
            return await self._process.wait()

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.log += line.decode()
            print(line.decode(), end="")
            self._news.set()
