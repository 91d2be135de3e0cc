"""What can go wrong in a call, named for what the caller can do about it.

A fault has a class (what kind of answer it is), a reason (a stable code that
clients match on) and a detail (one public sentence about this very case).
What each reason means to a reader, to HTTP and to a retry stands in one
table, ``functions.contract.faults``.
"""

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    """Stable codes of the interface; a published code never changes its meaning."""

    BAD_REQUEST = "bad_request"
    TOO_DEEP = "too_deep"
    QUERY_TOO_COSTLY = "query_too_costly"
    BAD_CSR = "bad_csr"
    BAD_CA = "bad_ca"
    CN_MISMATCH = "cn_mismatch"
    UUID_MISMATCH = "uuid_mismatch"
    TOO_LARGE = "too_large"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    UNAUTHENTICATED = "unauthenticated"
    DENIED = "denied"
    WRONG_CREDENTIALS = "wrong_credentials"
    FOREIGN_REQUEST = "foreign_request"
    DESIRED_IS_READ_ONLY = "desired_is_read_only"
    ENROLMENT_CLOSED = "enrolment_closed"
    UUID_NOT_WHITELISTED = "uuid_not_whitelisted"
    DEVICE_SUSPENDED = "device_suspended"
    DEVICE_RETIRED = "device_retired"
    NOT_FOUND = "not_found"
    UNKNOWN_DEVICE = "unknown_device"
    NOT_KEPT = "not_kept"
    DEVICE_OFFLINE = "device_offline"
    NOT_SUBSCRIBED = "not_subscribed"
    NO_CLAIM_IN_PROGRESS = "no_claim_in_progress"
    NO_RENEWAL_IN_PROGRESS = "no_renewal_in_progress"
    SESSION_TOO_OLD = "session_too_old"
    DEVICE_EXISTS = "device_exists"
    NAME_TAKEN = "name_taken"
    NO_BUNDLE = "no_bundle"
    ALREADY_WHITELISTED = "already_whitelisted"
    CA_IN_USE = "ca_in_use"
    LAST_ADMIN = "last_admin"
    ALREADY_SET_UP = "already_set_up"
    VERSION_CONFLICT = "version_conflict"
    SWAP_REFUSED = "swap_refused"
    SUPERSEDED = "superseded"
    GROUP_IN_USE = "group_in_use"
    GROUP_LIMIT = "group_limit"
    UNKNOWN_UNIT = "unknown_unit"
    UNKNOWN_NODE = "unknown_node"
    UNIT_NOT_ALLOWED = "unit_not_allowed"
    VERB_NOT_ALLOWED = "verb_not_allowed"
    HOST_REFUSED = "host_refused"
    WHICH_NODE = "which_node"
    JOB_FAILED = "job_failed"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


class Fault(Exception):
    """A refusal or failure that the caller is told about.

    Args:
        reason: the stable code.
        detail: one public sentence on this case; empty for the table's own.
        fields: for input errors, what is wrong with which field of the request.
        position: where in the text of that field, in characters from its beginning.
        retry_after: for what may be tried again, in how many seconds.
    """

    default = Reason.INTERNAL

    def __init__(
        self,
        reason: Reason | None = None,
        detail: str = "",
        *,
        fields: Mapping[str, str] | None = None,
        position: int | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.reason = reason or self.default
        self.detail = detail
        self.fields = dict(fields or {})
        self.position = position
        self.retry_after = retry_after
        super().__init__(f"{self.reason}: {detail}" if detail else str(self.reason))


class Malformed(Fault):
    """The request itself is wrong; the same request will never be accepted."""

    default = Reason.BAD_REQUEST


class Denied(Fault):
    """The caller may not do this, or the hub is set not to allow it now."""

    default = Reason.DENIED


class NotFound(Fault):
    """What the request names does not exist."""

    default = Reason.NOT_FOUND


class Conflict(Fault):
    """The request does not fit the present state; read again, then decide."""

    default = Reason.VERSION_CONFLICT


class Unavailable(Fault):
    """The hub cannot answer now; the same request may succeed later."""

    default = Reason.UNAVAILABLE
