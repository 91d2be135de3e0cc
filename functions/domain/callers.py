"""Who makes a call, as the edge that received it vouches for."""

from dataclasses import dataclass
from enum import Flag, auto

from functions.domain.faults import Denied


class Kind(Flag):
    """The kinds of caller; a route names those it admits."""

    DEVICE = auto()
    CLAIM = auto()
    OPERATOR = auto()
    APP = auto()
    SYSTEM = auto()


DEVICE = Kind.DEVICE
CLAIM = Kind.CLAIM
OPERATOR = Kind.OPERATOR
APP = Kind.APP
SYSTEM = Kind.SYSTEM

_WORDS = {"device": DEVICE, "claim": CLAIM, "user": OPERATOR, "app": APP, "system": SYSTEM}
_KINDS = {kind: word for word, kind in _WORDS.items()}

# A claim certificate whose name no message carried: the broker lets only
# claim certificates write the topic, but does not say which one wrote. No
# claim name can be this, as names begin with a letter or digit.
ANY_CLAIM = "-"


@dataclass(frozen=True, slots=True)
class Caller:
    """A kind and a name: ``device:EDGB-0001``, ``user:anna``, ``system:bridge``."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{_KINDS[self.kind]}:{self.name}"


def parse_caller(text: str) -> Caller:
    """Read ``kind:name``.

    Raises:
        Denied: no caller is named, or one of an unknown kind.
    """
    word, colon, name = text.partition(":")
    if not colon or not name or word not in _WORDS:
        raise Denied(detail="The call names no caller that this hub knows.")
    return Caller(_WORDS[word], name)
