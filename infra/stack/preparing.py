"""Before a stack is started: nobody else is at it, the machine has what it needs, and every file is in place."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.node import known_paths
from infra.problem import Problem, Problems
from infra.settings import Settings
from infra.stack import leftovers, preflight, sockets
from infra.stack.paths import Paths
from infra.stack.plan import Plan, apply, make_plan
from infra.stack.programs import Programs
from infra.stack.supervision import NotRunning, Supervisor


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan in place, and what it will be run with; ``ended`` names processes of an earlier run that were ended."""

    plan: Plan
    programs: Programs
    ended: str


@contextmanager
def held(data: Path) -> Iterator[None]:
    """Be the only ``devicehub up`` at work on a data directory, which is made if it is missing.

    Raises:
        Problem: another is, or a hub runs there already.
    """
    refuse_if_running(data)
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(Paths(data, data / "run").lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as problem:
        raise Problem(
            f"The data directory {data} cannot be used: {problem.strerror}.", "Mend its permissions."
        ) from problem
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            raise Problem(
                f"Another 'devicehub up' is starting a hub in {data}.", "Wait for it: 'devicehub status' tells."
            ) from problem
        refuse_if_running(data)
        yield
    finally:
        os.close(lock)


def refuse_if_running(data: Path) -> None:
    """Refuse to go on where a hub runs.

    Raises:
        Problem: one does.
    """
    paths, _ = known_paths(data)
    try:
        pid = Supervisor(paths).pid()
    except NotRunning:
        return
    raise Problem(
        f"A hub is running in {data} already (supervisor {pid}).",
        "See 'devicehub status'; stop it with 'devicehub down'; or choose another data directory and other ports.",
    )


def prepare(settings: Settings) -> Prepared:
    """Check the machine, end what an earlier run left, and put all files in place; inside ``held``.

    Raises:
        Problems: with everything that is in the way.
        Problem: the data directory holds something damaged, or refuses a file.
    """
    left = leftovers.find(settings.data)
    ended = leftovers.describe(left)
    leftovers.end(left)
    programs = preflight.check(settings)
    plan = look(settings, programs)
    apply(plan)
    return Prepared(plan, programs, ended)


def look(settings: Settings, programs: Programs) -> Plan:
    """Make the plan; nothing is written.

    Raises:
        Problem: the data directory holds something damaged, or that this user may not read.
    """
    _, node = known_paths(settings.data)
    paths = Paths(settings.data, sockets.choose_directory(settings.data, node))
    try:
        return asyncio.run(make_plan(settings, paths, node, programs))
    except OSError as problem:
        raise Problem(
            f"{problem.filename} cannot be read: {problem.strerror}.",
            "Give it back to the user that the hub runs as.",
        ) from problem


def refuse_unusable(settings: Settings) -> None:
    """Refuse a data directory that cannot be one.

    Raises:
        Problems: with what is wrong with it.
    """
    if problems := list(preflight.data_problems(settings.data)):
        raise Problems(problems)
