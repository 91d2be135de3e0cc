"""The broker's process on this host: found by its pid file, checked, and signalled."""

import os
import signal
from pathlib import Path

from functions.domain.faults import Unavailable

_NAME = "mosquitto"


class Process:
    """Signals the broker that a pid file names.

    A pid file outlives its process, and the number may be another's by then.
    So the process is held by a descriptor first, then looked at, then
    signalled through the descriptor: it cannot be exchanged in between.
    """

    def __init__(self, pid_file: Path) -> None:
        self._pid_file = pid_file

    def reload(self) -> None:
        """Have the broker read its files again (SIGHUP). Raises Unavailable if it cannot be signalled."""
        self._signal(signal.SIGHUP)

    def save(self) -> None:
        """Have the broker write its sessions to disk (SIGUSR1). Raises Unavailable if it cannot be signalled."""
        self._signal(signal.SIGUSR1)

    def _signal(self, number: signal.Signals) -> None:
        pid = self._pid()
        try:
            held = os.pidfd_open(pid)
        except OSError as problem:
            raise Unavailable(detail=f"The broker's process {pid} is not there: {problem}.") from problem
        try:
            name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
            if name != _NAME:
                raise Unavailable(detail=f"{self._pid_file} names process {pid}, which is '{name}' and no broker.")
            signal.pidfd_send_signal(held, number)
        except OSError as problem:
            raise Unavailable(detail=f"The broker's process {pid} cannot be signalled: {problem}.") from problem
        finally:
            os.close(held)

    def _pid(self) -> int:
        try:
            text = self._pid_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as problem:
            raise Unavailable(detail=f"The broker's pid file cannot be read: {problem}.") from problem
        if not text.isdecimal() or int(text) < 1:
            raise Unavailable(detail=f"{self._pid_file} holds no process number.")
        return int(text)
