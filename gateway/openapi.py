"""The interface described for machines (OpenAPI 3.1): made of the routes and of the messages they carry."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.alias_generators import to_camel
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from functions.contract import messages
from functions.contract.faults import CATALOGUE
from functions.contract.messages import Message, Request
from functions.domain.faults import Reason
from functions.domain.roles import LEAST, UserRole
from functions.domain.tokens import Scope
from gateway import problems
from gateway.queries import Parameters

_SCHEMAS = "#/components/schemas/{model}"
_JSON = "application/json"
# What an operation needs of who asks, for programs; its description says it for people.
_SCOPE: Final = "x-required-scope"
_ROLE: Final = "x-required-role"
# What any request may be answered, and any that needs a token.
_OF_ALL = (400, 408, 413, 500, 503)
_OF_CALLERS = (401, 403, 429, 504)

_REASONS = {
    400: Reason.BAD_REQUEST,
    401: Reason.UNAUTHENTICATED,
    403: Reason.DENIED,
    404: Reason.UNKNOWN_DEVICE,
    408: Reason.BAD_REQUEST,
    409: Reason.VERSION_CONFLICT,
    410: Reason.NOT_KEPT,
    412: Reason.VERSION_CONFLICT,
    413: Reason.TOO_LARGE,
    415: Reason.BAD_REQUEST,
    429: Reason.RATE_LIMITED,
    500: Reason.INTERNAL,
    503: Reason.UNAVAILABLE,
    504: Reason.TIMEOUT,
}

_PROBLEM: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "A problem page (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "error", "requestId"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string", "description": "What the error means in general."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong in this very case, for people."},
        "error": {"type": "string", "description": "A stable code, for programs.", "enum": [*map(str, CATALOGUE)]},
        "requestId": {"type": "string", "description": "Also in the header X-Request-Id and in the hub's logs."},
        "fields": {
            "type": "object",
            "description": "For input errors: what is wrong with which field.",
            "additionalProperties": {"type": "string"},
        },
        "position": {
            "type": "integer",
            "description": "For a query or a sort that cannot be read: at which of its characters, counted from 0.",
        },
    },
}

_ABOUT: Final = """Device Hub over HTTP. JSON in camelCase, times in ISO 8601 and UTC; unknown fields and parameters are
errors; what is refused or fails is answered with a problem page (RFC 9457). HEAD is answered wherever GET is.
Send an API token, made with 'devicehub token create', as 'Authorization: Bearer TOKEN', or sign in."""


_SESSION: Final = """The session of a user who signed in; over HTTPS its name has '__Host-' before it. A role has the
scopes of tokens: viewer what ends in ':read', operator also ':write' and 'methods:call', admin all. A change must have
the header 'X-Device-Hub: 1' and come from a page of the hub itself."""


class Route(APIRoute):
    """A route whose endpoint is given the request as it is: no parameter is solved, no answer is modelled anew."""

    def get_route_handler(self) -> Callable[..., Any]:
        """The endpoint itself."""
        endpoint: Callable[..., Any] = self.endpoint
        return endpoint


def operation(
    *,
    tag: str,
    summary: str,
    told: str,
    example: Any,
    reply: type[Message] | dict[str, Any],
    status: int = 200,
    media_type: str = _JSON,
    also: Mapping[str, type[Message] | dict[str, Any]] | None = None,
    is_list: bool = False,
    scope: Scope | None = None,
    is_signed_in: bool = False,
    least: UserRole | None = None,
    faults: tuple[int, ...] = (),
    body: tuple[type[Message] | dict[str, Any], Any] | None = None,
    body_type: str = _JSON,
    also_body: Mapping[str, str] | None = None,
    is_body_needed: bool = True,
    parameters: tuple[dict[str, Any], ...] = (),
    headers: Mapping[str, str] | None = None,
    others: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """What a route says of itself, as the keyword arguments of its decorator.

    Args:
        tag: the resource it belongs to.
        summary: in a few words.
        told: what a good answer is.
        example: of a good answer.
        reply: the message of a good answer, or a schema.
        status: of a good answer.
        media_type: of a good answer.
        also: other media types that it may have, with the message or schema of each.
        is_list: whether it is an array of those.
        scope: what the token must allow; None where anyone may ask.
        is_signed_in: whether it is for users alone.
        least: the least role of a user; by default the least that has the scope, or any where there is none.
        faults: statuses beyond those that any request may be answered.
        body: message (or schema) and example of what is sent.
        body_type: media type of what is sent.
        also_body: other media types that it may have, with an example of each.
        is_body_needed: whether it must be sent.
        parameters: of path, query and header.
        headers: of a good answer, with what each says.
        others: answers without a body, with when they come.
    """
    schema = _schema(reply)
    if is_list:
        schema = {"type": "array", "items": schema}
    answers: dict[str, Any] = {
        str(status): {
            "description": told,
            "content": {
                media_type: {"schema": schema, "example": example},
                **{other: {"schema": _schema(form)} for other, form in (also or {}).items()},
            },
            "headers": {
                name: {"description": text, "schema": {"type": "string"}} for name, text in (headers or {}).items()
            },
        }
    }
    for status in sorted({*_OF_ALL, *(_OF_CALLERS if scope or is_signed_in else ()), *faults}):
        answers[str(status)] = {"$ref": f"#/components/responses/{_response_name(status)}"}
    answers |= {str(status): {"description": text} for status, text in (others or {}).items()}
    extra = {"responses": answers, "parameters": list(parameters), **_needed(scope, is_signed_in, least)}
    if body is not None:
        model, sent = body
        extra["requestBody"] = {
            "required": is_body_needed,
            "content": {
                body_type: {"schema": _schema(model), "example": sent},
                **{other: {"schema": {"type": "string"}, "example": text} for other, text in (also_body or {}).items()},
            },
        }
    return {
        "tags": [tag],
        "summary": summary,
        "openapi_extra": extra,
        "response_class": Response,
        "status_code": status,
    }


def operation_id(route: APIRoute) -> str:
    """What a generated client calls the operation: the endpoint's name, as JavaScript writes it."""
    return to_camel(route.name)


def path_parameter(name: str, text: str, *, pattern: str = "^[A-Za-z0-9_-]{1,64}$") -> dict[str, Any]:
    """A name in a path."""
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def header_parameter(name: str, text: str) -> dict[str, Any]:
    """A header that may be sent."""
    return {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}


def object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    """An object that has all of these, and may have more."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def query_parameters(parameters: Parameters, texts: Mapping[str, str]) -> tuple[dict[str, Any], ...]:
    """The query parameters of an address, with what each is for."""
    return tuple(
        {"name": name, "in": "query", "description": texts[name], "schema": schema}
        for name, schema in parameters.schemas.items()
    )


def document(app: FastAPI, version: str) -> dict[str, Any]:
    """The whole description."""
    found = get_openapi(title="Device Hub", version=version, description=_ABOUT, routes=app.routes)
    _, schemas = models_json_schema(
        [(model, "validation" if issubclass(model, Request) else "serialization") for model in _models(found["paths"])],
        ref_template=_SCHEMAS,
    )
    for methods in found["paths"].values():
        for told in methods.values():
            told["description"] = "\n\n".join((told["description"], _terms(told)))
    found["components"] = {
        "schemas": {**schemas["$defs"], "Problem": _PROBLEM},
        "responses": {_response_name(status): _response(status) for status in _REASONS},
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer", "description": "An API token; x-required-scope says which."},
            "session": {"type": "apiKey", "in": "cookie", "name": "devicehub-session", "description": _SESSION},
        },
    }
    return found


def _terms(told: Mapping[str, Any]) -> str:
    """Who may ask for an operation, as a sentence."""
    if _ROLE not in told:
        return "Anyone may ask."
    role = told[_ROLE]
    user = "a user" if role == UserRole.VIEWER else f"a user who is `{role}`"
    user += "" if role in (UserRole.VIEWER, UserRole.ADMIN) else " or more"
    return f"Needs a token with the scope `{told[_SCOPE]}`, or {user}." if _SCOPE in told else f"Needs {user}."


def _models(value: Any) -> list[type[Message]]:
    """The messages that are referred to, by name."""
    found: set[str] = set()
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            place, _, name = str(one.get("$ref", "")).rpartition("/")
            if place == _SCHEMAS.rpartition("/")[0]:
                found.add(name)
            todo.extend(one.values())
        elif isinstance(one, list):
            todo.extend(one)
    return [getattr(messages, name) for name in sorted(found)]


def _needed(scope: Scope | None, is_signed_in: bool, least: UserRole | None) -> dict[str, Any]:
    """What an operation needs of who asks; nothing where anyone may."""
    if scope is not None:
        shown: list[dict[str, Any]] = [{"bearer": []}, {"session": []}]
        return {"security": shown, _SCOPE: str(scope), _ROLE: str(least or LEAST[scope])}
    return {"security": [{"session": []}], _ROLE: str(least or UserRole.VIEWER)} if is_signed_in else {}


def _schema(form: type[Message] | dict[str, Any]) -> dict[str, Any]:
    return form if isinstance(form, dict) else _reference(form)


def _reference(model: type[Message]) -> dict[str, str]:
    return {"$ref": _SCHEMAS.format(model=model.__name__)}


def _response_name(status: int) -> str:
    return HTTPStatus(status).name.title().replace("_", "")


def _response(status: int) -> dict[str, Any]:
    """An answer that is no good one, with an example of each error that it may name."""
    reasons = dict.fromkeys((_REASONS[status], *(one for one, entry in CATALOGUE.items() if entry.status == status)))
    examples = {str(reason): {"summary": str(reason), "value": _page(reason, status)} for reason in reasons}
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": _SCHEMAS.format(model="Problem")}, "examples": examples}}
    return {"description": HTTPStatus(status).phrase, "content": content}


def _page(reason: Reason, status: int) -> dict[str, Any]:
    sentence = CATALOGUE[reason].sentence
    return {
        "type": f"urn:devicehub:problem:{reason}",
        "title": sentence,
        "status": status,
        "detail": sentence,
        "error": str(reason),
        "requestId": "5f0c9b1e7a3d2c48",
    }
