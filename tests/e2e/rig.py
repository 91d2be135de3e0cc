"""A whole hub, and the tools of others to meet it with: openssl and mosquitto's clients."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

from functions.contract import bus
from functions.contract.bus import Bus
from functions.domain.callers import SYSTEM, Caller
from tests.ports import free_port

CLI = Caller(SYSTEM, "cli")
COMMAND = str(Path(sys.executable).with_name("devicehub"))
T = TypeVar("T")


@dataclass(frozen=True)
class Identity:
    """A certificate with its key, and the CA to check the broker with."""

    name: str
    ca: Path
    certificate: Path
    key: Path

    @property
    def options(self) -> list[str]:
        return ["--cafile", str(self.ca), "--cert", str(self.certificate), "--key", str(self.key)]


class RunningHub:
    """A hub in a data directory of its own, on ports of its own."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self.mqtt_port = free_port()
        self.nats_port = free_port()
        self.http_port = free_port()
        self.environ = {
            **os.environ,
            "HUB_DATA_DIR": str(data),
            "HUB_MQTT_LISTEN": f"127.0.0.1:{self.mqtt_port}",
            "HUB_NATS_LISTEN": f"127.0.0.1:{self.nats_port}",
            "HUB_HTTP_LISTEN": f"127.0.0.1:{self.http_port}",
            "HUB_HOSTNAMES": "localhost,127.0.0.1",
            **settings,
        }

    def up(self) -> None:
        done = self.cli("up", "--detach", timeout=90, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{self.tails()}"

    def down(self) -> None:
        done = self.cli("down", timeout=60, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{self.tails()}"

    def tails(self) -> str:
        """The last lines of each part's log: what a failed test needs to be understood."""
        logs = sorted((self.data / "log").glob("*")) if (self.data / "log").is_dir() else []
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in logs)

    def cli(self, *words: str, timeout: float = 30, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [COMMAND, *words], env=self.environ, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check:
            assert done.returncode == 0, f"devicehub {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *words: str) -> Any:
        return json.loads(self.cli(*words, "--json").stdout)

    @property
    def claim(self) -> Identity:
        at = self.data / "claims" / "default"
        return Identity("claim-default", at / "ca.crt", at / "provisioning.crt", at / "provisioning.key")

    def device(self, name: str, out: Path) -> Identity:
        """A device registered by the operator, with its bundle."""
        self.cli("device", "create", name, "--out", str(out))
        return Identity(name, out / "ca.crt", out / f"{name}.crt", out / f"{name}.key")

    # --- Processes

    def processes(self, part: str) -> list[psutil.Process]:
        """The processes of one part, found by what they run: nothing but this hub's."""
        marks = {
            "functions": ("functions", "worker"),
            "index": ("functions", "index"),
            "bridge": ("bridge", None),
            "gateway": ("gateway", None),
            "nats": ("nats-server", None),
            "mosquitto": ("mosquitto", None),
        }
        word, role = marks[part]
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.data) not in json.dumps(process.environ()) + " ".join(process.cmdline()):
                    continue
                line = process.cmdline()
                runs = any(Path(piece).name == word for piece in line[:4])
                if runs and (role is None or process.environ().get("HUB_FUNCTIONS_ROLE", "worker") == role):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found

    def kill(self, part: str) -> None:
        victims = self.processes(part)
        assert victims, f"no process of {part} is running"
        for victim in victims:
            victim.send_signal(signal.SIGKILL)

    # --- The bus

    async def bus(self, user: str = "cli") -> tuple[Bus, Any]:
        password = (self.data / "secrets" / f"nats-{user}").read_text().strip()
        client = await bus.connect(f"nats://127.0.0.1:{self.nats_port}", user=user, password=password)
        return Bus(client), client

    # --- MQTT, with mosquitto's own clients

    def address(self, who: Identity, client_id: str) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self.mqtt_port), "-i", client_id, "-q", "1", *who.options]

    def ask(
        self,
        who: Identity,
        topic: str,
        payload: str,
        answer: str,
        *,
        client_id: str = "",
        wait: int = 15,
        version: str = "5",
    ) -> dict[str, Any]:
        """Publish and wait for one answer, in one session."""
        done = subprocess.run(
            [
                "mosquitto_rr",
                *self.address(who, client_id or who.name),
                "-V",
                version,
                "-W",
                str(wait),
                "-t",
                topic,
                "-e",
                answer,
                "-m",
                payload,
            ],
            capture_output=True,
            text=True,
            timeout=wait + 15,
            check=False,
        )
        assert done.returncode == 0, f"no answer on {answer}: {done.stderr}\n{self.tails()}"
        return dict(json.loads(done.stdout))

    def publish(self, who: Identity, topic: str, payload: str | bytes, *, client_id: str = "") -> int:
        """Publish one message; the exit status of the client."""
        content = payload.encode() if isinstance(payload, str) else payload
        return subprocess.run(
            ["mosquitto_pub", *self.address(who, client_id or who.name), "-t", topic, "-s"],
            input=content,
            capture_output=True,
            timeout=20,
            check=False,
        ).returncode

    def listen(self, who: Identity, *topics: str, client_id: str = "", wait: int = 15, count: int = 1) -> "Listener":
        """Subscribe; returns once the broker has granted the subscription."""
        # To a pipe it would say nothing until its buffer is full.
        command = [
            "stdbuf",
            "-oL",
            "mosquitto_sub",
            *self.address(who, client_id or who.name),
            "-d",
            "-W",
            str(wait),
            "-C",
            str(count),
        ]
        for topic in topics:
            command += ["-t", topic]
        return Listener(subprocess.Popen([*command, "-F", ">%t %p"], stdout=subprocess.PIPE, text=True))


class Listener:
    """A running mosquitto_sub."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self._lines = process.stdout
        for line in self._lines:
            if line.startswith("Subscribed"):
                return
        raise AssertionError("the broker granted no subscription")

    def next(self) -> tuple[str, dict[str, Any]] | None:
        """The next message as topic and JSON, or None when the time is over or the broker ended the session."""
        for line in self._lines:
            if line.startswith(">"):
                topic, _, payload = line[1:].partition(" ")
                return topic, json.loads(payload)
        return None

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            # Told to end in the moment in which it ends by itself, it may wait for itself for ever.
            self._process.kill()
            self._process.wait()
        self._lines.close()


def make_csr(directory: Path, name: str, *, key: str = "ec:P-256", extra: tuple[str, ...] = ()) -> tuple[Path, str]:
    """Key and CSR by openssl; gives the key's path and the CSR's text."""
    kind, _, size = key.partition(":")
    directory.mkdir(parents=True, exist_ok=True)
    key_path = directory / f"{name}.key"
    options = ["-pkeyopt", f"ec_paramgen_curve:{size}"] if kind == "ec" else []
    algorithm = f"rsa:{size}" if kind == "rsa" else kind
    done = subprocess.run(
        [
            "openssl",
            "req",
            "-new",
            "-nodes",
            "-newkey",
            algorithm,
            *options,
            "-keyout",
            str(key_path),
            "-subj",
            f"/CN={name}",
            *extra,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return key_path, done.stdout


def keep(directory: Path, name: str, key: Path, answer: dict[str, Any]) -> Identity:
    """Write what onboarding answered, as a device would."""
    certificate, ca = directory / f"{name}.crt", directory / f"{name}-ca.crt"
    certificate.write_text(answer["certPem"])
    ca.write_text(answer["caChainPem"])
    return Identity(name, ca, certificate, key)


async def until(condition: Callable[[], Awaitable[T]], *, seconds: float = 20.0) -> T:
    """Ask again until the condition gives something true."""
    async with asyncio.timeout(seconds):
        # Another process has no event to await.
        while not (found := await condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return found
