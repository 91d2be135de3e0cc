"""Groups over HTTP: those that devices name, and those that are a query's answer."""

from typing import Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import Done, GroupCreate, GroupFact, GroupQuery, GroupUpdate
from functions.contract.views import split_page
from functions.domain.tokens import Scope
from gateway import examples
from gateway.calls import SLOW_SECONDS, answer, call, json_body, no_body, path_name, prove
from gateway.openapi import operation, path_parameter, query_parameters
from gateway.queries import Parameters, page_links

_QUERY: Final = Parameters(GroupQuery)
_DEFAULT_LIMIT: Final = GroupQuery().limit
_NO_QUERY: Final = Parameters()
GROUP: Final = path_parameter("group", "The name of a group.")


_LIST_GROUPS: Final = operation(
    tag="groups",
    summary="List groups",
    told="A page of the groups that were made or that a device names, by name if not sorted otherwise.",
    reply=GroupFact,
    is_list=True,
    example=[examples.GROUP],
    scope=Scope.DEVICES_READ,
    parameters=query_parameters(
        _QUERY,
        {
            "sort": "Fields of a group, separated by commas; '-' before one turns its order round.",
            "limit": "How many groups at most.",
            "offset": "How many groups to leave out first.",
        },
    ),
    headers={
        "X-Total-Count": "How many groups there are in all.",
        "Link": "The first, previous, next and last page (RFC 8288), relative to this one.",
    },
)
_CREATE_GROUP: Final = operation(
    tag="groups",
    summary="Make a group",
    told="The group, which is durable.",
    reply=GroupFact,
    status=201,
    example=examples.GROUP,
    scope=Scope.DEVICES_WRITE,
    faults=(409, 415),
    body=(GroupCreate, examples.GROUP_CREATE),
)
_UPDATE_GROUP: Final = operation(
    tag="groups",
    summary="Give a group another query",
    told="The group after the change, which is durable.",
    reply=GroupFact,
    example=examples.GROUP,
    scope=Scope.DEVICES_WRITE,
    faults=(404, 409, 415),
    body=(GroupUpdate, examples.GROUP_UPDATE),
    parameters=(GROUP,),
)
_DELETE_GROUP: Final = operation(
    tag="groups",
    summary="Delete a group",
    told="The group is deleted.",
    reply=Done,
    example={"done": True},
    scope=Scope.DEVICES_WRITE,
    faults=(404, 409, 415),
    parameters=(GROUP,),
)


def add_routes(app: FastAPI) -> None:
    """Add the addresses below ``/api/groups``."""
    app.add_api_route("/api/groups", list_groups, methods=["GET"], **_LIST_GROUPS)
    app.add_api_route("/api/groups", create_group, methods=["POST"], **_CREATE_GROUP)
    app.add_api_route("/api/groups/{group}", update_group, methods=["PATCH"], **_UPDATE_GROUP)
    app.add_api_route("/api/groups/{group}", delete_group, methods=["DELETE"], **_DELETE_GROUP)


async def list_groups(request: Request) -> Response:
    """With how many devices each has, the retired left out; a group with a query is dynamic."""
    proven = await prove(request)
    pairs, values = _QUERY.read(request.scope["query_string"])
    payload = orjson.dumps(values)
    body = await call(request, proven, "registry", "groups", "list", payload=payload, within=SLOW_SECONDS)
    total, groups = split_page(body, b"groups")
    links = page_links(
        request.scope["path"], pairs, values.get("limit", _DEFAULT_LIMIT), values.get("offset", 0), total
    )
    return answer(groups, **{"X-Total-Count": str(total), "Link": links})


async def create_group(request: Request) -> Response:
    """With a query, its members are the devices for which that holds, and those that name the group themselves.

    Without, it is there before a device is in it, and stays when the last one
    leaves. Within the query, ``group:`` means the groups that devices name.
    """
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    body = await json_body(request)
    made = answer(await call(request, proven, "registry", "groups", "create", payload=body, within=SLOW_SECONDS))
    made.status_code = 201
    return made


async def update_group(request: Request) -> Response:
    """With null, it has no query any more, and only those are in it that name it."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    group, body = path_name(request, "group"), await json_body(request)
    changed = await call(request, proven, "registry", "groups", group, "update", payload=body, within=SLOW_SECONDS)
    return answer(changed)


async def delete_group(request: Request) -> Response:
    """One that devices name is refused: take them out of it first."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    group, body = path_name(request, "group"), await no_body(request)
    return answer(await call(request, proven, "registry", "groups", group, "delete", payload=body, within=SLOW_SECONDS))
