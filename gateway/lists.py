"""A list for the whitelist as it comes over HTTP: CSV, JSON objects a line, or one JSON object."""

from typing import Annotated, Any, Final, TypeVar

import orjson
from pydantic import Field, ValidationError

from functions.contract.messages import HardwareVersion, Manufacturer, Note, Request
from functions.domain.faults import Malformed
from functions.domain.whitelist import MAX_LINES, Line, line_of_value, read_objects, read_text, with_defaults
from gateway.problems import Refusal

JSON: Final = "application/json"
CSV: Final = ("text/csv", "text/plain")
NDJSON: Final = ("application/x-ndjson", "application/jsonl")


class BatchOptions(Request):
    """How a list is taken: whether only to judge it, and what its lines have where they say nothing themselves."""

    dry_run: bool = False
    note: Note = ""
    hardware_version: HardwareVersion = ""
    manufacturer: Manufacturer = ""


class Batch(BatchOptions):
    """A list as one JSON object; an entry is an object with ``uuid`` and what else is known, or the UUID alone."""

    entries: Annotated[list[Any], Field(min_length=1, max_length=MAX_LINES)]


M = TypeVar("M", bound=BatchOptions)


def read_batch(content_type: str, body: bytes, options: dict[str, Any]) -> tuple[list[Line], bool]:
    """The lines of a body, and whether they are only to be judged.

    Args:
        content_type: of the body; it is UTF-8 whatever this says.
        body: as it came.
        options: of the query.

    Raises:
        Refusal: it is of another kind (415).
        Malformed: it cannot be read, or an option is wrong.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == JSON:
        batch = _checked(Batch, {**_object(body), **options})
        lines = [line_of_value(number, value) for number, value in enumerate(batch.entries, start=1)]
        chosen: BatchOptions = batch
    elif kind in CSV or kind in NDJSON:
        chosen = _checked(BatchOptions, options)
        lines = (read_text if kind in CSV else read_objects)(_text(body))
    else:
        raise Refusal(
            Malformed(detail=f"Send the list as {JSON}, {CSV[0]} or {NDJSON[0]}, in UTF-8, not compressed."), status=415
        )
    return (
        with_defaults(
            lines,
            note=chosen.note,
            hardware_version=chosen.hardware_version,
            manufacturer=chosen.manufacturer,
        ),
        chosen.dry_run,
    )


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise Malformed(detail=f"The list is not UTF-8, at byte {problem.start}.") from problem


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except ValueError as problem:
        raise Malformed(detail=f"The payload is not JSON: {problem}.") from problem
    if not isinstance(value, dict):
        raise Malformed(detail="payload: must be an object", fields={"payload": "must be an object"})
    return value


def _checked(model: type[M], values: dict[str, Any]) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as problem:
        errors = problem.errors(include_url=False, include_context=False, include_input=False)[:20]
        fields = {".".join(map(str, error["loc"]))[:64]: error["msg"] for error in errors}
        raise Malformed(detail="; ".join(f"{name}: {wrong}" for name, wrong in fields.items()), fields=fields) from None
