"""What operators write into a device's record: which values it takes, and how a change is put into it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Conflict, Denied, Malformed, Reason
from functions.domain.names import is_role, is_token

MAX_NAME_CHARACTERS = 128
MAX_NOTES_CHARACTERS = 4096
MAX_GROUPS = 32
MAX_TAGS = 64
MAX_TAG_CHARACTERS = 256

_SHOWN = ("lifecycle", "name", "role", "groups", "tags", "notes", "replaces", "replaced_by")

_TAG_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Notes have lines; nothing else in them may steer a terminal.
_CONTROL_IN_NOTES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class RecordPatch:
    """A change of a record; what is None stays as it is.

    ``role`` is the new one, or empty to have none. ``groups`` are all it is
    to be in. ``tags`` are merged into those it has; None as a value removes.
    """

    name: str | None = None
    role: str | None = None
    groups: tuple[str, ...] | None = None
    tags: dict[str, str | None] = field(default_factory=dict)
    clears_tags: bool = False
    notes: str | None = None


def check_patch(patch: RecordPatch) -> None:
    """Refuse values that no record may have.

    Raises:
        Malformed: with ``fields`` that name each wrong one.
    """
    wrong: dict[str, str] = {}
    if patch.name is not None and (len(patch.name) > MAX_NAME_CHARACTERS or _CONTROL.search(patch.name)):
        wrong["displayName"] = f"must be at most {MAX_NAME_CHARACTERS} characters, none of them a control character"
    if patch.role and not is_role(patch.role):
        wrong["role"] = (
            "must be 1 to 64 letters, digits, '_' or '-', begin with a letter or digit, and not with 'claim-' or 'hub-'"
        )
    if patch.notes is not None and (
        len(patch.notes) > MAX_NOTES_CHARACTERS or _CONTROL_IN_NOTES.search(patch.notes) is not None
    ):
        wrong["notes"] = f"must be at most {MAX_NOTES_CHARACTERS} characters of text"
    if patch.groups is not None and (problem := _wrong_groups(patch.groups)):
        wrong["groups"] = problem
    if problem := _wrong_tags(patch.tags):
        wrong["tags"] = problem
    _refuse(wrong)


def amend_record(device: Device, patch: RecordPatch, at: datetime) -> Device:
    """The record with a checked change; the very same one if it changes nothing.

    Raises:
        Malformed: it would have more tags than a record takes.
        Denied: ``device_retired``: a retired device can be given no role.
    """
    role = device.role if patch.role is None else patch.role or None
    if role is not None and device.lifecycle is Lifecycle.RETIRED:
        raise Denied(Reason.DEVICE_RETIRED, "A retired device can be given no role.")
    changed = replace(
        device,
        name=device.name if patch.name is None else patch.name,
        role=role,
        groups=device.groups if patch.groups is None else tuple(dict.fromkeys(patch.groups)),
        tags=_merged({} if patch.clears_tags else device.tags, patch.tags),
        notes=device.notes if patch.notes is None else patch.notes,
    )
    if changed == device:
        return device
    check_labels(changed.groups, changed.tags)
    return replace(changed, updated_at=at)


def changes(before: Device, after: Device) -> tuple[dict[str, Any], dict[str, Any]]:
    """What operators see of a change: the fields that differ, as they were and as they are."""
    names = [name for name in _SHOWN if getattr(before, name) != getattr(after, name)]
    return {name: getattr(before, name) for name in names}, {name: getattr(after, name) for name in names}


def check_labels(groups: tuple[str, ...], tags: Mapping[str, str]) -> None:
    """Refuse groups and tags that would be too many for one record.

    Raises:
        Malformed: with ``fields``.
    """
    wrong: dict[str, str] = {}
    if len(groups) > MAX_GROUPS:
        wrong["groups"] = f"the device would be in {len(groups)}; at most {MAX_GROUPS} are kept"
    if len(tags) > MAX_TAGS:
        wrong["tags"] = f"the device would have {len(tags)}; at most {MAX_TAGS} are kept"
    _refuse(wrong)


def expect_version(version: int, expected: int | None) -> None:
    """Refuse a change of a record that has moved on since it was read.

    Raises:
        Conflict: the version is not the expected one.
    """
    if expected is not None and expected != version:
        raise Conflict(detail=f"The version is {version}, not {expected}. Read it again, then decide.")


def _wrong_groups(groups: tuple[str, ...]) -> str:
    if len(groups) > MAX_GROUPS:
        return f"must be at most {MAX_GROUPS}"
    if not all(map(is_token, groups)):
        return "must each be 1 to 64 letters, digits, '_' or '-'"
    return ""


def _wrong_tags(tags: Mapping[str, str | None]) -> str:
    if len(tags) > 2 * MAX_TAGS:
        return f"must be at most {2 * MAX_TAGS} at once"
    if not all(map(_TAG_KEY.fullmatch, tags)):
        return "must each be named by 1 to 64 letters, digits, '_', '-' or '.', not beginning with '-' or '.'"
    for text in tags.values():
        if text is not None and (len(text) > MAX_TAG_CHARACTERS or _CONTROL.search(text)):
            return f"must each be at most {MAX_TAG_CHARACTERS} characters, none of them a control character"
    return ""


def _merged(tags: Mapping[str, str], patch: Mapping[str, str | None]) -> dict[str, str]:
    merged: dict[str, str | None] = {**tags, **patch}
    return {key: value for key, value in merged.items() if value is not None}


def _refuse(wrong: Mapping[str, str]) -> None:
    if wrong:
        raise Malformed(detail="; ".join(f"{name}: {text}" for name, text in wrong.items()), fields=wrong)
