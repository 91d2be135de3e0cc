"""The units of systemd, over D-Bus (``bridge.host.ports.Services``)."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import psutil

from bridge.host.link import Link
from bridge.host.ports import Source, Unit, Verb
from functions.domain.faults import Conflict, Denied, Fault, NotFound, Reason, Unavailable

_NAME: Final = "org.freedesktop.systemd1"
_PATH: Final = "/org/freedesktop/systemd1"
_MANAGER: Final = f"{_NAME}.Manager"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_METHODS: Final = {Verb.START: "StartUnit", Verb.STOP: "StopUnit", Verb.RESTART: "RestartUnit"}
_UNKNOWN: Final = 2**64 - 1
# A job may end before its own name is known here, so the ends of so many are remembered.
_MOST_RESULTS: Final = 256
# One restart is told as some twenty changes.
_TOGETHER_SECONDS: Final = 0.1
_WORD_SECONDS: Final = 1.0


class Systemd:
    """One systemd; a lost connection is made anew by the next who needs it.

    Args:
        address: of its bus; None for the machine's own.
        seconds: how long it may take to answer.
    """

    def __init__(self, address: str | None = None, *, seconds: float = 5.0) -> None:
        self._address = address
        self._seconds = seconds
        self._link: Link | None = None
        self._opening = asyncio.Lock()
        self._paths: dict[str, str] = {}
        self._results: OrderedDict[str, str] = OrderedDict()
        self._jobs: dict[str, asyncio.Future[str]] = {}
        self._changed = asyncio.Event()

    @property
    def source(self) -> Source:
        """``systemd``."""
        return "systemd"

    async def list(self, names: Sequence[str]) -> list[Unit]:
        """Those of the named units that there are, in this order."""
        link = await self._linked()
        found = await asyncio.to_thread(lambda: [self._look(link, name) for name in names])
        return [unit for unit in found if unit is not None]

    async def get(self, name: str) -> Unit:
        """One unit. Raises NotFound: there is none of this name."""
        link = await self._linked()
        return _there(await asyncio.to_thread(self._read, link, name), name)

    async def act(self, name: str, verb: Verb) -> Unit:
        """Queue a job as asked, follow it to its end, and give the unit as it is then.

        Raises:
            NotFound: there is no such unit.
            Denied: systemd does not allow it, or the name is an alias of another unit.
            Conflict: the job failed, or the unit right after it.
            Unavailable: systemd does not answer, or the bus was lost while the job ran.
        """
        link = await self._linked()
        unit = await self.get(name)
        if unit.name != name:
            told = f"{name} is another name of {unit.name}. Ask for that, if this host lets the hub look after it."
            raise Denied(Reason.UNIT_NOT_ALLOWED, told)
        method = f"{_MANAGER}.{_METHODS[verb]}"
        (job,) = await asyncio.to_thread(link.call, _PATH, method, "(ss)", name, "replace", seconds=self._seconds)
        result = await self._end_of(link, job)
        if result not in ("done", "skipped"):
            told = f"The {verb.value} of {name} ended as '{result}'. The log of the unit says why."
            raise Conflict(Reason.JOB_FAILED, told)
        unit = await self.get(name)
        if unit.state == "failed" and verb is not Verb.STOP:
            told = f"{name} was begun and failed at once ({unit.sub_state}). The log of the unit says why."
            raise Conflict(Reason.JOB_FAILED, told)
        return unit

    async def changes(self) -> AsyncGenerator[None, None]:
        """Many changes at once are one; it ends with Unavailable when the bus is lost."""
        link = await self._linked()
        while True:
            await self._changed.wait()
            await asyncio.sleep(_TOGETHER_SECONDS)
            self._changed.clear()
            if self._link is not link:
                raise Unavailable(detail="The connection to D-Bus was lost.")
            yield None

    async def close(self) -> None:
        """Let go of the bus."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    async def _linked(self) -> Link:
        async with self._opening:
            if self._link is None:
                self._link = await self._open()
            return self._link

    async def _open(self) -> Link:
        loop = asyncio.get_running_loop()

        def heard(path: str, signal: str, body: tuple[Any, ...]) -> None:
            loop.call_soon_threadsafe(self._heard, link, path, signal, body)

        def lost() -> None:
            loop.call_soon_threadsafe(self._lost, link)

        signals = ((_MANAGER, "JobRemoved"), (_MANAGER, "Reloading"), (_PROPERTIES, "PropertiesChanged"))
        link = Link(self._address, _NAME, signals, heard, lost)
        await asyncio.to_thread(link.open)
        self._paths.clear()
        try:
            # Else systemd tells of nobody's jobs but our own.
            await asyncio.to_thread(link.call, _PATH, f"{_MANAGER}.Subscribe", "()", seconds=self._seconds)
        except BaseException:
            link.close()
            raise
        return link

    def _heard(self, link: Link, path: str, signal: str, body: tuple[Any, ...]) -> None:
        if link is not self._link:
            return
        if signal == "JobRemoved":
            _, job, _, result = body
            if (waiting := self._jobs.get(job)) is not None:
                if not waiting.done():
                    waiting.set_result(result)
            else:
                self._results[job] = result
                if len(self._results) > _MOST_RESULTS:
                    self._results.popitem(last=False)
            self._changed.set()
        elif signal == "Reloading" or path in self._paths.values():
            self._changed.set()

    def _lost(self, link: Link) -> None:
        if link is not self._link:
            return
        self._link = None
        self._results.clear()
        for waiting in self._jobs.values():
            if not waiting.done():
                told = "The connection to D-Bus was lost while the job ran; it may have been done, or go on."
                waiting.set_exception(Unavailable(Reason.TIMEOUT, told))
        self._changed.set()

    async def _end_of(self, link: Link, job: str) -> str:
        """The result of a job, which may have ended already.

        Raises:
            Unavailable: ``timeout`` where systemd is silent or gone, or has ended the job without a word on how.
        """
        if (known := self._results.pop(job, None)) is not None:
            return known
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._jobs[job] = waiting
        try:
            while not await _comes(waiting, self._seconds):
                try:
                    # Nothing tells that systemd is gone: so it is asked whether it still has the job.
                    await asyncio.to_thread(
                        link.call, job, f"{_PROPERTIES}.GetAll", "(s)", f"{_NAME}.Job", seconds=self._seconds
                    )
                except Fault as fault:
                    # Word of the end travels by another thread than the answer, and may come after it.
                    if not await _comes(waiting, _WORD_SECONDS):
                        told = "systemd does not say what became of the job; it may have been done, or go on."
                        raise Unavailable(Reason.TIMEOUT, told) from fault
            return waiting.result()
        finally:
            del self._jobs[job]

    def _look(self, link: Link, name: str) -> Unit | None:
        """As ``_read``; None also where the name is none that systemd takes."""
        try:
            return self._read(link, name)
        except NotFound:
            return None

    def _read(self, link: Link, name: str) -> Unit | None:
        """A unit as it is now; None where systemd has none of this name. Off the event loop."""
        path = self._paths.get(name)
        if path is None:
            if not name:
                # systemd would take it for the caller's own unit.
                return None
            (path,) = link.call(_PATH, f"{_MANAGER}.LoadUnit", "(s)", name, seconds=self._seconds)
            self._paths[name] = path
        (told,) = link.call(path, f"{_PROPERTIES}.GetAll", "(s)", f"{_NAME}.Unit", seconds=self._seconds)
        if told["LoadState"] == "not-found":
            return None
        service: dict[str, Any] = {}
        if name.endswith(".service"):
            (service,) = link.call(path, f"{_PROPERTIES}.GetAll", "(s)", f"{_NAME}.Service", seconds=self._seconds)
        pid = int(service.get("MainPID", 0))
        since = int(told.get("StateChangeTimestamp", 0))
        return Unit(
            name=told["Id"],
            description=told.get("Description", ""),
            state=told["ActiveState"],
            sub_state=told["SubState"],
            since=datetime.fromtimestamp(since / 1e6, UTC) if since else None,
            pid=pid or None,
            memory_bytes=_memory(int(service.get("MemoryCurrent", _UNKNOWN)), pid),
            restarts=service.get("NRestarts"),
        )


async def _comes(waiting: asyncio.Future[str], seconds: float) -> bool:
    """Whether it is there in time."""
    done, _ = await asyncio.wait({waiting}, timeout=seconds)
    return bool(done)


def _there(unit: Unit | None, name: str) -> Unit:
    if unit is None:
        raise NotFound(Reason.UNKNOWN_UNIT, f"systemd has no unit {name}.")
    return unit


def _memory(told: int, pid: int) -> int | None:
    """What the unit has in memory; of its main process alone where systemd does not count."""
    if told != _UNKNOWN:
        return told
    try:
        return int(psutil.Process(pid).memory_info().rss) if pid else None
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
