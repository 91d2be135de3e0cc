"""The units of this host as the bus knows them: looked up, told, and done as asked, within the allow-list."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial

import structlog

from bridge.host.allowed import Allowed
from bridge.host.asks import Ask
from bridge.host.ports import Services, Unit, Verb
from functions.contract.messages import HostHere, Nothing, ServiceActed, ServiceView, UnitNamed
from functions.domain.faults import Fault, Reason, Unavailable

# A job is followed for so long; the function that asks waits a little longer.
_JOB_SECONDS = 50.0
# By then the answer has left by way of the parts that are to be restarted.
_AFTER_ANSWER_SECONDS = 0.5

log = structlog.get_logger("host")


class Units:
    """The allowed units of one host.

    Args:
        services: who looks after them.
        allowed: which they are.
        node: this host's name.
        version: of the shim.
        versions: of the programs, by unit, as far as they are known.
        now: the time.
        job_seconds: how long a job is followed.
    """

    def __init__(
        self,
        services: Services,
        allowed: Allowed,
        *,
        node: str,
        version: str,
        versions: Callable[[], Mapping[str, str]] = dict,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        job_seconds: float = _JOB_SECONDS,
    ) -> None:
        self._services = services
        self._allowed = allowed
        self._node = node
        self._version = version
        self._versions = versions
        self._now = now
        self._job_seconds = job_seconds
        self._started_at = now()
        self._last: list[ServiceView] = []
        self._orders: dict[str, asyncio.Lock] = {}
        self._later: set[asyncio.Task[None]] = set()

    def asks(self) -> tuple[Ask, ...]:
        """What can be asked of them."""
        verbs = (Ask(("unit", verb.value), UnitNamed, partial(self.act, verb), waits=True) for verb in Verb)
        return (Ask(("units", "list"), Nothing, self._list), Ask(("unit", "get"), UnitNamed, self.read), *verbs)

    async def here(self, *, leaving: bool = False) -> HostHere:
        """This host and its units as they are now, or were last where that cannot be known."""
        problem = None
        try:
            if not leaving:
                found = await self._services.list(self._allowed.units)
                self._last = [self._view(unit) for unit in found]
        except Unavailable as fault:
            problem = fault.detail or str(fault)
        unknown = {"state": "unknown", "pid": None, "memory_bytes": None, "problem": problem}
        return HostHere(
            node=self._node,
            source=self._services.source,
            version=self._version,
            started_at=self._started_at,
            services=self._last if problem is None else [one.model_copy(update=unknown) for one in self._last],
            problem=problem,
            leaving=leaving,
        )

    async def read(self, named: UnitNamed) -> ServiceView:
        """One unit as it is now.

        Raises:
            Denied: it is not on the list.
            NotFound: there is none of this name.
            Unavailable: it cannot be known now.
        """
        self._allowed.require(named.unit)
        return self._view(await self._services.get(named.unit))

    async def act(self, verb: Verb, named: UnitNamed) -> ServiceActed:
        """Do as asked; orders to one unit are carried out one after the other.

        Raises:
            Denied: not on the list, not this verb, or the host refuses.
            NotFound, Conflict: as ``Services.act``.
            Unavailable: ``timeout`` where its job did not end in time, and goes on.
        """
        unit = named.unit
        self._allowed.require_verb(unit, verb)
        log.info("order", unit=unit, verb=verb.value, caller=named.caller)
        if self._allowed.answers_first(unit, verb):
            before = await self.read(named)
            self._do_later(unit, verb)
            return ServiceActed(verb=verb.value, result="begun", service=before)
        return ServiceActed(verb=verb.value, result="done", service=self._view(await self._do(unit, verb)))

    def _do_later(self, unit: str, verb: Verb) -> None:
        async def do() -> None:
            await asyncio.sleep(_AFTER_ANSWER_SECONDS)
            try:
                await self._do(unit, verb)
            except Fault as fault:
                log.error("order failed", unit=unit, verb=verb.value, reason=str(fault.reason), detail=fault.detail)

        task = asyncio.create_task(do())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _do(self, unit: str, verb: Verb) -> Unit:
        try:
            async with asyncio.timeout(self._job_seconds), self._orders.setdefault(unit, asyncio.Lock()):
                return await self._services.act(unit, verb)
        except TimeoutError as problem:
            told = f"The {verb.value} of {unit} was begun and did not end within {self._job_seconds:g} s; it goes on."
            raise Unavailable(Reason.TIMEOUT, told) from problem

    async def _list(self, _: Nothing) -> HostHere:
        return await self.here()

    def _view(self, unit: Unit) -> ServiceView:
        return ServiceView(
            node=self._node,
            unit=unit.name,
            description=unit.description,
            state=unit.state,
            sub_state=unit.sub_state,
            since=unit.since,
            pid=unit.pid,
            memory_bytes=unit.memory_bytes,
            restarts=unit.restarts,
            version=self._versions().get(unit.name),
            verbs=[verb.value for verb in self._allowed.verbs(unit.name)],
            seen_at=self._now(),
            problem=None,
        )
