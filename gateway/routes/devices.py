"""Devices over HTTP: pages of the inventory, one record, and counts."""

from typing import Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import (
    ConnectionFact,
    DeviceRecord,
    DeviceView,
    FacetQuery,
    Facets,
    FleetQuery,
    FleetStats,
    RegistryQuery,
)
from functions.contract.views import split_page
from functions.domain.tokens import Scope
from gateway import examples
from gateway.calls import SLOW_SECONDS, answer, call, no_body, path_name, prove
from gateway.openapi import operation, path_parameter, query_parameters
from gateway.queries import Parameters, page_links

_QUERY: Final = Parameters(RegistryQuery)
_FACET_QUERY: Final = Parameters(FacetQuery)
_STATS_QUERY: Final = Parameters(FleetQuery)
_NO_QUERY: Final = Parameters()
_DEFAULT_LIMIT: Final = RegistryQuery().limit

DEVICE: Final = path_parameter("device", "The id of a device, or the role assigned to it.")
ETAG: Final = {"ETag": 'The version of the record: "r<version>".'}
_TEXTS: Final = {
    "q": "A query, such as 'pump tag:site=A firmware<1.4 lastSeen<7d -tag:lab'; the written interface has its grammar.",
    "status": "Only devices that are so.",
    "model": "Only devices of this model.",
    "group": "Only devices in this group; in all of them, where several are given.",
    "tag": "Only devices with this tag: 'key=value', or 'key' for any value.",
    "lastSeenAfter": "Only devices seen later than this.",
    "lastSeenBefore": "Only devices seen last before this.",
    "sort": "Fields of a device, separated by commas; '-' before one turns its order round.",
    "atLeast": "A record's version that the answer must have seen, or a later one: 'pump-0007:17'.",
    "limit": "How many devices at most.",
    "offset": "How many devices to leave out first.",
}


_LIST_DEVICES: Final = operation(
    tag="devices",
    summary="List devices",
    told="A page of the devices that match.",
    reply=DeviceView,
    is_list=True,
    example=[examples.DEVICE],
    scope=Scope.DEVICES_READ,
    parameters=query_parameters(_QUERY, _TEXTS),
    headers={
        "X-Total-Count": "How many devices match in all.",
        "Link": "The first, previous, next and last page (RFC 8288), relative to this one.",
    },
)
_READ_DEVICE: Final = operation(
    tag="devices",
    summary="Read a device",
    told="The record of the device, in whatever state of its life.",
    reply=DeviceRecord,
    example=examples.DEVICE_RECORD,
    scope=Scope.DEVICES_READ,
    faults=(404,),
    parameters=(DEVICE,),
    headers=ETAG,
)
_LIST_CONNECTIONS: Final = operation(
    tag="devices",
    summary="List the connections of a device",
    told="The last connections, newest first, each with when it ended and on what evidence.",
    reply=ConnectionFact,
    is_list=True,
    example=[examples.CONNECTION],
    scope=Scope.DEVICES_READ,
    faults=(404,),
    parameters=(DEVICE,),
)
_SUSPEND_DEVICE: Final = operation(
    tag="devices",
    summary="Suspend a device",
    told="The record of the device, which is suspended: its sessions end, and the broker denies it everything.",
    reply=DeviceRecord,
    example={**examples.DEVICE_RECORD, "lifecycle": "suspended"},
    scope=Scope.DEVICES_WRITE,
    faults=(404, 409, 415),
    parameters=(DEVICE,),
)
_RESUME_DEVICE: Final = operation(
    tag="devices",
    summary="Resume a suspended device",
    told="The record of the device, which takes part again.",
    reply=DeviceRecord,
    example=examples.DEVICE_RECORD,
    scope=Scope.DEVICES_WRITE,
    faults=(404, 409, 415),
    parameters=(DEVICE,),
)
_COUNT_DEVICES: Final = operation(
    tag="devices",
    summary="Count devices",
    told="Counts over all devices.",
    reply=FleetStats,
    example=examples.STATS,
    scope=Scope.DEVICES_READ,
    parameters=query_parameters(
        _STATS_QUERY, {"outOfSyncSeconds": "For how long a twin must have been out of sync to be counted as that."}
    ),
)
_COUNT_FACETS: Final = operation(
    tag="devices",
    summary="Count devices by what they have",
    told="How many of the devices that match have which status, group, model and tag; of each the 100 largest.",
    reply=Facets,
    example=examples.FACETS,
    scope=Scope.DEVICES_READ,
    parameters=query_parameters(_FACET_QUERY, _TEXTS),
)


def add_routes(app: FastAPI) -> None:
    """Add the addresses below ``/api/devices`` and ``/api/stats``, but for the twins'."""
    app.add_api_route("/api/devices", list_devices, methods=["GET"], **_LIST_DEVICES)
    # Before the devices by name, of which none can have this one here.
    app.add_api_route("/api/devices/facets", count_facets, methods=["GET"], **_COUNT_FACETS)
    app.add_api_route("/api/devices/{device}", read_device, methods=["GET"], **_READ_DEVICE)
    app.add_api_route("/api/devices/{device}/connections", list_connections, methods=["GET"], **_LIST_CONNECTIONS)
    app.add_api_route("/api/devices/{device}/suspend", suspend_device, methods=["POST"], **_SUSPEND_DEVICE)
    app.add_api_route("/api/devices/{device}/resume", resume_device, methods=["POST"], **_RESUME_DEVICE)
    app.add_api_route("/api/stats/devices", count_devices, methods=["GET"], **_COUNT_DEVICES)


async def list_devices(request: Request) -> Response:
    """What is given must all hold; nothing given lists every device but the retired, by id."""
    proven = await prove(request)
    pairs, values = _QUERY.read(request.scope["query_string"])
    body = await call(request, proven, "registry", "query", payload=orjson.dumps(values), within=SLOW_SECONDS)
    total, devices = split_page(body)
    links = page_links(
        request.scope["path"], pairs, values.get("limit", _DEFAULT_LIMIT), values.get("offset", 0), total
    )
    return answer(devices, **{"X-Total-Count": str(total), "Link": links})


async def read_device(request: Request) -> Response:
    """The status is what the hub last knew, with the evidence for it."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    return record(await call(request, proven, "registry", "devices", path_name(request, "device"), "get"))


async def list_connections(request: Request) -> Response:
    """Of the last 32 times that it came or went. One that is open has no end; a device that never was here has none."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    body = await call(request, proven, "registry", "devices", path_name(request, "device"), "connections")
    return answer(orjson.dumps(orjson.loads(body)["connections"]))


async def suspend_device(request: Request) -> Response:
    """A repeat changes nothing. What the device should be (its twin's desired half) can still be changed."""
    return await _turn(request, "suspend")


async def resume_device(request: Request) -> Response:
    """A repeat changes nothing; a device that was not suspended stays as it is."""
    return await _turn(request, "resume")


async def count_devices(request: Request) -> Response:
    """A device in several groups counts in each of them, a retired one in ``retired`` alone."""
    proven = await prove(request)
    _, values = _STATS_QUERY.read(request.scope["query_string"])
    return answer(await call(request, proven, "registry", "stats", payload=orjson.dumps(values)))


async def count_facets(request: Request) -> Response:
    """The parameters are those of the list. A device counts in each of its groups and tags."""
    proven = await prove(request)
    _, values = _FACET_QUERY.read(request.scope["query_string"])
    body = await call(request, proven, "registry", "facets", payload=orjson.dumps(values), within=SLOW_SECONDS)
    return answer(body)


async def _turn(request: Request, verb: str) -> Response:
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    device, body = path_name(request, "device"), await no_body(request)
    return record(await call(request, proven, "registry", "devices", device, verb, payload=body, within=SLOW_SECONDS))


def record(body: bytes) -> Response:
    """The record of one device, with its ETag."""
    return answer(body, ETag=f'"r{orjson.loads(body)["version"]}"')
