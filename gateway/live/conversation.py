"""What a client says on a WebSocket, and what is done for it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final

from pydantic_core import to_json

from functions.contract.faults import CATALOGUE
from functions.contract.messages import Follow, Followed, LogLease, MessageSend, MethodAnswer, MethodCall
from functions.domain.faults import Fault, Malformed, Reason, Unavailable
from functions.domain.methods import MARGIN_SECONDS
from gateway.calls import QUICK_SECONDS, SLOW_SECONDS
from gateway.live import logs
from gateway.live.feed import Feed
from gateway.live.listener import GAP, Listener
from gateway.live.members import Members
from gateway.live.sayings import CallMethod, Ping, Resume, SendMessage, Subscribe, Unsubscribe, named, read_saying
from gateway.live.selection import Selection
from gateway.live.topics import MOST_JOININGS, joining_of, route_of

# Calls of one client that wait for an answer.
_MOST_CALLS: Final = 64

# Calls a function for the client: the tokens of its subject, a payload, and how long it may take.
Asking = Callable[[tuple[str, ...], bytes, float], Awaitable[bytes]]


class Conversation:
    """One client: what it hears, and what it waits for.

    Args:
        ask: calls functions in the client's name; raises Fault.
        feed: what can be heard.
        members: who is in which group.
    """

    def __init__(self, ask: Asking, feed: Feed, members: Members) -> None:
        self.listener = Listener()
        self._ask = ask
        self._feed = feed
        self._members = members
        self._selection = Selection()
        self._began = 0
        # One after the other, so that an older choice does not come to stand over a newer.
        self._choosing = asyncio.Lock()
        self._calls: set[asyncio.Task[None]] = set()

    async def hear(self, text: str | bytes) -> None:
        """Do what the client says, or answer why not."""
        told: dict[str, Any] = {}
        try:
            saying = read_saying(text)
            match saying:
                case Ping():
                    self._say({"type": "pong"})
                case Subscribe():
                    await self._subscribe(saying)
                case Unsubscribe():
                    await self._unsubscribe(saying)
                case Resume():
                    self._resume(saying)
                case CallMethod():
                    told = {"type": "methodResponse", "requestId": saying.request_id}
                    self._begin(partial(self._call, saying, told))
                case SendMessage():
                    told = {"type": "messageResponse", "messageId": saying.message_id}
                    self._begin(partial(self._send, saying, told))
        except Fault as fault:
            self._say(_refused(fault, told))

    async def refresh(self) -> None:
        """Follow devices into and out of groups and roles.

        Raises:
            Fault: the functions cannot be asked now, or do not let the client hear it any more.
        """
        async with self._choosing:
            if self._selection.topics:
                await self._listen(self._selection)

    async def end(self) -> None:
        """Hear nothing more; what was asked is not waited for."""
        self._feed.leave(self.listener)
        for task in self._calls:
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def _subscribe(self, saying: Subscribe) -> None:
        async with self._choosing:
            wanted = self._selection.joined(frozenset(saying.topics), named(saying.devices), named(saying.groups))
            await self._listen(wanted)
            self._selection = wanted
        self._say({"type": "subscribed", **wanted.told()})

    async def _unsubscribe(self, saying: Unsubscribe) -> None:
        topics = None if saying.topics is None else frozenset(saying.topics)
        async with self._choosing:
            wanted = self._selection.without(topics, named(saying.devices), named(saying.groups))
            await self._listen(wanted)
            self._selection = wanted
        self._say({"type": "unsubscribed", **wanted.told()})

    def _resume(self, saying: Resume) -> None:
        """What came between the message that the client had last and its subscription here."""
        if not self._selection.topics or not self._feed.replay(self.listener, saying.seq, self._began):
            self.listener.reply(GAP)

    async def _listen(self, selection: Selection) -> None:
        """Hear what is selected, if all of it may be heard."""
        if sum(joining_of(topic) is not None for topic in selection.topics) > MOST_JOININGS:
            raise Malformed(
                detail=f"One socket can hear {MOST_JOININGS} joinings. Unsubscribe from one, or hear 'onboarding'."
            )
        devices = await self._devices(selection)
        followed = await self._follow_logs(selection)
        if not self._selection.topics:
            self._began = self._feed.last
        await self._feed.listen(self.listener, selection.topics, devices, followed)

    async def _devices(self, selection: Selection) -> frozenset[str] | None:
        """The ids of the devices that are meant, None for all; refused if a topic may not be heard."""
        names = [] if selection.is_of_all else sorted(selection.devices or ())
        ids: list[str] = []
        for place, topic in enumerate(sorted(name for name in selection.topics if logs.asked(name) is None)):
            # Any of them knows the devices.
            body = Follow(devices=names) if place == 0 else Follow()
            reply = await self._ask(("live", route_of(topic), "follow"), body.encode(), QUICK_SECONDS)
            if place == 0:
                ids = Followed.model_validate_json(reply).devices
        if selection.is_of_all:
            return None
        groups = await asyncio.gather(*(self._members.of(group) for group in sorted(selection.groups or ())))
        return frozenset(ids).union(*groups)

    async def _follow_logs(self, selection: Selection) -> dict[str, str]:
        """The subjects of the logs that are meant, whose hosts tell them for a while from now on."""
        wanted = {topic: body for topic in sorted(selection.topics) if (body := logs.asked(topic)) is not None}
        if len(wanted) > logs.MOST:
            raise Malformed(detail=f"One socket can hear {logs.MOST} logs. Unsubscribe from one first.")
        subjects = dict[str, str]()
        for topic, body in wanted.items():
            reply = await self._ask(("logs", "follow"), body.encode(), SLOW_SECONDS)
            subjects[topic] = logs.subject_of(LogLease.model_validate_json(reply))
        return subjects

    def _begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if len(self._calls) >= _MOST_CALLS:
            raise Unavailable(Reason.RATE_LIMITED, f"{_MOST_CALLS} calls wait for an answer on this socket already.")
        task = asyncio.create_task(work())
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _call(self, saying: CallMethod, told: dict[str, Any]) -> None:
        body = MethodCall(payload=saying.payload, timeout=saying.timeout)
        tokens = ("devices", saying.device_id, "methods", saying.method_name, "call")
        try:
            reply = await self._ask(tokens, body.encode(), saying.timeout + MARGIN_SECONDS + QUICK_SECONDS)
        except Fault as fault:
            self._say(_refused(fault, told))
            return
        answer = MethodAnswer.model_validate_json(reply)
        self._say({**told, "status": answer.status, "payload": answer.payload, "message": answer.message})

    async def _send(self, saying: SendMessage, told: dict[str, Any]) -> None:
        try:
            body = MessageSend(payload=saying.payload)
            await self._ask(("devices", saying.device_id, "messages", "send"), body.encode(), SLOW_SECONDS)
        except Fault as fault:
            self._say(_refused(fault, told))
            return
        self._say({**told, "success": True})

    def _say(self, told: dict[str, Any]) -> None:
        self.listener.reply(to_json(told).decode())


def _refused(fault: Fault, told: dict[str, Any]) -> dict[str, Any]:
    """Why something was not done: in the answer to what was asked, or as an ``error`` of its own."""
    entry = CATALOGUE[fault.reason]
    message = fault.detail or entry.sentence
    if told:
        return {**told, "error": message, "code": str(fault.reason), "status": entry.status}
    more = {"fields": fault.fields} if fault.fields else {}
    return {"type": "error", "message": message, "error": str(fault.reason), **more}
