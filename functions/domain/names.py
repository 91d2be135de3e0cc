"""Names that reach a topic, a subject or a certificate, checked once when made.

A name is checked where it enters and trusted from then on: ``DeviceId`` and
``ClaimName`` are only made by the functions here.
"""

import re
from typing import NewType

from functions.domain.faults import Malformed

DeviceId = NewType("DeviceId", str)
ClaimName = NewType("ClaimName", str)

# One level of a topic and one token of a subject. The length bound matters: a
# subject over 4,096 bytes makes a NATS server close the connection for good.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DEVICE_ID = re.compile(r"(?!(?:claim|hub)-)[A-Za-z0-9][A-Za-z0-9_-]{3,63}", re.IGNORECASE | re.ASCII)
# Every device id has the form of a role too.
_ROLE = re.compile(r"(?!(?:claim|hub)-)[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.IGNORECASE | re.ASCII)
_CLAIM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,57}", re.ASCII)
_UUID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{3,63}", re.ASCII)

CLAIM_PREFIX = "claim-"


def is_token(text: str) -> bool:
    """Whether a text may stand as one topic level and one subject token."""
    return _TOKEN.fullmatch(text) is not None


def is_device_id(text: str) -> bool:
    """Whether a text has the form of a device id."""
    return _DEVICE_ID.fullmatch(text) is not None


def is_role(text: str) -> bool:
    """Whether a text has the form of a role, and may so be what a device is addressed by."""
    return _ROLE.fullmatch(text) is not None


def device_id(text: str) -> DeviceId:
    """Check a device id: 4 to 64 letters, digits, ``_`` and ``-``, beginning with a letter or digit.

    Names that begin ``claim-`` or ``hub-`` in any case belong to the hub.

    Raises:
        Malformed: the text is no device id.
    """
    if not is_device_id(text):
        raise Malformed(
            detail="A device id is 4 to 64 letters, digits, '_' or '-', begins with a letter or digit,"
            " and does not begin with 'claim-' or 'hub-'."
        )
    return DeviceId(text)


def claim_name(text: str) -> ClaimName:
    """Check the name of a claim certificate: 1 to 58 letters, digits, ``_`` and ``-``.

    58, because its common name is ``claim-`` and the name, and an X.509
    common name has at most 64 characters (RFC 5280, upper bounds).

    Raises:
        Malformed: the text is no claim name.
    """
    if _CLAIM_NAME.fullmatch(text) is None:
        raise Malformed(detail="A claim name is 1 to 58 letters, digits, '_' or '-' and begins with a letter or digit.")
    return ClaimName(text)


def hardware_uuid(text: str) -> str:
    """Check a hardware UUID and give its canonical spelling, in lower case.

    Any identifier of 4 to 64 letters, digits, ``_`` and ``-`` will do: boards
    in the field report serial numbers as well as RFC 9562 UUIDs.

    Raises:
        Malformed: the text is no hardware UUID.
    """
    if _UUID.fullmatch(text) is None:
        raise Malformed(detail="A hardware UUID is 4 to 64 letters, digits, '_' or '-'.")
    return text.lower()


def id_key(name: str) -> str:
    """Where an id or a role is reserved: those that differ only in case are one."""
    return f"id-{name.lower()}"


def uuid_key(uuid_hash: str) -> str:
    """Where a UUID is bound to its device."""
    return f"uuid-{uuid_hash}"
