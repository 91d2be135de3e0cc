"""Functions that other installed packages add, named in the entry point group ``devicehub.functions``.

An entry point is a sequence of routes, or a callable that gives one. Its
routes are served by the same runtime under the same rules, and cannot take a
subject that another route has, nor one where devices or the hub's own parts
speak.
"""

from collections.abc import Iterable, Sequence
from importlib.metadata import entry_points

from functions.contract.subjects import ROOT
from functions.domain.callers import CLAIM, DEVICE
from functions.route import Route

GROUP = "devicehub.functions"

# Where devices, the broker's keeper and the streams speak.
_RESERVED = frozenset({"*", "devices", "broker", "stored"})


class PluginError(Exception):
    """An installed package's routes cannot be served; the message names package, route and reason."""


def load_routes(own: Sequence[Route]) -> tuple[Route, ...]:
    """The hub's own routes and those of every installed package, in order of package name.

    Raises:
        PluginError: an entry point gives no routes, or one that ours or
            another package's has taken.
    """
    routes = list(own)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        found = point.load()
        added = found() if callable(found) else found
        if not isinstance(added, Iterable):
            raise PluginError(f"The entry point '{point.name}' ({point.value}) does not give routes.")
        for route in added:
            if not isinstance(route, Route):
                raise PluginError(f"The entry point '{point.name}' ({point.value}) gives what is no route: {route!r}.")
            _check(point.name, route, routes)
            routes.append(route)
    return tuple(routes)


def _check(package: str, route: Route, taken: Sequence[Route]) -> None:
    shadowed = next((other for other in taken if overlap(route.subject, other.subject)), None)
    if shadowed is not None:
        raise PluginError(
            f"'{package}' names the subject {ROOT}.{route.subject}, which {ROOT}.{shadowed.subject} covers already."
            " Give it a name of its own."
        )
    if ">" in route.subject or route.subject.split(".")[0] in _RESERVED:
        raise PluginError(
            f"'{package}' names the subject {ROOT}.{route.subject}; a function's subject has no '>' and does not begin"
            f" with any of: {', '.join(sorted(_RESERVED))}."
        )
    if route.allow & (DEVICE | CLAIM):
        raise PluginError(
            f"'{package}' admits devices to {ROOT}.{route.subject}, but no topic leads there: the bridge's table is"
            " fixed. Admit operators, applications or the hub's parts."
        )


def overlap(one: str, other: str) -> bool:
    """Whether some subject matches both patterns."""
    first, second = one.split("."), other.split(".")
    if len(first) != len(second):
        return False
    return all(a == b or "*" in (a, b) for a, b in zip(first, second, strict=True))
