"""Audit entries as they are pledged: a header of the message that is the write, in ASCII."""

import json
from collections.abc import Mapping

from functions.adapters.codec import Codec
from functions.domain.audit import AuditEntry

_HEADER = "Hub-Pledge"

CODEC: Codec[AuditEntry] = Codec(AuditEntry)


def pledge_headers(entry: AuditEntry | None) -> dict[str, str]:
    """The header of a write that an entry is to follow; none without one."""
    return {} if entry is None else {_HEADER: json.dumps(json.loads(CODEC.encode(entry)))}


def pledge_in(headers: Mapping[str, str] | None) -> AuditEntry | None:
    """The entry that the write of these headers pledged, if any. Raises Undecodable."""
    text = (headers or {}).get(_HEADER)
    return None if text is None else CODEC.decode(text.encode())
