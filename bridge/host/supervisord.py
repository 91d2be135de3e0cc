"""The units of a local stack: the processes that ``supervisor`` looks after (``bridge.host.ports.Services``)."""

import asyncio
import http.client
import os
import signal
import xmlrpc.client
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil

from bridge.host import rpc
from bridge.host.ports import Source, State, Unit, Verb
from functions.domain.faults import Conflict, NotFound, Reason, Unavailable

_LOOK_SECONDS = 1.0
_JOB_LOOK_SECONDS = 0.1

# Of supervisor.xmlrpc.Faults.
_BAD_NAME, _ALREADY_STARTED, _NOT_RUNNING = 10, 60, 70

_STATES: Final[dict[str, tuple[State, str]]] = {
    "RUNNING": ("active", "running"),
    "STARTING": ("activating", "start"),
    "BACKOFF": ("activating", "auto-restart"),
    "STOPPING": ("deactivating", "stop"),
    "STOPPED": ("inactive", "dead"),
    "EXITED": ("inactive", "exited"),
    "FATAL": ("failed", "failed"),
    "UNKNOWN": ("unknown", "unknown"),
}
_DESCRIPTIONS: Final = {
    "nats": "NATS server",
    "mosquitto": "MQTT broker",
    "functions": "Functions of the hub",
    "index": "Index of devices, certificates and telemetry",
    "bridge": "Bridge between MQTT and the bus",
    "host": "Shim of this host",
    "gateway": "HTTP and WebSocket",
}


class Supervised:
    """The processes of one supervisor.

    Args:
        socket: where it takes orders.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._starts: dict[str, int] = {}
        self._restarts: dict[str, int] = {}

    @property
    def source(self) -> Source:
        """``supervisor``."""
        return "supervisor"

    async def list(self, names: Sequence[str]) -> list[Unit]:
        """Those of the named processes that there are, in this order."""
        found = {str(told["name"]): told for told in await self._call("getAllProcessInfo")}
        return [self._unit(found[name]) for name in names if name in found]

    async def get(self, name: str) -> Unit:
        """One process. Raises NotFound: there is none of this name."""
        return self._unit(await self._info(name))

    async def act(self, name: str, verb: Verb) -> Unit:
        """Do as asked, and give the process as it is then.

        Raises:
            NotFound: there is no such process.
            Conflict: it could not be started (``job_failed``).
        """
        told = await self._info(name)
        if verb is Verb.RESTART and told["pid"] == os.getpid():
            # Who stops itself by order is not there to order the start; who ends by itself is started again.
            signal.raise_signal(signal.SIGTERM)
            return self._unit(told)
        if verb is not Verb.START:
            await self._order("stopProcess", told, but=_NOT_RUNNING)
            told = await self._until(name, "STOPPED", "EXITED", "FATAL")
        if verb is not Verb.STOP:
            await self._order("startProcess", told, but=_ALREADY_STARTED)
            told = await self._until(name, "RUNNING", "BACKOFF", "FATAL", "EXITED")
            # This start was ordered.
            self._starts[name] = int(told["start"])
            if told["statename"] != "RUNNING":
                why = str(told["spawnerr"]) or "it ended again at once"
                raise Conflict(Reason.JOB_FAILED, f"{name} could not be started: {why}. Its log says more.")
        return self._unit(told)

    async def changes(self) -> AsyncGenerator[None, None]:
        """It tells nobody, so it is looked at once a second."""
        before = None
        while True:
            now = [(told["name"], told["statename"], told["pid"]) for told in await self._call("getAllProcessInfo")]
            if now != before:
                before = now
                yield None
            await asyncio.sleep(_LOOK_SECONDS)

    async def close(self) -> None:
        """Nothing is held between two calls."""

    async def _until(self, name: str, *states: str) -> dict[str, Any]:
        """A process when it has come to one of these states; the supervisor tells nobody, so it is looked at."""
        told = await self._info(name)
        while told["statename"] not in states:
            await asyncio.sleep(_JOB_LOOK_SECONDS)
            told = await self._info(name)
        return told

    async def _info(self, name: str) -> dict[str, Any]:
        for told in await self._call("getAllProcessInfo"):
            if told["name"] == name:
                found: dict[str, Any] = told
                return found
        raise NotFound(Reason.UNKNOWN_UNIT, f"The supervisor has no process {name}.")

    async def _order(self, method: str, told: dict[str, Any], *, but: int) -> None:
        try:
            await self._call(method, f"{told['group']}:{told['name']}", False)
        except xmlrpc.client.Fault as problem:
            if problem.faultCode == _BAD_NAME:
                raise NotFound(Reason.UNKNOWN_UNIT) from problem
            if problem.faultCode != but:
                raise Conflict(Reason.JOB_FAILED, f"The supervisor says: {problem.faultString}.") from problem

    async def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return await asyncio.to_thread(rpc.call, self._socket, f"supervisor.{method}", *arguments)
        except (OSError, http.client.HTTPException) as problem:
            raise Unavailable(detail=f"The supervisor does not answer on {self._socket}.") from problem
        except xmlrpc.client.Fault as problem:
            if "SHUTDOWN_STATE" in problem.faultString:
                raise Unavailable(detail="The supervisor is stopping.") from problem
            raise

    def _unit(self, told: dict[str, Any]) -> Unit:
        name, pid, start = str(told["name"]), int(told["pid"]), int(told["start"])
        if pid:
            known = self._starts.setdefault(name, start)
            if known != start:
                self._starts[name] = start
                self._restarts[name] = self._restarts.get(name, 0) + 1
        state, sub_state = _STATES[told["statename"]]
        if told["statename"] == "EXITED" and told["exitstatus"]:
            state = "failed"
        since = start if pid else int(told["stop"])
        return Unit(
            name=name,
            description=_DESCRIPTIONS.get(str(told["group"]), ""),
            state=state,
            sub_state=sub_state,
            since=datetime.fromtimestamp(since, UTC) if since else None,
            pid=pid or None,
            memory_bytes=_memory_of(pid) if pid else None,
            restarts=self._restarts.get(name, 0),
        )


def _memory_of(pid: int) -> int | None:
    """What a process has in memory; None where it has just ended, or may not be looked at."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
