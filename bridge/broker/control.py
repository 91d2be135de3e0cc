"""Commands to Mosquitto's dynamic-security plugin, each answered and each answer looked at.

A command message goes to ``$CONTROL/dynamic-security/v1``; the plugin handles
its commands at once and in order and answers them all in one message, which is
sent at QoS 0 and only to a subscriber.
"""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import orjson
import structlog

from bridge.broker.port import Link
from functions.domain.faults import Conflict, Unavailable

TOPIC = "$CONTROL/dynamic-security/v1"
RESPONSE_TOPIC = f"{TOPIC}/response"

_ANSWER_SECONDS = 2.0
# A few hundred commands keep a message and its answer far below the broker's
# packet limit of 1 MiB, and the broker itself busy for some 20 ms.
_COMMANDS_AT_ONCE = 100
_PAGE = 500

Command = dict[str, Any]
Answers = list[Command]

log = structlog.get_logger("bridge.broker")


class Control:
    """Sends commands one message at a time.

    Args:
        link: the session with the broker.
        answered_within: seconds that one message and its answer may take.
    """

    def __init__(self, link: Link, answered_within: float = _ANSWER_SECONDS) -> None:
        self._link = link
        self._answered_within = answered_within
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Answers]] = {}

    def take(self, payload: bytes) -> None:
        """Look at a message on the response topic."""
        try:
            responses = orjson.loads(payload)["responses"]
            number = responses[0].get("correlationData", "")
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as problem:
            log.warning("control response not understood", problem=repr(problem))
            return
        answered = self._waiting.get(number)
        if answered is not None and not answered.done():
            answered.set_result(responses)

    async def run(self, commands: Sequence[Command], *, tolerate: tuple[str, ...] = ()) -> None:
        """Run commands in order; those that failed with a tolerated error count as done.

        Raises:
            Conflict: the plugin did not do one of them; the others are done.
            Denied: the broker refuses the bridge.
            Unavailable: no answer came; the commands may have been done.
        """
        failed: list[str] = []
        for at in range(0, len(commands), _COMMANDS_AT_ONCE):
            for response in await self._ask(commands[at : at + _COMMANDS_AT_ONCE]):
                error = response.get("error")
                if error is not None and error not in tolerate:
                    failed.append(f"{response.get('command')}: {error}")
        if failed:
            raise Conflict(detail=f"The broker's security plugin refused {len(failed)} commands: {failed[0]}.")

    async def list(self, command: str, kind: str) -> Answers:
        """All that ``listClients`` or ``listRoles`` lists, verbose; ``kind`` is the field that holds it."""
        found: Answers = []
        while True:
            page = {"command": command, "verbose": True, "count": _PAGE, "offset": len(found)}
            (response,) = await self._ask([page])
            data = response.get("data")
            if not isinstance(data, dict):
                raise Conflict(detail=f"The broker's security plugin refused {command}: {response.get('error')}.")
            items = data.get(kind, [])
            found += items
            if not items or len(found) >= data.get("totalCount", 0):
                return found

    async def answers(self) -> None:
        """One round trip that changes nothing. Raises Denied or Unavailable."""
        await self._ask([{"command": "getDefaultACLAccess"}])

    async def _ask(self, commands: Sequence[Command]) -> Answers:
        number = str(next(self._numbers))
        answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answered
        marked = [{**commands[0], "correlationData": number}, *commands[1:]]
        try:
            async with asyncio.timeout(self._answered_within):
                await self._link.publish(TOPIC, orjson.dumps({"commands": marked}))
                return await answered
        except TimeoutError as problem:
            raise Unavailable(detail="The broker's security plugin does not answer.") from problem
        finally:
            del self._waiting[number]
