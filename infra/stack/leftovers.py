"""Processes of a hub that outlived their supervisor: found by the mark in their environment, and ended."""

import os
from collections.abc import Sequence
from pathlib import Path

import psutil

from infra.stack.supervision import wait_for_end
from infra.stack.supervisor import STACK

# A supervisor among them stops its processes one after the other.
_DRAIN_SECONDS = 60.0
_KILL_SECONDS = 5.0


def find(data: Path) -> list[psutil.Process]:
    """Processes that a supervisor of this data directory started and that still run."""
    found = []
    for process in psutil.process_iter():
        try:
            is_ours = process.uids().effective == os.geteuid() and process.environ().get(STACK) == str(data)
            if is_ours and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue
    return found


def end(processes: Sequence[psutil.Process]) -> None:
    """End processes: asked first, so that they finish what they hold, then killed.

    A supervisor among them is asked alone: it stops the others in order.
    """
    supervisors = [process for process in processes if _is_supervisor(process)]
    _end(supervisors)
    _end([process for process in processes if process not in supervisors])


def _end(processes: Sequence[psutil.Process]) -> None:
    _signal(processes, kill=False)
    left = wait_for_end([process.pid for process in processes], _DRAIN_SECONDS)
    stubborn = [process for process in processes if process.pid in left]
    _signal(stubborn, kill=True)
    wait_for_end([process.pid for process in stubborn], _KILL_SECONDS)


def _is_supervisor(process: psutil.Process) -> bool:
    try:
        return "supervisor.supervisord" in process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def describe(processes: Sequence[psutil.Process]) -> str:
    """Their names and process ids, for a person."""
    words = []
    for process in processes:
        try:
            words.append(f"{process.name()} ({process.pid})")
        except psutil.NoSuchProcess:
            words.append(str(process.pid))
    return ", ".join(words)


def _signal(processes: Sequence[psutil.Process], *, kill: bool) -> None:
    for process in processes:
        try:
            # psutil compares the start time first, so a process that has the id by now is safe.
            if kill:
                process.kill()
            else:
                process.terminate()
        except psutil.NoSuchProcess:
            continue
