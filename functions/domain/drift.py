"""Since when a device has not shown all that is desired of it."""

from collections.abc import Iterator
from typing import Any

from functions.domain.documents import same

_NOTHING = object()


def drifted_at(
    desired: dict[str, Any], wished: dict[str, Any], reported: dict[str, Any], told: dict[str, Any]
) -> int | None:
    """The moment from which on there is a difference, in milliseconds since 1970; None where there is none.

    A value differs since the later of its wish and of what was reported in
    its place; of several that differ, the first one counts. There is a
    difference exactly where ``functions.domain.twins.delta`` has one.

    Args:
        desired: the document of the desired half.
        wished: the times of its leaves, as the half has them.
        reported: the document of the reported half.
        told: likewise its times.
    """
    return min(_differences(desired, wished, reported, told), default=None)


def _differences(
    desired: dict[str, Any], wished: dict[str, Any], reported: dict[str, Any], told: dict[str, Any]
) -> Iterator[int]:
    for key, wish in desired.items():
        shown = reported.get(key, _NOTHING)
        if isinstance(wish, dict) and isinstance(shown, dict):
            if wish:
                yield from _differences(wish, wished[key], shown, told[key] if shown else {})
        elif not same(wish, shown):
            yield max(min(_leaves(wished[key])), min(_leaves(told.get(key, 0))))


def _leaves(times: Any) -> Iterator[int]:
    """The times of a part of a half; of one without leaf, the beginning of time."""
    if not isinstance(times, dict):
        yield int(times)
        return
    if not times:
        yield 0
    for part in times.values():
        yield from _leaves(part)
