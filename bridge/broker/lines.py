"""The broker's log lines, as Mosquitto 2.0.11 publishes them below ``$SYS/broker/log/``.

A client id is free text and stands in the middle of a line, so it may hold
anything that a line holds. What keeps one client from writing another's line:

* lines are matched from the first character to the last, the client id takes
  all that it can, and the common name is only what the last ``u'...'`` holds;
* each line is read only at the level that the broker writes it at: an error
  about a client called ``EDGB-0001 disconnected:`` would else be the end of
  another's session (found by a property test);
* a line of 999 bytes may have been cut by the broker, and then what looks like
  its end is the client's own text: it is never read;
* ``<unknown>`` is what the broker calls a client without an id, so a client
  that takes it for its id is not followed.

A connect line that cannot be read is ``Unreadable``: somebody is connected and
nobody knows who, which is worth an alarm.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

# Mosquitto formats a line into 1,000 bytes, the last of them a NUL.
_LONGEST_BYTES = 999
_NO_CLIENT_ID = "<unknown>"

# "New bridge" is what any client is called that sets the top bit of the
# protocol version, so it is as good as "New client". The broker's own unix
# socket has a path, which may have blanks, for an address.
_CONNECTED = re.compile(
    r"New (?:client|bridge) connected from (.+?:\d+) as (.*) \(p\d+, c\d+, k\d+, u'([^']*)'\)\.", re.DOTALL
)
_CONNECTED_AT_ALL = ("New client connected from ", "New bridge connected from ")
_ENDS = (
    (re.compile(r"Client (.*) disconnected\.", re.DOTALL), "disconnected"),
    (re.compile(r"Client (.*) closed its connection\.", re.DOTALL), "disconnected"),
    (re.compile(r"Client (.*) has exceeded timeout, disconnecting\.", re.DOTALL), "timeout"),
    (re.compile(r"Client (.*) been disconnected by administrative action\.", re.DOTALL), "ended"),
    (re.compile(r"Client (.*) disconnected due to [a-zA-Z ]+\.", re.DOTALL), "disconnected"),
    (re.compile(r"Client (.*) disconnected, not authorised\.", re.DOTALL), "disconnected"),
    (re.compile(r"Client (.*) disconnected: [^:,]*\.", re.DOTALL), "disconnected"),
    (re.compile(r"Bad socket read/write on client (.*): [^:,]*", re.DOTALL), "disconnected"),
)
_DROPPING = re.compile(r"Outgoing messages are being dropped for client (.*)\.", re.DOTALL)
_RUNNING = re.compile(r"mosquitto version \S+ running")
_RELOAD_FAULTS = ("Error: Unable to load ", "Error when reloading ")


@dataclass(frozen=True, slots=True)
class Connected:
    """A client was let in."""

    at: datetime
    client_id: str
    common_name: str
    address: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A client's connection is over; ``evidence`` as in ``functions.domain.sessions``.

    A takeover has no such line: the next connect line says it.
    """

    at: datetime
    client_id: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A client was let in, and the line does not tell for certain which."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Dropping:
    """The queue of a client is full and its newest messages are lost."""

    at: datetime
    client_id: str


@dataclass(frozen=True, slots=True)
class Running:
    """The broker has started: what the queue held before this line is of its former life."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Reloading:
    """The broker has begun to read its files again."""

    at: datetime


@dataclass(frozen=True, slots=True)
class ReloadFailed:
    """The broker could not read one of its files."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Saving:
    """The broker has begun to write its sessions to disk."""

    at: datetime


@dataclass(frozen=True, slots=True)
class SavingFailed:
    """The broker could not write its sessions to disk."""

    at: datetime
    text: str


Line = Connected | Ended | Unreadable | Dropping | Running | Reloading | ReloadFailed | Saving | SavingFailed


def parse(level: str, payload: bytes) -> Line | None:
    """What a line of a level (``N``, ``E`` or ``I``, the topic's last) tells; None for one of no concern here."""
    stamp, _, rest = payload.partition(b": ")
    if not stamp.isdigit() or len(stamp) > 11:
        return None
    at = datetime.fromtimestamp(int(stamp), UTC)
    text = rest.decode(errors="replace")
    match level:
        case "N":
            return _notice(at, text, is_cut=len(payload) >= _LONGEST_BYTES)
        case "E":
            return ReloadFailed(at, text) if text.startswith(_RELOAD_FAULTS) else None
        case "I":
            return _information(at, text)
        case _:
            return None


def _notice(at: datetime, text: str, *, is_cut: bool) -> Line | None:
    if text.startswith(_CONNECTED_AT_ALL):
        told = _CONNECTED.fullmatch(text)
        if told is None or is_cut or told[2] == _NO_CLIENT_ID:
            return Unreadable(at, text)
        return Connected(at, told[2], told[3], told[1])
    if is_cut:
        return None
    for pattern, evidence in _ENDS:
        told = pattern.fullmatch(text)
        if told is not None:
            return None if told[1] == _NO_CLIENT_ID else Ended(at, told[1], evidence)
    told = _DROPPING.fullmatch(text)
    return Dropping(at, told[1]) if told is not None else None


def _information(at: datetime, text: str) -> Line | None:
    if _RUNNING.fullmatch(text):
        return Running(at)
    if text == "Reloading config.":
        return Reloading(at)
    if text.startswith("Saving in-memory database to "):
        return Saving(at)
    if text.startswith("Error saving in-memory database"):
        return SavingFailed(at, text)
    return None
