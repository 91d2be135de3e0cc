"""Alarms: what a person must look at, from when it was first seen until its cause is gone.

An alarm is known by its kind and what it is about, so that what is seen again
is the same alarm. Some stand for a state and are closed when that is over;
others for something that happened, and are closed when it has not happened
for a while.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

# The fields of an alarm, as its view names them, by which a page can be sorted.
SORTABLE = ("kind", "subject", "severity", "state", "openedAt", "seenAt", "closedAt", "count")

# What stands in the place of the subjects that are too many: a client chooses its id, and must not fill the store.
MORE = "(more)"
MOST_OPEN_OF_A_KIND = 100
MOST_CLOSED = 1000
CLOSED_KEPT = timedelta(days=90)

MAX_KIND_CHARACTERS = 40
_MAX_SUBJECT_CHARACTERS = 128
_MAX_DETAIL_CHARACTERS = 500
# How exactly it is kept when an alarm was seen last: repeats within this time write nothing. A state that is looked
# at every few minutes is the same state.
_SEEN_GRAIN = timedelta(minutes=1)
_STATE_GRAIN = timedelta(hours=1)
_HAPPENED = timedelta(hours=1)


class Severity(StrEnum):
    """How soon somebody should look: ``critical`` is now."""

    WARNING = "warning"
    CRITICAL = "critical"


class AlarmState(StrEnum):
    """What an alarm needs: ``open`` of somebody's attention, ``acknowledged`` of time, ``closed`` of nothing."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class AlarmSort:
    """What all alarms of a kind have in common.

    ``quiet`` is how long it must not have been seen again to be over; None
    where whoever opens it also says when it is over.
    """

    severity: Severity
    text: str
    remedy: str
    quiet: timedelta | None = _HAPPENED


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm, open or past.

    ``count`` is how often it was seen since it opened, of repeats within a
    minute one; ``times`` how often it was opened.
    """

    kind: str
    subject: str
    severity: Severity
    detail: str
    opened_at: datetime
    seen_at: datetime
    count: int = 1
    times: int = 1
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    closed_at: datetime | None = None

    @property
    def state(self) -> AlarmState:
        """What it needs."""
        if self.closed_at is not None:
            return AlarmState.CLOSED
        return AlarmState.OPEN if self.acknowledged_at is None else AlarmState.ACKNOWLEDGED

    @property
    def id(self) -> str:
        """Its key: of the same kind and subject always the same."""
        return alarm_id(self.kind, self.subject)


_LOG = "'devicehub logs bridge' and 'devicehub logs mosquitto' have the lines around it."

# Of a kind that is not here, the severity is ``warning`` and the text the kind itself.
SORTS: Mapping[str, AlarmSort] = {
    "certificate-expiring": AlarmSort(
        Severity.WARNING,
        "The certificate of {subject} ends soon.",
        "Have the device renew it, or make a new one; after its end the broker refuses it.",
        None,
    ),
    "authority-expiring": AlarmSort(
        Severity.CRITICAL,
        "The certificate of the hub's own CA ends soon.",
        "Make or import a new root, and give every device a certificate of it before this one ends.",
        None,
    ),
    "weak-key": AlarmSort(
        Severity.WARNING,
        "The key of {subject} is weak.",
        "Give it a certificate for a key of P-256, P-384, Ed25519 or RSA with 2048 bits and more, and revoke this one.",
        None,
    ),
    "crl-age": AlarmSort(
        Severity.CRITICAL,
        "The revocation list is not being renewed. When it lapses, no device can connect.",
        "Look whether the functions and the bridge run: 'devicehub status', 'devicehub doctor'.",
        None,
    ),
    "record-unreadable": AlarmSort(
        Severity.CRITICAL,
        "Some records of {subject} cannot be read. All others hold, and a certificate stays on the revocation list.",
        "A newer version may have written them: run that. Else restore them from a backup, or write them anew:"
        " 'devicehub certificate revoke SERIAL' does so.",
        None,
    ),
    "session-without-certificate": AlarmSort(
        Severity.CRITICAL,
        "A session of {subject} is open, and no certificate of that name is good.",
        "Revoke the device, which ends its sessions; if one stays, restart the broker.",
        None,
    ),
    "client-id-clash": AlarmSort(
        Severity.WARNING,
        "Several clients take the client id {subject} from each other.",
        "Two devices share a certificate: find the copy, revoke the certificate and give each device its own.",
        None,
    ),
    "clock-skew": AlarmSort(
        Severity.WARNING,
        "The clock of {subject} differs from the hub's.",
        "Let every host and device follow a time server; on a host: timedatectl set-ntp true",
        None,
    ),
    "device-clock-ahead": AlarmSort(
        Severity.WARNING,
        "The device {subject} sends times that lie in the future.",
        "Let the device follow a time server, or leave 'timestamp' out: then the hub's time counts.",
    ),
    "claim-as-device": AlarmSort(
        Severity.CRITICAL,
        "The claim certificate {subject} took over the session of a device.",
        "Find who has the claim certificate; 'devicehub claim revoke NAME' ends it.",
    ),
    "foreign-client-id": AlarmSort(
        Severity.WARNING,
        "{subject} connects under a client id that is not its own name; the hub ends such sessions.",
        "Set the device's client id to the common name of its certificate.",
    ),
    "foreign-name": AlarmSort(
        Severity.CRITICAL,
        "A certificate of the hub's CA whose name can be no device's connected: {subject}.",
        "Find out who signed it: 'devicehub doctor' looks at the CA.",
    ),
    "unreadable-connect-line": AlarmSort(
        Severity.WARNING,
        "The broker wrote a connect line that the hub cannot read, so it does not know that session.",
        _LOG,
    ),
    "messages-dropped": AlarmSort(
        Severity.CRITICAL,
        "The broker drops messages to {subject}, whose queue is full.",
        "See why the client does not take its messages; the bridge's own queue is full when functions are too slow.",
    ),
    "broker-reload-failed": AlarmSort(
        Severity.CRITICAL,
        "The broker could not load its files again, and may let in what is revoked.",
        _LOG + " The hub tries again by itself.",
    ),
    "crl-lapsed": AlarmSort(
        Severity.CRITICAL,
        "The broker was given a revocation list that is over: no device can connect.",
        "Set the clocks right, and look whether the functions run: 'devicehub doctor'.",
    ),
    "crl-not-renewed": AlarmSort(
        Severity.CRITICAL,
        "The broker's revocation list is growing old. When it lapses, no device can connect.",
        "Look whether the functions run and can sign: 'devicehub status', 'devicehub doctor'.",
    ),
    "access-failed": AlarmSort(
        Severity.CRITICAL,
        "The broker is not kept up to date: who is revoked, suspended or new may not be.",
        _LOG + " The hub tries again by itself.",
    ),
    "ending-failed": AlarmSort(
        Severity.CRITICAL,
        "Sessions that must end could not be ended.",
        _LOG + " The hub tries again by itself.",
    ),
    "saving-failed": AlarmSort(
        Severity.WARNING,
        "The broker could not save its state, so a restart may bring old messages back.",
        _LOG + " See whether the disk is full.",
    ),
    "catching-up-failed": AlarmSort(
        Severity.WARNING,
        "The hub does not know for certain who is connected to the broker.",
        _LOG + " The hub tries again by itself.",
    ),
    "report-failed": AlarmSort(
        Severity.WARNING,
        "The functions did not take what the broker's log told of a session.",
        "'devicehub logs functions' has the call.",
    ),
}


def sort_of(kind: str) -> AlarmSort:
    """What all alarms of a kind have in common."""
    return SORTS.get(kind) or AlarmSort(Severity.WARNING, kind.replace("-", " ").capitalize() + ": {subject}", _LOG)


def alarm_id(kind: str, subject: str) -> str:
    """The key of an alarm: its kind and a digest, as a subject may be any text."""
    about = f"{kind} {subject}".encode("utf-8", "surrogatepass")
    return f"{kind}-{sha256(about).hexdigest()[:16]}"


def text_of(alarm: Alarm) -> str:
    """What it says to a person."""
    subject = alarm.subject or "one of the hub's parts"
    told = sort_of(alarm.kind).text.replace("{subject}", "others" if alarm.subject == MORE else subject)
    return f"{told} {alarm.detail}" if alarm.detail else told


def shown(text: str, most: int) -> str:
    """A text that came from outside, so that it can be shown: short, and without control characters."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:most])


def sight(
    found: Alarm | None, kind: str, subject: str, at: datetime, *, detail: str = "", severity: Severity | None = None
) -> Alarm:
    """The alarm after its cause was seen: a new one, the open one counted, or the closed one opened again.

    One that was seen less than a minute ago (an hour, where it stands for a
    state) is given back as it is, unless it has become worse; then nobody has
    acknowledged that yet.
    """
    grave = severity or sort_of(kind).severity
    told = shown(detail, _MAX_DETAIL_CHARACTERS)
    fresh = Alarm(kind, subject_of(subject), grave, told, at, at)
    if found is None:
        return fresh
    if found.closed_at is not None:
        return replace(fresh, times=found.times + 1)
    is_worse = grave is Severity.CRITICAL and found.severity is Severity.WARNING
    if not is_worse and is_fresh(found, at):
        return found
    seen = replace(found, severity=grave, detail=told, seen_at=max(at, found.seen_at), count=found.count + 1)
    return replace(seen, acknowledged_at=None, acknowledged_by=None) if is_worse else seen


def is_fresh(alarm: Alarm, now: datetime) -> bool:
    """Whether an alarm was seen so short a time ago that seeing it again is no news."""
    return now - alarm.seen_at < (_SEEN_GRAIN if sort_of(alarm.kind).quiet is not None else _STATE_GRAIN)


def subject_of(text: str) -> str:
    """What an alarm is about, as it is kept."""
    return shown(text, _MAX_SUBJECT_CHARACTERS)


def close(alarm: Alarm, at: datetime) -> Alarm:
    """The alarm when its cause is gone; a closed one keeps its time."""
    return alarm if alarm.closed_at is not None else replace(alarm, closed_at=at)


def acknowledge(alarm: Alarm, by: str, at: datetime) -> Alarm:
    """The alarm when somebody has taken it on; the first to do so stays, and a closed one needs nobody."""
    if alarm.state is not AlarmState.OPEN:
        return alarm
    return replace(alarm, acknowledged_at=at, acknowledged_by=by)


def is_over(alarm: Alarm, now: datetime) -> bool:
    """Whether an open alarm is over because nothing was seen of its cause for long enough."""
    quiet = sort_of(alarm.kind).quiet
    return alarm.closed_at is None and quiet is not None and now - alarm.seen_at >= quiet


def is_forgotten(alarm: Alarm, now: datetime) -> bool:
    """Whether a closed alarm is so old that it need not be kept."""
    return alarm.closed_at is not None and now - alarm.closed_at >= CLOSED_KEPT
