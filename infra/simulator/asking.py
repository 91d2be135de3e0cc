"""Asking the hub something over MQTT, one question at a time: published on a topic, answered on two beside it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson

from bridge.mqtt.wire import BrokerAddress
from functions.domain.faults import Unavailable
from infra.simulator.session import Session

_ANSWER_SECONDS = 30.0

Ask = Callable[[str, dict[str, str]], Awaitable[dict[str, Any]]]


class Refused(Exception):
    """The hub refused.

    Args:
        reason: its code and its sentence.
        may_pass: whether the same request may be granted later.
    """

    def __init__(self, reason: str, *, may_pass: bool) -> None:
        super().__init__(reason)
        self.may_pass = may_pass


@asynccontextmanager
async def asking(address: BrokerAddress, client_id: str, answers: Sequence[str]) -> AsyncIterator[Ask]:
    """A session in which ``ask(topic, body)`` gives what the hub accepts; closed at the end.

    Args:
        address: the broker, with a certificate.
        client_id: of the session.
        answers: the topics below which ``accepted`` and ``rejected`` are told.

    Raises:
        Refused: what was asked is rejected.
        Unavailable: broker or hub do not answer.
    """
    told: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    session = await Session.open(address, client_id, lambda topic, payload: told.put_nowait((topic, payload)))

    async def ask(topic: str, body: dict[str, str]) -> dict[str, Any]:
        session.publish(topic, orjson.dumps(body))
        return await _answer(told, session.ended)

    try:
        await session.subscribe([f"{topic}/{verdict}" for topic in answers for verdict in ("accepted", "rejected")])
        yield ask
    finally:
        await session.close()


async def _answer(told: "asyncio.Queue[tuple[str, bytes]]", ended: asyncio.Event) -> dict[str, Any]:
    answer, end = asyncio.create_task(told.get()), asyncio.create_task(ended.wait())
    try:
        await asyncio.wait((answer, end), timeout=_ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise Unavailable(detail="The broker ended the session." if end.done() else "The hub does not answer.")
        topic, payload = answer.result()
    finally:
        answer.cancel()
        end.cancel()
    body: dict[str, Any] = orjson.loads(payload)
    if topic.endswith("/rejected"):
        may_pass = int(body.get("code", 0)) in (429, 503)
        raise Refused(f"{body.get('error')}: {body.get('message')}", may_pass=may_pass)
    return body
