"""The broker's log lines, as Mosquitto 2.0.11 writes them.

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
_CONNECTED = ("New client connected from ", "New bridge connected from ")
_AS = re.compile(r":\d+ as ")
_TRAITS = re.compile(r" \(p\d+, c\d+, k\d+, u'([^']*)'\)\.")
_CLIENT = "Client "
_ENDS = (
    (" disconnected.", "disconnected"),
    (" closed its connection.", "disconnected"),
    (" has exceeded timeout, disconnecting.", "timeout"),
    (" been disconnected by administrative action.", "ended"),
    (" disconnected, not authorised.", "disconnected"),
)
# A reason of the broker's own follows.
_ENDS_BECAUSE = ((" disconnected due to ", re.compile(r"[a-zA-Z ]+\.")), (" disconnected: ", re.compile(r"[^:,]*\.")))
_BAD_SOCKET = "Bad socket read/write on client "
_DROPPING = "Outgoing messages are being dropped for client "
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
    """What a line tells; None for one of no concern here.

    ``level`` is the one that the broker wrote it at: ``N``, ``E`` or ``I``.
    """
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
    # Searched with string methods, from the ends: a pattern for a whole line
    # takes milliseconds over one that was made for it.
    if text.startswith(_CONNECTED):
        return (None if is_cut else _connected(at, text)) or Unreadable(at, text)
    if is_cut:
        return None
    if text.startswith(_CLIENT):
        return _ended(at, text.removeprefix(_CLIENT))
    if text.startswith(_BAD_SOCKET):
        client_id, colon, _ = text.removeprefix(_BAD_SOCKET).rpartition(": ")
        return Ended(at, client_id, "disconnected") if colon else None
    if text.startswith(_DROPPING):
        return Dropping(at, text.removeprefix(_DROPPING).removesuffix("."))
    return None


def _connected(at: datetime, text: str) -> Connected | None:
    rest = text[len(_CONNECTED[0]) :]
    begin = _AS.search(rest)
    end = rest.rfind(" (p")
    traits = _TRAITS.fullmatch(rest, max(end, 0))
    if begin is None or traits is None or begin.end() > end:
        return None
    client_id = rest[begin.end() : end]
    address = rest[: begin.end() - len(" as ")]
    return None if client_id == _NO_CLIENT_ID else Connected(at, client_id, traits[1], address)


def _ended(at: datetime, rest: str) -> Ended | None:
    for suffix, evidence in _ENDS:
        if rest.endswith(suffix):
            return _unless_unknown(at, rest.removesuffix(suffix), evidence)
    for words, reason in _ENDS_BECAUSE:
        client_id, found, why = rest.rpartition(words)
        if found and reason.fullmatch(why):
            return _unless_unknown(at, client_id, "disconnected")
    return None


def _unless_unknown(at: datetime, client_id: str, evidence: str) -> Ended | None:
    return None if client_id == _NO_CLIENT_ID else Ended(at, client_id, evidence)


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
