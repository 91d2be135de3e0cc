"""The audit trail: who did what, to what, from where, and what it was before and after.

An entry is written once and never changed. What stands in it is bounded, and
what was left out for that is named; no private key and no token ever does.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from functions.domain.callers import Caller
from functions.domain.names import is_token

# Where an entry names nobody and nothing in particular: a batch, or an applicant that told no name.
UNNAMED = "-"

# What a wish changed of the largest half of a twin is whole in an entry, so that its history can be read from the
# trail: 32 KiB of new content, and a null for each of the many short keys that may have stood in its place.
_TWIN_BYTES = 96 * 1024
_VALUE_BYTES = 4 * 1024
_MOST_CUT = 20
_SHOWN_CHARACTERS = 64
# Stands in the place of a secret.
HIDDEN = "(hidden)"

_REFUSED = "onboarding.refused"

_ACTION = re.compile(r"[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)+")
_ORIGIN = re.compile(r"[A-Za-z0-9:.%_-]{1,64}")
# The texts that must not be kept whatever they stand in: private keys in PEM, and API tokens.
_SECRET = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----|\bdh_[A-Za-z0-9_-]{43}")


class Trail(StrEnum):
    """What is kept apart, so that none of it can push another out of its place."""

    CHANGES = "changes"
    TWINS = "twins"
    ONBOARDING = "onboarding"
    CALLS = "calls"
    REFUSALS = "refusals"


# By the first word of an action; the others are changes.
_TRAILS = {
    "twin": Trail.TWINS,
    "onboarding": Trail.ONBOARDING,
    "method": Trail.CALLS,
    "message": Trail.CALLS,
    "access": Trail.REFUSALS,
}


class Outcome(StrEnum):
    """Whether what an entry tells was done, or somebody was refused."""

    DONE = "done"
    REFUSED = "refused"


class Doer(Protocol):
    """Who acts, in which call, and from where: a ``Call``, or an ``Agent``."""

    @property
    def caller(self) -> Caller:
        """Who."""
        ...

    @property
    def id(self) -> str:
        """Of the call."""
        ...

    @property
    def origin(self) -> str:
        """From where."""
        ...


@dataclass(frozen=True, slots=True)
class Agent:
    """A part of the hub that acts of itself: a timer, say."""

    caller: Caller
    id: str
    origin: str = "hub"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act.

    Args:
        id: of this entry alone; ids sort by time.
        at: when it was done, by the hub's clock.
        action: what was done, ``device.suspended``: the kind of thing first, then the deed in the past.
        actor: who did it, ``user:anna``.
        origin: from where: ``http:192.0.2.7``, ``cli``, ``mqtt``, ``nats`` or ``hub``.
        call: the id of the call, as the log has it.
        kind: of thing it was done to.
        target: which one; ``-`` for none in particular.
        before: what it was, in JSON; None for nothing.
        after: what it is now.
        cut: what was left out of these two: ``after.note``; ``before`` where nothing of it is there.
    """

    id: str
    at: datetime
    action: str
    actor: str
    origin: str
    call: str
    kind: str
    target: str
    before: Any = None
    after: Any = None
    cut: tuple[str, ...] = ()

    @property
    def trail(self) -> Trail:
        """Where it is kept."""
        return _TRAILS.get(self.action.partition(".")[0], Trail.CHANGES)

    @property
    def outcome(self) -> Outcome:
        """Whether it was done, or refused."""
        return Outcome.REFUSED if self.action.endswith(".refused") else Outcome.DONE

    @property
    def is_refusal(self) -> bool:
        """Whether it says that somebody was refused, which whoever has a claim certificate can bring about at will."""
        return self.action == _REFUSED


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """What one call did, in the order of doing; kept as one, so either all of it is there or none."""

    entries: tuple[AuditEntry, ...]


def is_origin(text: str) -> bool:
    """Whether a text may stand as the place that a call came from."""
    return _ORIGIN.fullmatch(text) is not None


def entry(
    doer: Doer,
    action: str,
    target: str,
    *,
    at: datetime,
    random: str,
    kind: str = "",
    before: Any = None,
    after: Any = None,
) -> AuditEntry:
    """Make an entry, with ``before`` and ``after`` bounded and without secrets.

    Args:
        doer: who acts: the call.
        action: ``device.suspended``.
        target: the id or name of what it was done to.
        at: the time now.
        random: of this entry alone, in hex.
        kind: of the target, where it is not the action's first word.
        before: JSON values.
        after: JSON values.

    Raises:
        ValueError: the action does not have that form.
    """
    if _ACTION.fullmatch(action) is None:
        raise ValueError(f"'{action}' is no action: 'thing.done'")
    made = AuditEntry(
        id=f"{int(at.timestamp() * 1000):012x}-{random}",
        at=at,
        action=action,
        actor=str(doer.caller)[: 2 * _SHOWN_CHARACTERS],
        origin=doer.origin,
        call=doer.id,
        kind=kind or action.partition(".")[0],
        # Names that come from outside are checked before anything is done to them; but a refusal has them unchecked.
        target=target if is_token(target) else UNNAMED,
    )
    most = _TWIN_BYTES if made.trail is Trail.TWINS else _VALUE_BYTES
    kept_before, cut_before = _bounded(without_secrets(before), "before", most)
    kept_after, cut_after = _bounded(without_secrets(after), "after", most)
    return replace(made, before=kept_before, after=kept_after, cut=(*cut_before, *cut_after))


def left_out(last: AuditEntry, number: int) -> AuditEntry:
    """The entry that says, after the last refusal that was kept, how many before it were not."""
    return replace(
        last,
        id=f"{last.id}+",
        action="onboarding.left-out",
        actor="system:functions",
        origin="hub",
        target=UNNAMED,
        before=None,
        after={"refusals": number},
        cut=(),
    )


def without_secrets(value: Any) -> Any:
    """The value with ``(hidden)`` in the place of every text that holds a private key or an API token."""
    if isinstance(value, str):
        return HIDDEN if _SECRET.search(value) else value
    if isinstance(value, dict):
        return {name: without_secrets(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(member) for member in value]
    return value


def _bounded(value: Any, name: str, most: int) -> tuple[Any, list[str]]:
    """What of a value fits, and the names of what was left out of it."""
    if value is None or _size(value) <= most:
        return value, []
    if not isinstance(value, dict):
        return None, [name]
    left = most - 2
    kept: dict[str, Any] = {}
    cut: list[str] = []
    for key, member, size in _smallest_first(value):
        if size <= left:
            left -= size
            kept[key] = member
        else:
            cut.append(f"{name}.{key[:_SHOWN_CHARACTERS]}")
    if len(cut) > _MOST_CUT:
        cut = [*cut[: _MOST_CUT - 1], f"{name}: {len(cut) - _MOST_CUT + 1} more"]
    return kept, cut


def _smallest_first(value: dict[str, Any]) -> Iterator[tuple[str, Any, int]]:
    # With the two signs that part a member from the next, and its name from it.
    sized = [(key, member, _size(key) + _size(member) + 2) for key, member in value.items()]
    yield from sorted(sized, key=lambda one: one[2])


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class AuditWanted:
    """A question to the trail; what is given must all hold. The newest come first, unless ``oldest_first``.

    ``action`` is one, or a first word for all of a kind of thing (``device``);
    ``kind`` and ``target`` are of what it was done to. ``after`` is included,
    ``before`` is not. ``past`` is the id of an entry: only those of higher ids.
    """

    actor: str | None = None
    action: str | None = None
    kind: str | None = None
    target: str | None = None
    after: datetime | None = None
    before: datetime | None = None
    outcome: Outcome | None = None
    past: str = ""
    oldest_first: bool = False
    limit: int = 100
    offset: int = 0

    def matches(self, one: AuditEntry) -> bool:
        """Whether an entry is wanted."""
        return (
            self.actor in (None, one.actor)
            and self.action in (None, one.action, one.action.partition(".")[0])
            and self.kind in (None, one.kind)
            and self.target in (None, one.target)
            and (self.after is None or one.at >= self.after)
            and (self.before is None or one.at < self.before)
            and self.outcome in (None, one.outcome)
            and one.id > self.past
        )


def parse_target(text: str | None) -> tuple[str | None, str | None]:
    """Read ``EDGB-0001``, or ``device:EDGB-0001`` where the kind of thing matters, as kind and target."""
    if not text:
        return None, None
    kind, colon, target = text.rpartition(":")
    return (kind if colon else None), target
