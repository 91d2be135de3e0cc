"""The log of every process of the hub: events with keys, to standard output.

Readable on a terminal, one JSON object a line otherwise; for systemd's journal
with its priority before it. No payloads, tokens, keys or certificates.
"""

import asyncio
import atexit
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, Final, cast

import orjson
import structlog

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("auto", "json", "text")

# Of syslog, as sd-daemon(3) has them before a line.
_PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}

_Renderer = Callable[[Any, str, Any], bytes]


def configure(level: str, form: str, journal: str | None = None) -> None:
    """Set up the log of this process.

    Args:
        level: the least severe that is written.
        form: one of ``FORMATS``; ``auto`` asks whether standard output is a terminal.
        journal: what systemd says in ``JOURNAL_STREAM``: the file that its journal reads.
    """
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
        render = cast(_Renderer, structlog.processors.JSONRenderer(serializer=orjson.dumps))
        structlog.configure(
            processors=[
                *shared,
                structlog.processors.format_exc_info,
                _with_priority(render) if _is_output(journal) else render,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(number),
            logger_factory=structlog.BytesLoggerFactory(cast(BinaryIO, _LoopBatch(sys.stdout.buffer))),
            cache_logger_on_first_use=True,
        )


def _is_output(journal: str | None) -> bool:
    """Whether the journal reads standard output: who redirects that does not change what systemd said of it."""
    if journal is None:
        return False
    facts = os.fstat(sys.stdout.fileno())
    return journal == f"{facts.st_dev}:{facts.st_ino}"


def _with_priority(render: _Renderer) -> _Renderer:
    """Without it the journal takes every line for information, and nobody finds the errors."""

    def rendered(logger: Any, name: str, event: Any) -> bytes:
        priority = _PRIORITIES[event["level"]]
        return b"<%d>%s" % (priority, render(logger, name, event))

    return rendered


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
