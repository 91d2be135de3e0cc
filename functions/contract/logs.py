"""The log of every process of the hub: events with keys, to standard output.

Readable on a terminal, one JSON object a line otherwise. No payloads, tokens,
keys or certificates.
"""

import asyncio
import atexit
import logging
import sys
from typing import BinaryIO, cast

import orjson
import structlog

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("auto", "json", "text")


def configure(level: str, form: str) -> None:
    """Set up the log of this process; ``form`` ``auto`` asks whether standard output is a terminal."""
    number = logging.getLevelNamesMapping()[level.upper()]
    as_text = form == "text" or (form == "auto" and sys.stdout.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    if as_text:
        structlog.configure(
            processors=[*shared, structlog.dev.ConsoleRenderer()],
            wrapper_class=structlog.make_filtering_bound_logger(number),
            logger_factory=structlog.PrintLoggerFactory(),
            cache_logger_on_first_use=True,
        )
    else:
        structlog.configure(
            processors=[
                *shared,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(serializer=orjson.dumps),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(number),
            logger_factory=structlog.BytesLoggerFactory(cast(BinaryIO, _LoopBatch(sys.stdout.buffer))),
            cache_logger_on_first_use=True,
        )


class _LoopBatch:
    """Writes what was logged in one turn of the event loop at once.

    A system call for each line took a twelfth of a function process under
    load. Where no loop runs, each line is written as it comes.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lines: list[bytes] = []
        self._is_due = False
        atexit.register(self._write)

    def write(self, line: bytes) -> None:
        """Take a line, or a part of one."""
        self._lines.append(line)

    def flush(self) -> None:
        """Have it written before the loop waits again."""
        if self._is_due:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write()
            return
        self._is_due = True
        loop.call_soon(self._write)

    def _write(self) -> None:
        self._is_due = False
        lines, self._lines = self._lines, []
        self._out.write(b"".join(lines))
        self._out.flush()
