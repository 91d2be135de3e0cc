"""Since when a device has not shown all that is desired of it."""

from collections.abc import Iterator
from typing import Any, TypeAlias

from functions.domain.documents import same

_NOTHING = object()


# The times of a part of a half: as the half has them, or one for all of them.
Times: TypeAlias = dict[str, Any] | int


def drifted_at(desired: dict[str, Any], wished: Times, reported: dict[str, Any], told: Times) -> int | None:
    """The moment from which on there is a difference, in milliseconds since 1970; None where there is none.

    A value differs since the later of its wish and of what was reported in
    its place; of several that differ, the first one counts. There is a
    difference exactly where ``functions.domain.twins.delta`` has one.

    Args:
        desired: the document of the desired half.
        wished: the times of its leaves, as the half has them or ``shortened``.
        reported: the document of the reported half.
        told: likewise its times.
    """
    return min(_differences(desired, wished, reported, told), default=None)


def shortened(times: dict[str, Any]) -> Times:
    """The times of a half, or the one time that all its leaves have."""
    leaves = set(_leaves(times))
    return leaves.pop() if len(leaves) == 1 else times


def _differences(desired: dict[str, Any], wished: Times, reported: dict[str, Any], told: Times) -> Iterator[int]:
    for key, wish in desired.items():
        shown = reported.get(key, _NOTHING)
        if isinstance(wish, dict) and isinstance(shown, dict):
            if wish:
                yield from _differences(wish, _of(wished, key), shown, _of(told, key))
        elif not same(wish, shown):
            yield max(min(_leaves(_of(wished, key))), min(_leaves(_of(told, key))))


def _of(times: Times, key: str) -> Times:
    """The times of what a key has; where it has nothing, the beginning of time."""
    part: Times = times.get(key, 0) if isinstance(times, dict) else times
    return part


def _leaves(times: Times) -> Iterator[int]:
    """The times of a part of a half; of one without leaf, the beginning of time."""
    if not isinstance(times, dict):
        yield int(times)
        return
    if not times:
        yield 0
    for part in times.values():
        yield from _leaves(part)
