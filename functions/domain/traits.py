"""What a device is, by its own word: model, firmware and metadata, and where each was found.

=============  =============================================================  ==================
of a device    from the reported half of its twin                             else from joining
=============  =============================================================  ==================
``model``      ``reported.model``, a text                                     ``meta.model``
``firmware``   ``reported.firmware``, a text, or ``reported.firmware.version``  ``meta.firmware``
``metadata``   the members of ``reported.metadata``, an object                the members of ``meta``
=============  =============================================================  ==================

What it reports comes first, as it told that last. Where neither says it,
model and firmware are what the registry's record has (an import writes it).
What has another form is passed over, and so is a text of more than 128
characters and reported metadata of more than 4 KiB in JSON: lists show it of
every device, and keep it ready in memory, so no device may fill them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from functions.domain.devices import Device
from functions.domain.documents import MAX_DEPTH, check, size
from functions.domain.faults import Malformed

MAX_TRAIT_CHARACTERS = 128
MAX_METADATA_BYTES = 4 * 1024


class Source(StrEnum):
    """Who said it: the device in its twin, the device when it joined, or the registry's record."""

    REPORTED = "reported"
    ONBOARDING = "onboarding"
    RECORD = "record"


# As a tuple, which is gone through in a fifth of the time.
_SOURCES = tuple(Source)


@dataclass(frozen=True, slots=True)
class Traits:
    """What a device is; the sources have only what is known, ``metadata_from`` by the first level of names."""

    model: str = ""
    firmware: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    model_from: Source | None = None
    firmware_from: Source | None = None
    metadata_from: dict[str, Source] = field(default_factory=dict)


def traits(device: Device, reported: Mapping[str, Any] | None = None) -> Traits:
    """What a device is, by its record and by the document of its reported half, where that was read."""
    shown = own_word(reported or {})
    joined = device.metadata
    told = shown.get("metadata", {})
    model, model_from = _first(shown.get("model"), joined.get("model"), device.model)
    version, firmware_from = _first(shown.get("firmware"), joined.get("firmware"), device.firmware)
    return Traits(
        model=model,
        firmware=version,
        metadata={**joined, **told},
        model_from=model_from,
        firmware_from=firmware_from,
        metadata_from={**dict.fromkeys(joined, Source.ONBOARDING), **dict.fromkeys(told, Source.REPORTED)},
    )


def known_traits(
    model: str, firmware: str, joined: dict[str, Any], own: Mapping[str, Any]
) -> tuple[str, str, dict[str, Any]]:
    """Model, firmware and metadata as ``traits`` has them, for who asks of very many and not where each was found.

    Args:
        model: of the record.
        firmware: likewise.
        joined: the metadata of the record; given back as it is where the device reports none.
        own: what ``own_word`` gave of the reported half.
    """
    told = own.get("metadata")
    return (
        _first(own.get("model"), joined.get("model"), model)[0],
        _first(own.get("firmware"), joined.get("firmware"), firmware)[0],
        {**joined, **told} if told else joined,
    )


def own_word(reported: Mapping[str, Any]) -> dict[str, Any]:
    """What the document of a reported half says of it, as far as that is not passed over: all that a list must keep.

    Of this, the same can be said again: firmware is the text that it is.
    """
    told = {name: reported[name] for name in ("model", "firmware", "metadata") if name in reported}
    firmware, metadata = told.get("firmware"), told.get("metadata")
    if isinstance(firmware, dict):
        told["firmware"] = firmware.get("version")
    if not isinstance(metadata, dict) or size(metadata) > MAX_METADATA_BYTES:
        told.pop("metadata", None)
    return {name: value for name, value in told.items() if name == "metadata" or _is_trait(value)}


def check_metadata(metadata: dict[str, Any] | None, name: str = "meta") -> None:
    """Bound what a device tells of itself when it joins: 4 KiB of JSON, 10 levels deep, and what any document takes.

    Args:
        metadata: what it tells; None for nothing.
        name: of the field that has it, for the refusal.

    Raises:
        Malformed: it is more, or has what no document takes (an integer
            beyond 2^53, say); with ``fields``.
    """
    if metadata is None:
        return
    if _depth(metadata) > MAX_DEPTH:
        raise _refused(name, f"is nested more than {MAX_DEPTH} levels deep.")
    try:
        check(metadata)
    except Malformed as refusal:
        raise _refused(name, f"cannot be kept: {refusal.detail}") from refusal
    if (held := size(metadata)) > MAX_METADATA_BYTES:
        raise _refused(name, f"has {held} bytes of JSON; {MAX_METADATA_BYTES} are accepted.")


def _refused(name: str, told: str) -> Malformed:
    return Malformed(detail=f"'{name}' {told}", fields={name: told})


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _first(*said: Any) -> tuple[str, Source | None]:
    """The first text of those said, in the order of the sources."""
    for text, source in zip(said, _SOURCES, strict=True):
        if _is_trait(text):
            return text, source
    return "", None


def _is_trait(said: Any) -> bool:
    return isinstance(said, str) and 0 < len(said) <= MAX_TRAIT_CHARACTERS
