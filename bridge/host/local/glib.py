"""A thread in which GLib's main loop runs, for what asyncio asks of it."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from gi.repository import GLib

T = TypeVar("T")


class GlibThread:
    """Runs a main loop of its own until it is ended. What is subscribed in it is heard in it."""

    def __init__(self) -> None:
        self._context = GLib.MainContext.new()
        self._loop = GLib.MainLoop.new(self._context, False)
        self._thread = threading.Thread(target=self._run, name="glib", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    async def end(self) -> None:
        """Leave the loop, and wait until the thread has ended."""
        await self.call(self._loop.quit)
        await asyncio.to_thread(self._thread.join)

    async def call(self, deed: Callable[[], T]) -> T:
        """Do something in the thread, and give what it gives. Raises GLib.Error as the deed does."""
        told: Future[T] = Future()

        def work(_: Any = None) -> bool:
            try:
                told.set_result(deed())
            except GLib.Error as problem:
                told.set_exception(problem)
            finally:
                if not told.done():
                    # GLib prints what was raised to the standard error.
                    told.set_exception(RuntimeError("unforeseen in the GLib thread"))
            return False

        source = GLib.idle_source_new()
        source.set_priority(GLib.PRIORITY_DEFAULT)
        source.set_callback(work)
        source.attach(self._context)
        return await asyncio.wrap_future(told)

    def _run(self) -> None:
        self._context.push_thread_default()
        try:
            self._loop.run()
        finally:
            self._context.pop_thread_default()
