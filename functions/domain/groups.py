"""Groups: names that devices have in their records, or questions whose answers are the group."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from functions.domain.faults import Conflict, Malformed, NotFound, Reason
from functions.domain.grammar import parse_query
from functions.domain.names import is_token
from functions.domain.query import Saved

# Each question is asked anew whenever groups are counted.
MAX_DYNAMIC: Final = 100
MAX_GROUPS: Final = 1000
SORTABLE: Final = ("group", "device_count")


@dataclass(frozen=True, slots=True)
class Group:
    """A group that somebody made; one with a query is dynamic: those are in it for whom the query holds."""

    name: str
    created_at: datetime
    updated_at: datetime
    query: str | None = None


def group_name(name: str) -> str:
    """Give the name back if a group may have it.

    Raises:
        Malformed: with the field ``group``.
    """
    if not is_token(name):
        told = "must be 1 to 64 letters, digits, '_' or '-'"
        raise Malformed(detail=f"group: {told}", fields={"group": told})
    return name


def check_room(groups: Collection[Group], name: str, query: str | None) -> None:
    """Refuse one group more than there may be, or one dynamic group more.

    Raises:
        Conflict: ``group_limit``.
    """
    others = [group for group in groups if group.name != name]
    if len(others) >= MAX_GROUPS:
        raise Conflict(Reason.GROUP_LIMIT, f"There are {MAX_GROUPS} groups already. Delete one that nobody needs.")
    if query is not None and sum(group.query is not None for group in others) >= MAX_DYNAMIC:
        raise Conflict(Reason.GROUP_LIMIT, f"There are {MAX_DYNAMIC} groups with a query already. Delete one first.")


def check_query(query: str | None, paths: Collection[str]) -> None:
    """Refuse a query that cannot be answered.

    Raises:
        Malformed: it says at which character of ``query``, and what was expected there.
    """
    if query is None:
        return
    if not query.strip():
        told = "is empty, which asks for every device; leave it out for a group that devices name themselves."
        raise Malformed(detail=f"query: {told}", fields={"query": told})
    parse_query(query, paths=paths, name="query")


def requery(group: Group | None, query: str | None, at: datetime) -> Group:
    """The group with another query, or none.

    Raises:
        NotFound: there is no such group.
    """
    if group is None:
        raise NotFound(detail="There is no group of this name. 'devicehub group list' shows them.")
    return group if group.query == query else replace(group, query=query, updated_at=at)


def saved(group: Group, paths: Collection[str]) -> Saved | None:
    """A group's question as it is asked; None of a group without."""
    if group.query is None:
        return None
    try:
        return Saved(parse_query(group.query, paths=paths, name="query"))
    except Malformed as wrong:
        # The setting of paths changed since it was made.
        return Saved(wrong=wrong.fields["query"])
