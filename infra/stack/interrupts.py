"""Signals that ask to stop, told to a waiting task instead of raised wherever it happens to be."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def heard() -> Iterator["asyncio.Future[None]"]:
    """A future that is done at the first such signal; what the caller ignores (nohup) stays ignored.

    A KeyboardInterrupt may be raised in a finaliser, where exceptions are
    dropped, and a cancellation can meet an answer and be lost to it.
    """
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[None] = loop.create_future()

    def hear(*_: object) -> None:
        loop.call_soon_threadsafe(tell)

    def tell() -> None:
        if not asked.done():
            asked.set_result(None)

    before = {
        number: signal.signal(number, hear) for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
