"""From bytes and headers to a call: size, JSON, message model, names, caller and order.

Every refusal here is a ``Fault`` that says what is wrong with the request;
nothing of the input is repeated in it but field names.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from functions.contract import subjects
from functions.contract.reading import read_json
from functions.domain.audit import is_origin
from functions.domain.callers import APP, CLAIM, DEVICE, OPERATOR, Caller, parse_caller
from functions.domain.faults import Denied, Malformed, Reason
from functions.domain.names import is_token
from functions.domain.order import Order
from functions.domain.roles import is_at_least, role_of
from functions.domain.sessions import SessionMark
from functions.domain.tokens import allows
from functions.route import Route

_SHOWN_PROBLEMS = 3
_MOST_FIELDS = 20
_SHOWN_CHARACTERS = 64
_MAX_ECHO_CHARACTERS = 128


# What ``parse`` gives for a payload that is none, where the route takes such.
NO_JSON: Final = object()


def parse(route: Route, payload: bytes) -> Any:
    """The payload as JSON values; an empty one is an empty object.

    Raises:
        Malformed: too large, or no JSON that ``read_json`` takes.
    """
    if len(payload) > route.limit_bytes:
        raise Malformed(Reason.TOO_LARGE, f"The payload has {len(payload)} bytes; {route.limit_bytes} are accepted.")
    try:
        return read_json(payload) if payload else {}
    except Malformed:
        if not route.any_bytes:
            raise
        return NO_JSON


def decode(route: Route, values: Any) -> Any:
    """The route's message model made of parsed JSON; None of what is no JSON.

    Raises:
        Malformed: a field is missing, of a wrong type, or unknown.
    """
    if values is NO_JSON:
        return None
    try:
        return route.body.model_validate(values)
    except ValidationError as problem:
        errors = problem.errors(include_url=False, include_context=False, include_input=False)
        shown = "; ".join(f"{_place(error['loc'])}: {error['msg']}" for error in errors[:_SHOWN_PROBLEMS])
        fields = {_place(error["loc"]): error["msg"] for error in errors[:_MOST_FIELDS]}
        # Without its cause, whose text repeats the values: no payload gets into the log.
        raise Malformed(detail=shown, fields=fields) from None


def echo(route: Route, values: Any) -> dict[str, Any]:
    """What of a request its fault repeats, so that the sender can match the two."""
    if not isinstance(values, dict):
        return {}
    told = {name: values.get(name) for name in route.echo}
    return {name: text for name, text in told.items() if isinstance(text, str) and len(text) <= _MAX_ECHO_CHARACTERS}


def names_in(route: Route, subject: str) -> tuple[str, ...]:
    """The tokens of a subject that stand for the route's ``*``, in order.

    Raises:
        Malformed: the subject is not the route's, or a token does not have
            the form of a name.
    """
    tokens = subject.split(".")
    wanted = route.full_subject.split(".")
    if len(tokens) != len(wanted) or any(want not in (token, "*") for token, want in zip(tokens, wanted, strict=True)):
        raise Malformed(detail="The subject is not this function's.")
    names = tuple(token for token, want in zip(tokens, wanted, strict=True) if want == "*")
    if not all(is_token(name) for name in names):
        raise Malformed(detail="A name in the subject has characters that no name may have.")
    return names


def caller_of(headers: Mapping[str, str]) -> Caller:
    """Who calls, on the word of the hub's own part; of another account's calls ``integrators`` says it.

    Within the hub's own account only the hub's parts can publish, and their
    permissions keep them to the subjects they vouch for.

    Raises:
        Denied: no caller is named.
    """
    return parse_caller(headers.get(subjects.CALLER, ""))


def origin_of(headers: Mapping[str, str], caller: Caller) -> str:
    """From where the caller came, on the word of the hub's own part that took the call.

    A call from another account came over the bus, whatever it says of itself.

    Raises:
        Malformed: the header has another form.
    """
    if subjects.REQUEST_INFO in headers:
        return "nats"
    told = headers.get(subjects.ORIGIN)
    if told is None:
        return _usual_origin(caller)
    if not is_origin(told):
        raise Malformed(detail="The header that says where the call came from has another form.")
    return told


def _usual_origin(caller: Caller) -> str:
    if caller.kind in DEVICE | CLAIM:
        return "mqtt"
    if caller.kind in OPERATOR | APP:
        return "http"
    return "cli" if caller.name == "cli" else "hub"


def scopes_of(headers: Mapping[str, str]) -> tuple[str, ...]:
    """What the caller's token allows, or which role a user has, on the word of the hub's own gateway."""
    return tuple(headers.get(subjects.SCOPES, "").split())


def admit(route: Route, caller: Caller, names: tuple[str, ...], scopes: tuple[str, ...] = ()) -> None:
    """Refuse whom the route does not admit, a device that speaks for another, and who has too few scopes or rights.

    Raises:
        Denied: the caller may not call this.
    """
    if caller.kind not in route.allow or not caller.name.startswith(route.part):
        raise Denied()
    if caller.kind is DEVICE and route.own and names[:1] != (caller.name,):
        raise Denied(detail="A device may speak only for itself.")
    if caller.kind is APP and (route.scope is None or not allows(scopes, route.scope)):
        raise Denied(detail=f"The token needs the scope '{route.scope}' for this.")
    if caller.kind is OPERATOR and not is_at_least(role_of(scopes), route.least_role):
        raise Denied(detail=f"A user needs the role '{route.least_role}' for this.")


def order_of(headers: Mapping[str, str]) -> Order | None:
    """The place of a device's message among those its bridge took, if it has one.

    Raises:
        Malformed: the header has another form.
    """
    text = headers.get(subjects.ORDER)
    return Order.parse(text) if text else None


def session_of(headers: Mapping[str, str], caller: Caller) -> SessionMark | None:
    """Which of its sessions a device's message came in, on the word of its bridge; None where that does not say.

    Raises:
        Malformed: the header has another form.
    """
    text = headers.get(subjects.SESSION)
    if text is None or caller.kind is not DEVICE:
        return None
    return SessionMark.parse(text)


def deadline_of(headers: Mapping[str, str], arrived: float, within: float) -> float:
    """The time (seconds since 1970) after which nothing may be begun for the call.

    Raises:
        Malformed: the header is no number of milliseconds.
    """
    text = headers.get(subjects.DEADLINE)
    if text is None:
        return arrived + within
    if not text.isdecimal() or len(text) > 15:
        raise Malformed(detail="The deadline of the call is no number of milliseconds.")
    return min(arrived + within, int(text) / 1000)


def _place(location: tuple[int | str, ...]) -> str:
    # A field may have any name, of any length.
    return ".".join(str(step)[:_SHOWN_CHARACTERS] for step in location) or "payload"
