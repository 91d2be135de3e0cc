"""One line of the route table: which subject calls which handler, who may call, and within what bounds."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from functions.contract.subjects import ROOT
from functions.domain.callers import APP, Kind
from functions.domain.roles import LEAST, UserRole
from functions.domain.tokens import Scope
from functions.ports import Call, Hub

DEFAULT_LIMIT_BYTES = 256 * 1024


class Role(StrEnum):
    """Which function process serves a route: a worker, or the one per node that keeps the index."""

    WORKER = "worker"
    INDEX = "index"


@dataclass(frozen=True, slots=True)
class Route:
    """A function and the terms of calling it.

    Args:
        subject: below ``devicehub.``; each ``*`` becomes one of the call's names.
        handler: ``async (call, hub) -> reply``; the reply is a message model.
        body: the message model that the payload must be.
        allow: the kinds of caller admitted.
        within: seconds from arrival to reply, at most.
        echo: fields of the request that its fault repeats (in the payload's own spelling).
        limit_bytes: largest payload taken.
        role: which process serves it.
        own: whether a device may call it only where the first ``*`` is its own id.
        by_role: whether the first ``*`` is a device, which may be named by its role too.
        waits: whether most of its time it waits for a device, so that its calls are not counted among those that work.
        any_bytes: whether a payload that is no JSON is taken too; the call's body is None then.
        scope: what an application must have been given, where the route admits applications.
        least: the least role of a user who may call it; by default the least that has the scope, or admin without one.
        beyond: whether it touches other devices than the one that the subject names.
        part: what the name of a caller must begin with; any if empty.
        tells: whether who is refused is noted for the audit trail: not where the handler, or who asks it, does that.

    Raises:
        ValueError: applications are admitted and no scope is stated.
    """

    subject: str
    handler: Callable[[Call[Any], Hub], Awaitable[Any]]
    body: type[Any]
    allow: Kind
    within: float
    echo: tuple[str, ...] = ()
    limit_bytes: int = DEFAULT_LIMIT_BYTES
    role: Role = Role.WORKER
    own: bool = True
    by_role: bool = False
    any_bytes: bool = False
    waits: bool = False
    scope: Scope | None = None
    least: UserRole | None = None
    beyond: bool = False
    part: str = ""
    tells: bool = True

    def __post_init__(self) -> None:
        if self.allow & APP and self.scope is None:
            raise ValueError(f"The route '{self.subject}' admits applications and must state the scope they need.")

    @property
    def least_role(self) -> UserRole:
        """The least role of a user who may call it."""
        if self.least is not None:
            return self.least
        return UserRole.ADMIN if self.scope is None else LEAST[self.scope]

    @property
    def full_subject(self) -> str:
        """The subject as subscribed."""
        return f"{ROOT}.{self.subject}"

    @property
    def name(self) -> str:
        """A name for tools: the subject without its wildcards, ``-`` for ``.``."""
        return "-".join(part for part in self.subject.split(".") if part != "*")
