"""The table of the MQTT contract: which topic is which subject, in which lane, and how it is answered.

Pure: strings in, strings out. Topics stand below a prefix. Everything that
comes under any enabled prefix means the same; what the hub sends goes out
under every one of them.

A filter names each level, ``+`` for a name: a client id may hold ``/``, and
the broker's ACL lets its owner publish below what a ``#`` would match.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from functions.contract.subjects import ROOT
from functions.domain.faults import Malformed
from functions.domain.names import is_token

LIMIT_BYTES = 256 * 1024
# How long the broker keeps a reply or a delta for a device that is away.
EXPIRY_SECONDS = 60
_KNOWN_TOPICS = 8_192
_NAME = "+"


class Lane(StrEnum):
    """A share of the traffic with an MQTT session of its own, so that telemetry never holds up a twin."""

    CONTROL = "control"
    TELEMETRY = "telemetry"


class Sender(StrEnum):
    """How it is known who sent a message, as no MQTT message says it."""

    DEVICE = "device"  # The topic's id: the ACL lets nobody else publish there.
    CLAIMANT = "claimant"  # The session whose client id is the topic's id.
    ANY_CLAIM = "any-claim"  # Some holder of a claim certificate.


@dataclass(frozen=True, slots=True)
class Row:
    """A topic family that devices publish to.

    Args:
        path: below the prefix; ``+`` for a name. The subject has the same levels.
        lane: whose session takes it.
        answers: where ``/accepted`` and ``/rejected`` are appended; empty if nothing is answered.
        accepts: whether success is told, or only refusal.
        within: seconds that one call of the function may take; a little more than its route allows.
        sender: how the caller is known.
        at_once: how many messages of one queue run at the same time; 1 keeps their order.
        echo: fields of the payload that a refusal repeats.
        limit_bytes: largest payload.
        in_session: whether it matters which of its sessions a device sent it in.
    """

    path: str
    lane: Lane
    answers: str
    accepts: bool = False
    within: float = 3.0
    sender: Sender = Sender.DEVICE
    at_once: int = 1
    echo: tuple[str, ...] = ()
    limit_bytes: int = LIMIT_BYTES
    in_session: bool = False


@dataclass(frozen=True, slots=True)
class Outbound:
    """A subject whose messages go to a device; the topic has the same levels. ``*`` stands for a name."""

    subject: str
    expiry_seconds: int | None


ROWS = (
    # Many claimers share this topic, whose messages have no order among them.
    Row(
        "certificates/create-from-csr",
        Lane.CONTROL,
        "certificates/create-from-csr",
        accepts=True,
        within=5.0,
        sender=Sender.ANY_CLAIM,
        at_once=64,
        echo=("requestId",),
    ),
    Row(
        "devices/+/provision/request",
        Lane.CONTROL,
        "devices/+/provision",
        accepts=True,
        within=5.0,
        sender=Sender.CLAIMANT,
    ),
    Row(
        "devices/+/certificates/renew",
        Lane.CONTROL,
        "devices/+/certificates/renew",
        accepts=True,
        within=5.0,
        echo=("requestId",),
        in_session=True,
    ),
    Row(
        "devices/+/certificates/renew/confirm",
        Lane.CONTROL,
        "devices/+/certificates/renew/confirm",
        accepts=True,
        within=5.0,
        in_session=True,
    ),
    Row("devices/+/twin/get", Lane.CONTROL, "devices/+/twin/update", accepts=True, echo=("clientToken",)),
    Row("devices/+/twin/update", Lane.CONTROL, "devices/+/twin/update", accepts=True, echo=("clientToken",)),
    Row("devices/+/heartbeat", Lane.CONTROL, "devices/+/heartbeat"),
    Row("devices/+/status", Lane.CONTROL, "devices/+/status"),
    # Whoever called the method hears it; there is nobody to answer.
    Row("devices/+/methods/+/response", Lane.CONTROL, ""),
    Row("devices/+/telemetry", Lane.TELEMETRY, "devices/+/telemetry"),
    Row("devices/+/events/+", Lane.TELEMETRY, "devices/+/events/+"),
    Row("devices/+/messages/events", Lane.TELEMETRY, "devices/+/messages/events"),
)

OUTBOUND = (
    Outbound("devices.*.twin.update.delta", EXPIRY_SECONDS),
    Outbound("devices.*.methods.*.request", EXPIRY_SECONDS),
    # Kept for a persistent session for as long as the broker keeps that.
    Outbound("devices.*.messages.devicebound", None),
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where one topic leads.

    ``queue`` is what its messages are queued under; ``accepted`` and
    ``rejected`` are the topics that an answer goes out on, maybe none.
    """

    row: Row
    subject: str
    names: tuple[str, ...]
    queue: str
    accepted: tuple[str, ...]
    rejected: tuple[str, ...]


class Table:
    """The rows of a lane under the enabled prefixes."""

    def __init__(self, prefixes: tuple[str, ...], lane: Lane, rows: tuple[Row, ...] = ROWS) -> None:
        self._prefixes = prefixes
        self._rows = tuple((row, tuple(row.path.split("/"))) for row in rows if row.lane is lane)
        # Devices publish to the same few topics again and again. A topic that
        # is refused is not kept, so nobody can push the others out with junk.
        self.target = lru_cache(maxsize=_KNOWN_TOPICS)(self._target)

    @property
    def filters(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return tuple(f"{prefix}/{row.path}" for prefix in self._prefixes for row, _ in self._rows)

    def _target(self, topic: str) -> Target:
        """Where a topic leads.

        Raises:
            Malformed: no row has this topic, or a level of it is no name.
        """
        prefix, *levels = topic.split("/")
        if prefix not in self._prefixes:
            raise Malformed(detail="The topic has another prefix.")
        for row, wanted in self._rows:
            names = _names(wanted, levels)
            if names is not None:
                return self._lead(row, levels, names)
        raise Malformed(detail="No row of the table has this topic, or a level of it is no name.")

    def _lead(self, row: Row, levels: list[str], names: tuple[str, ...]) -> Target:
        answers = _fill(row.answers, names)
        return Target(
            row=row,
            subject=".".join((ROOT, *levels)),
            names=names,
            queue=names[0] if names else row.path,
            accepted=tuple(f"{prefix}/{answers}/accepted" for prefix in self._prefixes) if row.accepts else (),
            rejected=tuple(f"{prefix}/{answers}/rejected" for prefix in self._prefixes) if row.answers else (),
        )


def topics_of(subject: str, prefixes: tuple[str, ...]) -> tuple[str, ...]:
    """The topics that a message on a subject of ``OUTBOUND`` goes out on.

    Raises:
        Malformed: the subject is not the hub's, or a token of it is no name.
    """
    root, *tokens = subject.split(".")
    if root != ROOT or not tokens or not all(is_token(token) for token in tokens):
        raise Malformed(detail="The subject leads to no topic.")
    path = "/".join(tokens)
    return tuple(f"{prefix}/{path}" for prefix in prefixes)


def _names(wanted: tuple[str, ...], levels: list[str]) -> tuple[str, ...] | None:
    """The levels that stand for names, or None if the topic is another or a name has not the form of one."""
    if len(wanted) != len(levels):
        return None
    names: list[str] = []
    for want, level in zip(wanted, levels, strict=True):
        if want == _NAME:
            if not is_token(level):
                return None
            names.append(level)
        elif want != level:
            return None
    return tuple(names)


def _fill(path: str, names: tuple[str, ...]) -> str:
    """A path with its ``+`` replaced by names, in order."""
    rest = iter(names)
    return "/".join(next(rest) if level == _NAME else level for level in path.split("/"))
