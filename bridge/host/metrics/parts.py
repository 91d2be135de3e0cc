"""What the services of a host use of it, each with all processes that it started."""

from collections.abc import Mapping

import psutil

from functions.contract.messages import PartUse


class PartMeter:
    """Measures services; processor time is counted from one measurement to the next."""

    def __init__(self) -> None:
        # A process is known by its id and beginning: an id that came to be another's begins anew.
        self._known: dict[tuple[int, float], psutil.Process] = {}

    def measure(self, pids: Mapping[str, int]) -> list[PartUse]:
        """What each service uses, by unit; ``pids`` are their main processes. One that has ended is left out."""
        known, self._known = self._known, {}
        found = []
        for unit, pid in sorted(pids.items()):
            used = [one for process in _family(pid) if (one := self._use(process, known)) is not None]
            if used:
                percents = [percent for percent, _ in used if percent is not None]
                found.append(
                    PartUse(
                        unit=unit,
                        processes=len(used),
                        percent=round(sum(percents), 1) if percents else None,
                        memory_bytes=sum(memory for _, memory in used),
                    )
                )
        return found

    def _use(
        self, process: psutil.Process, known: Mapping[tuple[int, float], psutil.Process]
    ) -> tuple[float | None, int] | None:
        """Percent of one processor since the last time, and resident bytes; None of a process that has ended."""
        try:
            key = (process.pid, process.create_time())
            before = known.get(key)
            one = self._known[key] = before or process
            percent = one.cpu_percent()
            return (None if before is None else percent), one.memory_info().rss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
