"""Twin rules: two halves, merged by RFC 7396, each with a version and the time of every leaf."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from functions.domain.documents import NOTHING, check, same, size
from functions.domain.faults import Conflict, Malformed, Reason
from functions.domain.order import Order

MAX_HALF_BYTES = 32 * 1024
MAX_TOKEN_BYTES = 64

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Half:
    """One half of a twin, ``desired`` or ``reported``.

    ``times`` mirrors the objects of ``doc``; where ``doc`` has a value (a
    scalar, an array or an empty object) it has the time of its last change
    in milliseconds since 1970. ``at``, ``by`` and ``digest`` are those of the
    last message that changed something, ``order`` that of the last message
    applied: they refuse what comes late and know a repeat.
    """

    version: int = 0
    doc: dict[str, Any] = field(default_factory=dict)
    times: dict[str, Any] = field(default_factory=dict)
    at: datetime | None = None
    by: str = ""
    order: Order | None = None
    digest: str = ""


def apply(
    half: Half,
    patch: dict[str, Any],
    *,
    at: datetime,
    by: str,
    order: Order | None = None,
    digest: str = "",
    expected_version: int | None = None,
) -> Half:
    """Merge a patch into a half: the next version of it, or the very same half if nothing changes.

    A repeat of the message that made this version changes nothing, whatever
    version it expects: it was answered once and may be answered again.

    A message that changes nothing is not kept, except the first of a bridge's
    run: see ``_begins_run``. Then only ``order`` differs, not the version.

    Raises:
        Malformed: the patch breaks a limit of documents, or the half would
            have more than 32 KiB (``too_large``).
        Conflict: a later message of the same bridge was applied
            (``superseded``), or the version is not the expected one.
    """
    check(patch)
    if order is not None and order.is_before(half.order):
        raise Conflict(Reason.SUPERSEDED)
    doc = merge(half.doc, patch)
    is_repeat = doc is half.doc and digest == half.digest != ""
    if expected_version is not None and expected_version != half.version and not is_repeat:
        raise Conflict(detail=f"The version is {half.version}, not {expected_version}. Read it again, then decide.")
    if doc is half.doc:
        return replace(half, order=order) if _begins_run(order, half.order) else half
    _check_size(doc)
    times = restamp(half.times, half.doc, doc, patch, to_milliseconds(at))
    return Half(half.version + 1, doc, times, at, by, order, digest)


def put(half: Half, *, doc: dict[str, Any], times: dict[str, Any], at: datetime, by: str, digest: str) -> Half:
    """The next version of a half with another document in the place of its own, the times of its leaves with it."""
    return Half(half.version + 1, doc, times, at, by, half.order, digest)


def merge(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396): objects merge at every depth, null removes, arrays are values.

    Neither argument is changed. The very target comes back if the patch
    changes nothing, and so does every part of it that stays.
    """
    if not isinstance(patch, dict):
        return target if same(target, patch) else patch
    before: dict[str, Any] = target if isinstance(target, dict) else {}
    after = before
    for key, wish in patch.items():
        old = before.get(key, NOTHING)
        new = NOTHING if wish is None else merge(old, wish)
        if new is old:
            continue
        if after is before:
            after = before.copy()
        if new is NOTHING:
            del after[key]
        else:
            after[key] = new
    return after


def restamp(
    times: dict[str, Any], before: dict[str, Any], after: dict[str, Any], patch: dict[str, Any], at: int
) -> dict[str, Any]:
    """The times of a merged document: ``at`` (milliseconds) where the patch changed a leaf, as they were elsewhere."""
    stamped = times.copy()
    for key, wish in patch.items():
        old, new = before.get(key, NOTHING), after.get(key, NOTHING)
        if new is old:
            continue
        if new is NOTHING:
            del stamped[key]
        elif isinstance(new, dict) and new:
            inner = old if isinstance(old, dict) else {}
            # An empty object is a leaf: it has a time, not a tree of them.
            stamped[key] = restamp(times[key] if inner else {}, inner, new, wish, at)
        else:
            stamped[key] = at
    return stamped


def delta(desired: dict[str, Any], reported: dict[str, Any]) -> dict[str, Any]:
    """All of ``desired`` that differs from or is missing in ``reported``, at every depth; ``{}`` if none.

    It is the patch that would make ``reported`` show what is desired.
    """
    missing: dict[str, Any] = {}
    for key, wish in desired.items():
        shown = reported.get(key, NOTHING)
        if isinstance(wish, dict) and isinstance(shown, dict):
            if inner := delta(wish, shown):
                missing[key] = inner
        elif not same(wish, shown):
            missing[key] = wish
    return missing


def metadata(doc: dict[str, Any], times: dict[str, Any]) -> dict[str, Any]:
    """The tree of ``doc``, or of a part of it such as a delta, with ``{timestamp}`` (ISO 8601, UTC) at each leaf.

    Args:
        doc: a document, or a part of it that keeps its shape.
        times: the times of the whole document; None where one is not known, which is then left out.
    """
    texts: dict[int, str] = {}

    def mirror(doc: dict[str, Any], times: dict[str, Any]) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for key, value in doc.items():
            at = times[key]
            if at is None:
                continue
            if isinstance(at, dict):
                tree[key] = mirror(value, at)
                continue
            # Most leaves of a half have few times among them.
            if at not in texts:
                texts[at] = _iso(at)
            tree[key] = {"timestamp": texts[at]}
        return tree

    return mirror(doc, times)


def check_client_token(token: str | None) -> None:
    """Refuse a client token that is too long to be repeated in every answer.

    Raises:
        Malformed: it has more than 64 bytes in UTF-8.
    """
    if token is not None and len(token.encode()) > MAX_TOKEN_BYTES:
        raise Malformed(detail=f"clientToken has more than {MAX_TOKEN_BYTES} bytes.")


def _begins_run(order: Order | None, kept: Order | None) -> bool:
    """Whether a message must be remembered although it changed nothing.

    Within one run (epoch) of a bridge nothing older can still be under way: it
    sends a device's next message when the one before has its answer. But a
    bridge that died leaves one attempt behind, and where the broker lost the
    message too, nobody sends it again and pushes the attempt aside. The first
    message of the next run therefore moves the fence, even if it reports what
    is known already; otherwise the attempt could land after it.
    """
    if order is None:
        return False
    return kept is None or (kept.bridge == order.bridge and kept.epoch < order.epoch)


def _check_size(doc: dict[str, Any]) -> None:
    taken = size(doc)
    if taken > MAX_HALF_BYTES:
        raise Malformed(
            Reason.TOO_LARGE, f"This half of the twin would have {taken} bytes; at most {MAX_HALF_BYTES} are kept."
        )


def to_milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def _iso(milliseconds: int) -> str:
    at = _EPOCH + milliseconds * _MILLISECOND
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
