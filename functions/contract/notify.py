"""What a process tells the one that started it: that it is ready, that it lives, that it is ending (sd_notify(3)).

Outside systemd nothing is told, and nothing happens.
"""

import asyncio
import os
import socket
from collections.abc import Mapping

import structlog

# A full queue of the receiver may hold up a sender, but not for ever.
_SEND_SECONDS = 1.0

log = structlog.get_logger("notify")


class Starter:
    """The one that started this process, as far as it wants to be told.

    Args:
        environ: of the process: ``NOTIFY_SOCKET`` says where to tell, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` within
            which time (microseconds) a process has to show that it lives.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._pulse_seconds = _pulse(environ) if self._address else 0.0

    def ready(self) -> None:
        """Say that it serves, and from now on that its event loop turns; inside the event loop, once."""
        self._tell("READY=1")
        if self._pulse_seconds:
            self._beat(asyncio.get_running_loop())

    def stopping(self) -> None:
        """Say that it is ending by itself or on request; harmless if it was never ready."""
        self._tell("STOPPING=1")

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        # Called by the loop itself: a loop that hangs falls silent, and one that is closed calls no more.
        self._tell("WATCHDOG=1")
        loop.call_later(self._pulse_seconds, self._beat, loop)

    def _tell(self, word: str) -> None:
        if not self._address:
            return
        # The kernel's abstract names begin with a zero byte, which an environment cannot carry.
        where = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(_SEND_SECONDS)
                sender.sendto(word.encode(), where)
        except OSError as problem:
            log.warning("systemd cannot be told", word=word, problem=str(problem))


def _pulse(environ: Mapping[str, str]) -> float:
    """Seconds between two signs of life: three in the time that one must come in; 0 where none is wanted."""
    microseconds, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    # The variables may be inherited from another process, for which alone they are meant.
    if not microseconds.isdecimal() or process not in ("", str(os.getpid())):
        return 0.0
    return int(microseconds) / 3 / 1_000_000
