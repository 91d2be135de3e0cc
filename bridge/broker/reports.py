"""Tells functions what the broker's log told, each client's news in order, until functions have taken it.

A line is done with only then, so a report outlives a crash of the bridge: the
line is read again. What is reported again is the same
fact, and functions take it as such.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from bridge.broker.alarms import Alarms
from bridge.broker.port import BRIDGE, PAUSES, Functions, Pauses
from functions.contract.messages import Done, Message
from functions.domain.faults import Denied, Fault, NotFound, Reason, Unavailable

_AT_ONCE = 32
# A client that comes and goes while functions are away fills no memory.
_KEPT = 16
# A fault that waiting does not mend must not hold up the client's later news.
_TRIES = 5

log = structlog.get_logger("bridge.broker")


def nothing() -> None:
    """Do nothing: a report that answers no line, or whose refusal needs no deed."""


@dataclass(frozen=True, slots=True)
class Report:
    """One call: ``done`` is called once when it is over, ``refused`` before that if functions deny the session."""

    subject: str
    body: Message
    done: Callable[[], None] = nothing
    refused: Callable[[], None] = nothing


class Reports:
    """One queue per client id, and a restart of the broker as a barrier across them all."""

    def __init__(self, functions: Functions, alarms: Alarms, pauses: Pauses = PAUSES) -> None:
        self._functions = functions
        self._pauses = pauses
        self._alarms = alarms
        self._chains: dict[str, deque[Report]] = {}
        self._sending: dict[str, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._passable = asyncio.Event()
        self._passable.set()
        self._one_restart = asyncio.Lock()
        self._restarts = 0
        self.sent = 0

    def add(self, client_id: str, report: Report) -> None:
        """Send a report after those already added for the same client."""
        chain = self._chains.get(client_id)
        if chain is not None:
            chain.append(report)
            if len(chain) > _KEPT:
                # What is told last holds; the first may be on its way.
                dropped = chain[1]
                del chain[1]
                dropped.done()
            return
        self._chains[client_id] = deque((report,))
        self._start(self._work(client_id))

    def restart(self, report: Report) -> None:
        """Send a report that makes void what was added before it, and before all that is added after.

        The void reports are dropped and count as done.
        """
        self._restarts += 1
        self._passable.clear()
        for client_id, chain in self._chains.items():
            kept = 1 if client_id in self._sending else 0
            while len(chain) > kept:
                chain.pop().done()
        self._start(self._restart(report, self._restarts))

    def is_pending(self, client_id: str) -> bool:
        """Whether a report about the client is not done yet."""
        return client_id in self._chains

    async def settled(self) -> None:
        """Wait until every report is done."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """Give up what is not done; the broker still has the lines."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, client_id: str) -> None:
        chain = self._chains[client_id]
        while chain:
            await self._passable.wait()
            async with self._slots:
                if not chain or not self._passable.is_set():
                    continue
                over = self._sending[client_id] = asyncio.get_running_loop().create_future()
                try:
                    await self._deliver(chain[0], self._restarts)
                finally:
                    del self._sending[client_id]
                    over.set_result(None)
            chain.popleft()
        del self._chains[client_id]

    async def _restart(self, report: Report, number: int) -> None:
        async with self._one_restart:
            if self._sending:
                await asyncio.wait(self._sending.values())
            await self._deliver(report, number)
            if number == self._restarts:
                self._passable.set()

    async def _deliver(self, report: Report, restarts: int) -> None:
        """Call until it is taken, refused for good, or void because the broker has restarted since."""
        tries = 0
        for pause in self._pauses:
            if restarts != self._restarts:
                break
            try:
                await self._functions.call(report.subject, report.body, Done, caller=BRIDGE)
            except Unavailable as problem:
                log.info("report waits", subject=report.subject, problem=str(problem), seconds=pause)
            except Denied as problem:
                log.warning("report refused", subject=report.subject, problem=str(problem))
                if problem.reason is Reason.DENIED:
                    report.refused()
                break
            except NotFound as problem:
                # A certificate of ours whose device the registry does not have (any more).
                log.warning("report refused", subject=report.subject, problem=str(problem))
                break
            except Fault as problem:
                tries += 1
                if tries == _TRIES:
                    self._alarms.tell("report-failed", detail=f"{report.subject}: {problem}")
                    break
            else:
                self.sent += 1
                break
            await asyncio.sleep(pause)
        report.done()
