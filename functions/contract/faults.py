"""The fault catalogue: for each reason its HTTP status, its public sentence and whether a retry can help.

Replies on the bus, ``rejected`` messages and problem pages all come from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic_core import from_json

from functions.domain.faults import Conflict, Denied, Fault, Malformed, NotFound, Reason, Unavailable

ERROR_HEADER = "Nats-Service-Error"
CODE_HEADER = "Nats-Service-Error-Code"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a reason means: its class, status and sentence; ``retry`` if the same call may succeed later."""

    fault: type[Fault]
    status: int
    sentence: str
    retry: bool = False


CATALOGUE: Mapping[Reason, Entry] = {
    Reason.BAD_REQUEST: Entry(Malformed, 400, "The request is not what this operation takes."),
    Reason.TOO_DEEP: Entry(Malformed, 400, "The document is nested too deeply."),
    Reason.QUERY_TOO_COSTLY: Entry(
        Malformed,
        400,
        "The query is more work than one may be. Have it name what it looks for, with fewer '*' and without groups"
        " that ask the same.",
    ),
    Reason.BAD_CSR: Entry(Malformed, 400, "The certificate signing request cannot be accepted."),
    Reason.BAD_CA: Entry(Malformed, 400, "The hub cannot sign with this certificate authority."),
    Reason.CN_MISMATCH: Entry(Malformed, 400, "The common name of the CSR is not the device id."),
    Reason.UUID_MISMATCH: Entry(Malformed, 400, "The UUID in the message is not the one of the topic."),
    Reason.TOO_LARGE: Entry(Malformed, 413, "The payload is over the limit of this operation."),
    Reason.METHOD_NOT_ALLOWED: Entry(Malformed, 405, "This address does not take that method."),
    Reason.UNAUTHENTICATED: Entry(Denied, 401, "Sign in, or send an API token as 'Authorization: Bearer TOKEN'."),
    Reason.DENIED: Entry(Denied, 403, "The caller may not do this."),
    Reason.WRONG_CREDENTIALS: Entry(Denied, 401, "The name, password or code is wrong."),
    Reason.FOREIGN_REQUEST: Entry(
        Denied, 403, "The request comes from another site, or lacks the header 'X-Device-Hub: 1' that it must have."
    ),
    Reason.DESIRED_IS_READ_ONLY: Entry(Denied, 403, "A device may change only the reported half of its twin."),
    Reason.ENROLMENT_CLOSED: Entry(
        Denied, 403, "Enrolment is closed. Open it with 'devicehub enrolment open --minutes 30'.", retry=True
    ),
    Reason.UUID_NOT_WHITELISTED: Entry(
        Denied,
        403,
        "The hardware UUID is not on the whitelist. Add it with 'devicehub whitelist add UUID'.",
        retry=True,
    ),
    Reason.DEVICE_SUSPENDED: Entry(Denied, 403, "The device is suspended.", retry=True),
    Reason.DEVICE_RETIRED: Entry(Denied, 403, "The device is retired."),
    Reason.NOT_FOUND: Entry(NotFound, 404, "There is no such thing."),
    Reason.UNKNOWN_DEVICE: Entry(NotFound, 404, "The registry has no such device."),
    Reason.NOT_KEPT: Entry(NotFound, 410, "That is older than what the hub keeps of it."),
    Reason.DEVICE_OFFLINE: Entry(NotFound, 404, "The device is not connected. Try again when it is.", retry=True),
    Reason.NOT_SUBSCRIBED: Entry(
        NotFound, 404, "The device is not subscribed to the topic of this, so nobody is given it.", retry=True
    ),
    Reason.NO_CLAIM_IN_PROGRESS: Entry(
        Conflict, 409, "No claim is in progress for this UUID. Send a request without a CSR first."
    ),
    Reason.NO_RENEWAL_IN_PROGRESS: Entry(
        Conflict,
        409,
        "No renewal of this device's certificate waits to be confirmed. Ask for one on certificates/renew.",
    ),
    Reason.SESSION_TOO_OLD: Entry(
        Conflict,
        409,
        "This session was not opened with the new certificate. Connect again with that, then confirm it.",
        retry=True,
    ),
    Reason.DEVICE_EXISTS: Entry(
        Conflict, 409, "A device with this id exists, and the request does not prove to be it."
    ),
    Reason.NAME_TAKEN: Entry(Conflict, 409, "The name is taken."),
    Reason.ALREADY_WHITELISTED: Entry(Conflict, 409, "The hardware UUID is on the whitelist already."),
    Reason.NO_BUNDLE: Entry(Conflict, 409, "The hub has no bundle of this claim certificate to give."),
    Reason.CA_IN_USE: Entry(
        Conflict, 409, "Devices have certificates of the hub's CA, so it cannot be replaced: they would be locked out."
    ),
    Reason.LAST_ADMIN: Entry(Conflict, 409, "Nobody could administer the hub after this. Make another admin first."),
    Reason.ALREADY_SET_UP: Entry(Conflict, 409, "The hub is set up. Sign in, or have an admin make a user for you."),
    Reason.VERSION_CONFLICT: Entry(
        Conflict, 409, "The record has changed since it was read. Read it again, then decide."
    ),
    Reason.SWAP_REFUSED: Entry(Conflict, 409, "The one device cannot take the place of the other."),
    Reason.SUPERSEDED: Entry(Conflict, 409, "A later message of the same device has been applied already."),
    Reason.GROUP_IN_USE: Entry(Conflict, 409, "Devices name the group in their records."),
    Reason.GROUP_LIMIT: Entry(Conflict, 409, "There are as many groups as there may be. Delete one first."),
    Reason.UNKNOWN_UNIT: Entry(
        NotFound, 404, "The host has no such unit. 'devicehub service list' shows those it has."
    ),
    Reason.UNKNOWN_NODE: Entry(NotFound, 404, "No host of this node name has been heard of."),
    Reason.UNIT_NOT_ALLOWED: Entry(
        Denied, 403, "The unit is not on its host's list of those that may be looked after."
    ),
    Reason.VERB_NOT_ALLOWED: Entry(Denied, 403, "This may not be asked of the unit."),
    Reason.HOST_REFUSED: Entry(Denied, 403, "The host does not let the hub do this. Its polkit rules say what it may."),
    Reason.WHICH_NODE: Entry(
        Conflict, 409, "Several hosts have a unit of this name. Say which one is meant with 'node'."
    ),
    Reason.JOB_FAILED: Entry(
        Conflict, 409, "The host began it, and it failed. The log of the unit says why.", retry=True
    ),
    Reason.RATE_LIMITED: Entry(
        Unavailable, 429, "Too many messages at once. Slow down, then send it again.", retry=True
    ),
    Reason.UNAVAILABLE: Entry(Unavailable, 503, "The hub cannot answer now. Try again in a moment.", retry=True),
    Reason.TIMEOUT: Entry(
        Unavailable, 504, "The call ran out of time; it may have been done. Read, then decide.", retry=True
    ),
    Reason.INTERNAL: Entry(Fault, 500, "Something unforeseen went wrong in the hub; its log has the call id."),
}


def fault_body(fault: Fault, now: datetime, echo: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The JSON body of a fault, with what of the request is echoed.

    ``{error, message, code, timestamp, fields?, position?, retryAfter?}``
    """
    entry = CATALOGUE[fault.reason]
    return {
        "error": str(fault.reason),
        "message": fault.detail or entry.sentence,
        "code": entry.status,
        "timestamp": now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        **({"fields": fault.fields} if fault.fields else {}),
        **({} if fault.position is None else {"position": fault.position}),
        **({} if fault.retry_after is None else {"retryAfter": fault.retry_after}),
        **(echo or {}),
    }


def encode_fault(fault: Fault, now: datetime, echo: Mapping[str, Any] | None = None) -> tuple[dict[str, str], bytes]:
    """Headers and body of the reply that carries a fault."""
    headers = {ERROR_HEADER: str(fault.reason), CODE_HEADER: str(CATALOGUE[fault.reason].status)}
    return headers, orjson.dumps(fault_body(fault, now, echo))


def decode_fault(headers: Mapping[str, str] | None, body: bytes) -> Fault | None:
    """The fault that a reply carries, or None if it is an answer.

    A reason this catalogue does not know (a newer hub's, or another
    service's) becomes the class its status tells, with its own sentence.
    """
    if not headers or ERROR_HEADER not in headers:
        return None
    try:
        told = from_json(body) if body else {}
    except ValueError:
        told = {}
    if not isinstance(told, dict):
        told = {}
    try:
        reason = Reason(headers[ERROR_HEADER])
    except ValueError:
        reason = _reason_of_status(headers.get(CODE_HEADER, ""))
    fields, position, retry_after = told.get("fields"), told.get("position"), told.get("retryAfter")
    return CATALOGUE[reason].fault(
        reason,
        str(told.get("message", "")),
        fields={str(name): str(wrong) for name, wrong in fields.items()} if isinstance(fields, dict) else None,
        position=position if isinstance(position, int) else None,
        retry_after=retry_after if isinstance(retry_after, int) else None,
    )


_REASON_OF_STATUS = {
    "400": Reason.BAD_REQUEST,
    "401": Reason.UNAUTHENTICATED,
    "403": Reason.DENIED,
    "404": Reason.NOT_FOUND,
    "405": Reason.METHOD_NOT_ALLOWED,
    "409": Reason.VERSION_CONFLICT,
    "410": Reason.NOT_KEPT,
}


def _reason_of_status(status: str) -> Reason:
    return _REASON_OF_STATUS.get(status, Reason.UNAVAILABLE if status in ("429", "503", "504") else Reason.INTERNAL)
