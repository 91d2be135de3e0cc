"""The way to the hosts that the hub lives on: requests to their shims, and what these say of themselves."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError

from functions.adapters.durable import require_connection
from functions.contract.faults import decode_fault
from functions.contract.messages import HostHere, M, Message, ServiceView
from functions.contract.subjects import DEADLINE, ROOT, subject
from functions.domain.faults import Reason, Unavailable
from functions.domain.services import LOST_AFTER, HostWord
from functions.ports import Clock

# Of hosts that are not there any more, those heard of last are remembered.
_MOST_HOSTS = 256

log = structlog.get_logger("functions")


@dataclass(frozen=True, slots=True)
class _Heard:
    here: HostHere
    at: datetime
    moment: float


class BusHosts:
    """Hears and asks the shims over the bus (``functions.ports.Hosts``).

    Args:
        client: the connection.
        clock: the time that is told.
        moments: seconds, never running backwards.
    """

    def __init__(self, client: Client, clock: Clock, moments: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._moments = moments
        self._heard: dict[str, _Heard] = {}
        self._deaf_until = moments()

    async def start(self) -> None:
        """Begin to hear."""
        await self._client.subscribe(f"{ROOT}.host.*.here", cb=self._take)
        # Or nothing would be known for as long as they are silent.
        await self._client.publish(subject("hosts", "wanted"))

    def known(self) -> list[HostWord]:
        """Every host that was heard of."""
        now = self._moments()
        if not self._client.is_connected:
            # Then nothing can be heard, and silence says nothing of who is silent.
            self._deaf_until = now
        return [self._word(one, now) for one in self._heard.values()]

    def last(self, node: str) -> Sequence[ServiceView]:
        """The units of a host as it told of them last."""
        heard = self._heard.get(node)
        return heard.here.services if heard is not None else ()

    async def ask(self, node: str, ask: tuple[str, ...], body: Message, answer: type[M], *, within: float) -> M:
        """Ask a shim.

        Raises:
            Fault: what it answered instead.
            Unavailable: nobody answers; ``timeout`` when not in time.
        """
        require_connection(self._client)
        # By the machine's clock, as each deadline of a call is.
        headers = {DEADLINE: str(int((time.time() + within) * 1000))}
        try:
            reply = await self._client.request(
                subject("host", node, *ask), body.encode(), timeout=within, headers=headers
            )
        except nats.errors.NoRespondersError as problem:
            raise Unavailable(detail=f"The shim of the host {node} is not there now.") from problem
        except (TimeoutError, nats.errors.TimeoutError) as problem:
            raise Unavailable(
                Reason.TIMEOUT, f"The host {node} did not answer within {within:g} s; it may do it still."
            ) from problem
        except (nats.errors.Error, OSError) as problem:
            raise Unavailable(detail="The bus cannot be reached now.") from problem
        fault = decode_fault(reply.headers, reply.data)
        if fault is not None:
            raise fault
        try:
            return answer.model_validate_json(reply.data)
        except ValidationError as problem:
            raise Unavailable(detail=f"The shim of the host {node} is of another version of the hub.") from problem

    async def _take(self, msg: Msg) -> None:
        try:
            here = HostHere.model_validate_json(msg.data)
        except ValidationError as problem:
            log.warning("event not understood", subject=msg.subject, problem=str(problem))
            return
        self._heard.pop(here.node, None)
        self._heard[here.node] = _Heard(here, self._clock.now(), self._moments())
        if len(self._heard) > _MOST_HOSTS:
            del self._heard[next(iter(self._heard))]

    def _word(self, heard: _Heard, now: float) -> HostWord:
        here = heard.here
        silent = now - max(heard.moment, self._deaf_until)
        return HostWord(
            node=here.node,
            source=here.source,
            version=here.version,
            started_at=here.started_at,
            seen_at=heard.at,
            units=tuple(one.unit for one in here.services),
            lost=here.leaving or silent > LOST_AFTER.total_seconds(),
            problem=here.problem,
        )


class NoHosts:
    """Knows of no host (``functions.ports.Hosts``): for one call of one function."""

    def known(self) -> list[HostWord]:
        """None of them."""
        return []

    def last(self, node: str) -> Sequence[ServiceView]:
        """None of them."""
        return ()

    async def ask(self, node: str, ask: tuple[str, ...], body: Message, answer: type[M], *, within: float) -> M:
        """Nobody answers."""
        raise Unavailable(detail="A function that runs without a server has no host to ask.")
