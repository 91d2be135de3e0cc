"""Query parameters as the values of a message: the message says what each may be."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from pydantic import BaseModel

from functions.domain.faults import Malformed

Pairs = list[tuple[str, str]]

_MAX_PARAMETERS = 64
_MAX_DIGITS = 15
_SWITCH = {"true": True, "false": False}
_SHOWN_CHARACTERS = 64


class Parameters:
    """The query parameters of an address: the fields of a message, or none.

    Args:
        model: the message.
    """

    def __init__(self, model: type[BaseModel] | None = None) -> None:
        self.schemas: Mapping[str, dict[str, Any]] = (
            {}
            if model is None
            else {name: _plain(one) for name, one in model.model_json_schema()["properties"].items()}
        )

    def read(self, query: bytes) -> tuple[Pairs, dict[str, Any]]:
        """The parameters as they came, and as values of the message.

        Only names are judged here. A text that is no number stays a text, so
        that the function says of which field that is wrong.

        Raises:
            Malformed: an unknown parameter, one given twice that takes one
                value, too many, or bytes that are not UTF-8.
        """
        if not query:
            return [], {}
        pairs = _parse(query)
        values: dict[str, Any] = {}
        wrong: dict[str, str] = {}
        for name, text in pairs:
            kind = self.schemas.get(name, {}).get("type")
            if kind is None:
                wrong[name[:_SHOWN_CHARACTERS]] = "is no parameter of this address"
            elif kind == "array":
                values.setdefault(name, []).append(text)
            elif name in values:
                wrong[name] = "is given more than once"
            else:
                is_number = kind == "integer" and text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
                is_switch = kind == "boolean" and text in _SWITCH
                values[name] = int(text) if is_number else _SWITCH[text] if is_switch else text
        if wrong:
            told = "; ".join(f"{name}: {text}" for name, text in wrong.items())
            raise Malformed(detail=told, fields=wrong)
        return pairs, values


def page_links(path: str, pairs: Pairs, limit: int, offset: int, total: int) -> str:
    """The ``Link`` header of a page: relative, so that it holds behind any proxy."""
    last = max(total - 1, 0) // limit * limit
    offsets = {"first": 0}
    if offset > 0:
        offsets["prev"] = min(max(offset - limit, 0), last)
    if offset + limit < total:
        offsets["next"] = offset + limit
    offsets["last"] = last
    others = [pair for pair in pairs if pair[0] not in ("limit", "offset")]
    return ", ".join(
        f'<{path}?{urlencode([*others, ("limit", limit), ("offset", begin)])}>; rel="{relation}"'
        for relation, begin in offsets.items()
    )


def _parse(query: bytes) -> Pairs:
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except UnicodeError as problem:
        raise Malformed(detail="The query string is not UTF-8 in percent-encoding.") from problem
    except ValueError as problem:
        raise Malformed(detail=f"The query string has more than {_MAX_PARAMETERS} parameters.") from problem


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field without ``null``, which no parameter can say, and without the model's own names."""
    for choice in schema.get("anyOf", ()):
        if choice.get("type") != "null":
            schema = {**schema, **choice}
    return {name: value for name, value in schema.items() if name not in ("anyOf", "title") and value is not None}
