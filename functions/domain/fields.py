"""What each field of a query can be asked: which signs it takes, and what its values are."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from functions.domain.devices import Lifecycle
from functions.domain.inventory import Status
from functions.domain.query import (
    REPORTED,
    AnyOf,
    Compare,
    Condition,
    Field,
    Is,
    Pattern,
    Sign,
    Tagged,
    Value,
)
from functions.domain.versions import version_of

Signs = tuple[tuple[str, bool], ...]

# Names that a device's view has for the same.
_ALIASES: Final = {"deviceName": Field.ID, "displayName": Field.NAME}
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    Field.STATUS: tuple(Status),
    Field.LIFECYCLE: tuple(Lifecycle),
    Field.IN_SYNC: ("true", "false"),
}
_AGE: Final = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_NUMBER: Final = re.compile(r"-?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,2})?")
_LITERALS: Final[Mapping[str, Value]] = {"true": True, "false": False, "null": None}
_MOST_TOLD: Final = 40


class WrongValue(Exception):
    """What is wrong with a condition: with its field, or with its value."""

    def __init__(self, told: str, *, is_of_field: bool = False) -> None:
        super().__init__(told)
        self.is_of_field = is_of_field


@dataclass(frozen=True, slots=True)
class _Told:
    """A condition as it was written: the field's true name, its sign, and the value's signs."""

    field: str
    sign: Sign
    signs: Signs

    @property
    def text(self) -> str:
        return "".join(sign for sign, _ in self.signs)

    @property
    def pattern(self) -> Pattern:
        return pattern_of(self.signs)

    @property
    def is_quoted(self) -> bool:
        return any(is_quoted for _, is_quoted in self.signs)


def condition_of(field: str, sign: str, signs: Signs, paths: Collection[str]) -> Condition:
    """The condition that a field, a sign (``:`` is ``=``) and a value say.

    Raises:
        WrongValue: there is no such field, it takes another sign, or another value.
    """
    told = _Told(_field(field, paths), Sign.EQUAL if sign == ":" else Sign(sign), signs)
    if told.field.startswith(REPORTED):
        return _reported(told)
    return _READERS[Field(told.field)](told)


def pattern_of(signs: Signs) -> Pattern:
    """The pattern of signs, each with whether it stood within quotes, where ``*`` stands for itself."""
    pieces = [""]
    for sign, is_quoted in signs:
        if sign == "*" and not is_quoted:
            pieces.append("")
        else:
            pieces[-1] += sign
    return Pattern(tuple(pieces))


def _field(name: str, paths: Collection[str]) -> str:
    if name.startswith(REPORTED):
        if name.removeprefix(REPORTED) in paths:
            return name
        known = ", ".join(f"{REPORTED}{path}" for path in sorted(paths)) or "none so far"
        told = f"'{_shown(name)}' cannot be asked for; HUB_QUERY_PATHS says which can: {known}"
        raise WrongValue(told, is_of_field=True)
    for field in Field:
        if name.casefold() == field.casefold():
            return field
    if name in _ALIASES:
        return _ALIASES[name]
    fields = ", ".join([*Field, f"{REPORTED}PATH"])
    told = f"there is no field '{_shown(name)}'; there are {fields}. Put a text that looks like one in quotes"
    raise WrongValue(told, is_of_field=True)


def _text(told: _Told) -> Condition:
    _only_equal(told)
    return Is(told.field, told.pattern)


def _word(told: _Told) -> Condition:
    _only_equal(told)
    words = _WORDS[told.field]
    if not any(map(told.pattern.matches, words)):
        raise WrongValue(f"{told.field} is one of {', '.join(words)}, not '{_shown(told.text)}'")
    return Is(told.field, told.pattern)


def _tag(told: _Told) -> Condition:
    _only_equal(told)
    equals = next((place for place, sign in enumerate(told.signs) if sign == ("=", False)), None)
    key = pattern_of(told.signs[:equals])
    if key.pieces == ("",):
        raise WrongValue("a tag is 'key=value', or 'key' for any value")
    return Tagged(key, None if equals is None else pattern_of(told.signs[equals + 1 :]))


def _version(told: _Told) -> Condition:
    if told.sign is Sign.EQUAL:
        return Is(told.field, told.pattern)
    version = version_of(_plain(told))
    if version is None:
        raise WrongValue(f"'{_shown(told.text)}' is no version; one is such as 1.4 or 2.0-rc.1")
    return Compare(told.field, told.sign, version)


def _time(told: _Told) -> Condition:
    if told.sign is Sign.EQUAL:
        if told.pattern.is_any:
            return Is(told.field, told.pattern)
        raise WrongValue(f"{told.field} is compared with '<', '<=', '>' or '>='; '{told.field}:*' is any time")
    text = _plain(told)
    if age := _AGE.fullmatch(text):
        return Compare(told.field, told.sign, timedelta(**{_UNITS[age[2]]: int(age[1])}))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WrongValue(
            f"'{_shown(text)}' is no time; one is such as 7d (that long ago; also s, m, h, w), 2026-01-31"
            " or 2026-01-31T12:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return Compare(told.field, told.sign, moment.astimezone(UTC))
    except OverflowError:
        raise WrongValue(f"'{_shown(text)}' lies outside of time") from None


def _reported(told: _Told) -> Condition:
    """A path of what a device reports: numbers compare with numbers, texts with texts."""
    literal = _literal(told)
    if told.sign is not Sign.EQUAL:
        value = told.text if literal is _NO_LITERAL else literal
        if isinstance(value, bool) or value is None:
            raise WrongValue("'<', '<=', '>' and '>=' compare numbers and texts; put a text in quotes")
        return Compare(told.field, told.sign, _plain(told) if isinstance(value, str) else value)
    is_text = Is(told.field, told.pattern)
    if literal is _NO_LITERAL:
        return is_text
    assert not isinstance(literal, str)
    return AnyOf((Compare(told.field, Sign.EQUAL, literal), is_text))


_NO_LITERAL: Final = ""


def _literal(told: _Told) -> Value:
    """The number, truth value or null that a value says; a text where it says none, or says it in quotes."""
    if told.is_quoted:
        return _NO_LITERAL
    if told.text in _LITERALS:
        return _LITERALS[told.text]
    return float(told.text) if _NUMBER.fullmatch(told.text) else _NO_LITERAL


def _only_equal(told: _Told) -> None:
    if told.sign is not Sign.EQUAL:
        raise WrongValue(f"{told.field} is compared with ':', not with '{told.sign}'", is_of_field=True)


def _plain(told: _Told) -> str:
    """The text of a value that is compared."""
    if not told.pattern.is_exact:
        raise WrongValue(f"'*' stands for anything only after ':', not after '{told.sign}'")
    return told.text


def _shown(text: str) -> str:
    """A text as a refusal repeats it: bounded, and without signs that would steer a terminal."""
    short = text if len(text) <= _MOST_TOLD else f"{text[:_MOST_TOLD]}…"
    return "".join(sign if sign.isprintable() else "?" for sign in short)


_READERS: Final[Mapping[Field, Callable[[_Told], Condition]]] = {
    Field.ID: _text,
    Field.NAME: _text,
    Field.ROLE: _text,
    Field.MODEL: _text,
    Field.FIRMWARE: _version,
    Field.GROUP: _text,
    Field.TAG: _tag,
    Field.STATUS: _word,
    Field.LIFECYCLE: _word,
    Field.IN_SYNC: _word,
    Field.OUT_OF_SYNC: _time,
    Field.LAST_SEEN: _time,
    Field.CREATED: _time,
    Field.UPDATED: _time,
}
