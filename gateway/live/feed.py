"""Hears the bus for all clients together, and hands each message to those who want it."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import structlog
from nats.aio.msg import Msg

from functions.domain.faults import Unavailable
from gateway.callers import Bus
from gateway.live.listener import Listener
from gateway.live.logs import topic_of
from gateway.live.recent import Recent, Sent
from gateway.live.topics import TOPICS, Topic, joining_of

# How long a topic is heard that nobody listens to any more: a client that comes again misses nothing of it.
_LINGER_SECONDS: Final = 60.0

log = structlog.get_logger("gateway")


class Feed:
    """The messages of the topics that somebody listens to.

    Each message is read and written once, however many want it.

    Args:
        bus: where they come from.
        wall: seconds since 1970.
        linger: seconds that a topic is heard on after the last listener left.
    """

    def __init__(self, bus: Bus, wall: Callable[[], float] = time.time, *, linger: float = _LINGER_SECONDS) -> None:
        self._bus = bus
        self._recent = Recent(wall)
        self._linger = linger
        self._heard: dict[str, list[Any]] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._opening = asyncio.Lock()
        self._ending: set[asyncio.Task[None]] = set()
        self._all: set[Listener] = set()
        self._by_device: defaultdict[str, set[Listener]] = defaultdict(set)
        self._devices: dict[Listener, frozenset[str] | None] = {}
        bus.when_back(self._missed)

    @property
    def last(self) -> int:
        """The number of the last message."""
        return self._recent.last

    async def listen(
        self,
        listener: Listener,
        topics: frozenset[str],
        devices: frozenset[str] | None,
        logs: Mapping[str, str] | None = None,
    ) -> None:
        """Hand topics to a listener from now on, instead of those before.

        Args:
            listener: who.
            topics: by name.
            devices: ids; None for all.
            logs: for each topic that is a log, the subject that its host tells it on.

        Raises:
            Unavailable: the bus cannot be reached.
        """
        async with self._opening:
            for topic in topics:
                await self._open(TOPICS.get(topic) or joining_of(topic) or topic_of(topic, (logs or {})[topic]))
        self._place(listener, devices)
        listener.topics = topics
        self._let_go()

    def leave(self, listener: Listener) -> None:
        """Hand nothing more to a listener."""
        listener.topics = frozenset()
        self._displace(listener)
        self._let_go()

    def replay(self, listener: Listener, seq: int, until: int) -> bool:
        """Hand a listener what it would have heard between two numbers; whether that is known."""
        found = self._recent.after(seq, until)
        if found is None:
            return False
        devices = self._devices.get(listener)
        for one in found:
            if one.topic in listener.topics and (devices is None or one.device is None or one.device in devices):
                listener.offer(one.frame)
        return True

    async def _open(self, topic: Topic) -> None:
        if (timer := self._leaving.pop(topic.name, None)) is not None:
            timer.cancel()
        if topic.name in self._heard:
            return
        if topic.is_kept:
            # What comes while a topic is not heard cannot be handed on later.
            self._recent.forget()
        subscriptions = [await self._bus.subscribe(subject, self._hand_on(topic)) for subject in topic.subjects]
        self._heard[topic.name] = subscriptions

    def _hand_on(self, topic: Topic) -> Callable[[Msg], Any]:
        async def heard(message: Msg) -> None:
            try:
                told = topic.read(message)
            except (ValueError, KeyError, IndexError) as problem:
                log.error("unreadable message", subject=message.subject, problem=repr(problem))
                return
            if told is None:
                return
            device, data, more = told
            whose = "" if device is None else f'"deviceId":"{device}",'
            seq = self._recent.number()
            frame = f'{{"type":"message","topic":"{topic.name}",{whose}{more}"data":{data},"seq":{seq}}}'
            if topic.is_kept:
                self._recent.keep(Sent(seq, topic.name, device, frame))
            for listener in self._listeners(device):
                if topic.name in listener.topics:
                    listener.offer(frame)

        return heard

    def _listeners(self, device: str | None) -> Iterable[Listener]:
        if device is None:
            return tuple(self._devices)
        of_device = self._by_device.get(device)
        return self._all if of_device is None else (*self._all, *of_device)

    def _place(self, listener: Listener, devices: frozenset[str] | None) -> None:
        if listener in self._devices and self._devices[listener] == devices:
            return
        self._displace(listener)
        self._devices[listener] = devices
        if devices is None:
            self._all.add(listener)
        else:
            for device in devices:
                self._by_device[device].add(listener)

    def _displace(self, listener: Listener) -> None:
        devices = self._devices.pop(listener, None)
        self._all.discard(listener)
        for device in devices or ():
            self._by_device[device].discard(listener)
            if not self._by_device[device]:
                del self._by_device[device]

    def _let_go(self) -> None:
        """See that topics which nobody listens to are not heard for ever."""
        wanted = frozenset[str]().union(*(listener.topics for listener in self._devices))
        for name in self._heard:
            if name not in wanted and name not in self._leaving:
                self._leaving[name] = asyncio.get_running_loop().call_later(self._linger, self._end, name)

    def _end(self, name: str) -> None:
        del self._leaving[name]
        if any(name in listener.topics for listener in self._devices):
            return
        task = asyncio.create_task(self._unsubscribe(self._heard.pop(name)))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _unsubscribe(self, subscriptions: list[Any]) -> None:
        for one in subscriptions:
            try:
                await self._bus.unsubscribe(one)
            except Unavailable:
                # The server forgets it with the connection.
                return

    def _missed(self) -> None:
        """The bus was away: what was said meanwhile is lost to all."""
        self._recent.forget()
        for listener in self._devices:
            if listener.topics:
                listener.miss()
