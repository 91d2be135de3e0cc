"""Follows a bucket for as long as the process lives, whatever becomes of the server meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog
from nats.aio.client import Client

from functions.adapters.codec import Undecodable
from functions.adapters.feed import Change, Feed
from functions.domain.faults import Unavailable

_RETRY_SECONDS = 0.2
_CANCEL_AGAIN_SECONDS = 0.1

log = structlog.get_logger("functions")


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended.

    Once is not enough: the client waits with ``asyncio.wait_for``, which up to
    Python 3.11 loses a cancellation that comes in the same turn as the answer.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN_SECONDS)


class Follower:
    """Hands over what a bucket holds, and every change after it.

    ``is_live`` says that everything was handed over up to a moment ago. When
    the server falls silent it is untrue within 1.5 s (see ``Feed``), and true
    again once what was missed is made up for.

    Args:
        client: the connection.
        bucket: the bucket's name.
        take: is given each change; one that it finds ``Undecodable`` is logged
            and passed over, as it must not hide all that follow.
        feed: how it is read.
        after: what is known already, by its revision.
    """

    def __init__(
        self,
        client: Client,
        bucket: str,
        take: Callable[[Change], None],
        *,
        feed: type[Feed] = Feed,
        after: int = 0,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._take = take
        self._feed = feed
        self._after = after
        self.is_live = False
        self.filled = asyncio.Event()
        self._revision = 0
        self._awaited: list[tuple[int, asyncio.Future[None]]] = []

    async def reach(self, revision: int) -> None:
        """Wait until the change of a revision has been handed over, or a later one."""
        if self._revision >= revision:
            return
        reached = asyncio.get_running_loop().create_future()
        self._awaited.append((revision, reached))
        try:
            await reached
        finally:
            self._awaited = [one for one in self._awaited if one[1] is not reached]

    async def run(self) -> None:
        """Follow until cancelled, each feed from where the last one broke off."""
        after = self._after
        is_told = False
        while True:
            try:
                async with self._feed(self._client, self._bucket, after=after) as feed:
                    is_told = False
                    while True:
                        if feed.caught_up:
                            self.is_live = True
                            self.filled.set()
                        changes = await feed.batch()
                        await self._hand_over_all(changes)
                        if changes:
                            after = changes[-1].revision
                        self._note(after)
            except Unavailable as fault:
                self.is_live = False
                if not is_told:
                    log.warning("waiting for the storage", bucket=self._bucket, cause=repr(fault.__cause__ or fault))
                is_told = True
                await asyncio.sleep(_RETRY_SECONDS)

    def _note(self, revision: int) -> None:
        """Tell those who wait for a revision that it was handed over."""
        self._revision = revision
        for awaited, reached in self._awaited:
            if awaited <= revision and not reached.done():
                reached.set_result(None)

    async def _hand_over_all(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._hand_over(change)

    def _hand_over(self, change: Change) -> None:
        try:
            self._take(change)
        except Undecodable as problem:
            log.error(
                "unreadable record",
                bucket=self._bucket,
                key=change.key,
                revision=change.revision,
                problem=str(problem),
            )


class BatchFollower(Follower):
    """A follower that hands over what comes together as one batch, and waits until it has been taken.

    What raises Unavailable was not taken: the batch is read and handed over again.

    Args:
        client: the connection.
        bucket: the stream's or bucket's name.
        take: is given each batch, never an empty one.
        feed: how it is read.
        after: what is known already, by its revision.
    """

    def __init__(
        self,
        client: Client,
        bucket: str,
        take: Callable[[Sequence[Change]], Awaitable[None]],
        *,
        feed: type[Feed] = Feed,
        after: int = 0,
    ) -> None:
        super().__init__(client, bucket, lambda _: None, feed=feed, after=after)
        self._take_all = take

    async def _hand_over_all(self, changes: Sequence[Change]) -> None:
        if changes:
            await self._take_all(changes)


class Following:
    """Followers of several buckets, which are ready together.

    Args:
        client: the connection.
        buckets: the name of each, and what is given its changes (see ``Follower``).
        lost: what is told of them once one can follow no longer.
    """

    def __init__(self, client: Client, buckets: Iterable[tuple[str, Callable[[Change], None]]], *, lost: str) -> None:
        self._followers = [Follower(client, name, take) for name, take in buckets]
        self._lost = lost
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to follow."""
        self._tasks = [asyncio.create_task(follower.run()) for follower in self._followers]

    async def ready(self) -> None:
        """Wait until all that was in the buckets at the start has been handed over.

        Raises:
            Unavailable: one can follow no longer.
        """
        filled = asyncio.create_task(self._wait_until_filled())
        await asyncio.wait((filled, *self._tasks), return_when=asyncio.FIRST_COMPLETED)
        filled.cancel()
        self.check()

    @property
    def is_filled(self) -> bool:
        """Whether all that was in the buckets at the start has been handed over."""
        return all(follower.filled.is_set() for follower in self._followers)

    async def stop(self) -> None:
        """Follow no longer."""
        await end(self._tasks)

    async def reach(self, place: int, revision: int) -> None:
        """Wait until one of the buckets, by its place among them, has handed over the change of a revision."""
        await self._followers[place].reach(revision)

    def check(self) -> None:
        """Make sure that all can still follow.

        Raises:
            Unavailable: one cannot.
        """
        for task in self._tasks:
            if task.done() and not task.cancelled() and (problem := task.exception()):
                raise Unavailable(detail=self._lost) from problem

    async def _wait_until_filled(self) -> None:
        for follower in self._followers:
            await follower.filled.wait()
