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
What has another form, or is longer than 128 characters, is passed over.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from functions.domain.devices import Device

MAX_TRAIT_CHARACTERS = 128
# Where in the reported half they stand.
REPORTED_TRAITS = ("model", "firmware", "metadata")


class Source(StrEnum):
    """Who said it: the device in its twin, the device when it joined, or the registry's record."""

    REPORTED = "reported"
    ONBOARDING = "onboarding"
    RECORD = "record"


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
    shown = reported or {}
    joined = device.metadata
    firmware = shown.get("firmware")
    if isinstance(firmware, dict):
        firmware = firmware.get("version")
    told = shown.get("metadata")
    told = told if isinstance(told, dict) else {}
    model, model_from = _first(shown.get("model"), joined.get("model"), device.model)
    version, firmware_from = _first(firmware, joined.get("firmware"), device.firmware)
    return Traits(
        model=model,
        firmware=version,
        metadata={**joined, **told},
        model_from=model_from,
        firmware_from=firmware_from,
        metadata_from={**dict.fromkeys(joined, Source.ONBOARDING), **dict.fromkeys(told, Source.REPORTED)},
    )


def _first(*said: Any) -> tuple[str, Source | None]:
    """The first text of those said, in the order of the sources."""
    for text, source in zip(said, Source, strict=True):
        if isinstance(text, str) and 0 < len(text) <= MAX_TRAIT_CHARACTERS:
            return text, source
    return "", None
