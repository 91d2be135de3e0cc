"""What operators change in a device's record, over HTTP: labels and notes, retirement, and one device for another."""

import re
from typing import Final

from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import DeviceRecord, DeviceSwap, DeviceUpdate
from functions.domain.tokens import Scope
from gateway import examples
from gateway.calls import SLOW_SECONDS, call, json_body, no_body, path_name, prove
from gateway.conditions import Tags, change
from gateway.openapi import header_parameter, operation
from gateway.queries import Parameters
from gateway.routes.devices import DEVICE, ETAG, record

_NO_QUERY: Final = Parameters()
_TAGS: Final = Tags(re.compile(r'"r([0-9]{1,15})"'), '"r17"', "record", "the record")


_UPDATE_DEVICE: Final = operation(
    tag="devices",
    summary="Change the record of a device",
    told="The record after the change, which is durable.",
    reply=DeviceRecord,
    example=examples.DEVICE_RECORD,
    scope=Scope.DEVICES_WRITE,
    faults=(404, 409, 412, 415),
    body=(DeviceUpdate, examples.DEVICE_UPDATE),
    parameters=(DEVICE, header_parameter("If-Match", "An ETag of the record; it is changed only if it is that one.")),
    headers=ETAG,
)
_RETIRE_DEVICE: Final = operation(
    tag="devices",
    summary="Retire a device",
    told="The record, which stays: the device's certificates are revoked, its sessions end, its role is free.",
    reply=DeviceRecord,
    example={**examples.DEVICE_RECORD, "deviceId": "pump-0001", "role": None, "lifecycle": "retired"},
    scope=Scope.DEVICES_WRITE,
    faults=(404, 415),
    parameters=(DEVICE,),
    headers=ETAG,
)
_SWAP_DEVICE: Final = operation(
    tag="devices",
    summary="Put another device in the place of this one",
    told="The record of the replacement, which has role, groups, tags and desired state of the device it replaces.",
    reply=DeviceRecord,
    example=examples.DEVICE_RECORD,
    scope=Scope.DEVICES_WRITE,
    faults=(404, 409, 415),
    body=(DeviceSwap, examples.SWAP),
    parameters=(DEVICE,),
    headers=ETAG,
)


def add_routes(app: FastAPI) -> None:
    """Add the addresses that change one device's record."""
    app.add_api_route("/api/devices/{device}", update_device, methods=["PATCH"], **_UPDATE_DEVICE)
    app.add_api_route("/api/devices/{device}", retire_device, methods=["DELETE"], **_RETIRE_DEVICE)
    app.add_api_route("/api/devices/{device}/swap", swap_device, methods=["POST"], **_SWAP_DEVICE)


async def update_device(request: Request) -> Response:
    """What is not given stays. Tags are merged, and null removes one; groups are replaced; null takes the rest away.

    With ``If-Match``, only if the record is still the one that the ETag names
    (else 412); with ``expectedVersion``, only if it has that version (else
    409). A role is unique, and no device's id.
    """
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    device, body = path_name(request, "device"), await json_body(request)

    async def send(patch: bytes) -> bytes:
        return await call(request, proven, "registry", "devices", device, "update", payload=patch, within=SLOW_SECONDS)

    return record(await change(request, _TAGS, body, send))


async def retire_device(request: Request) -> Response:
    """A repeat changes nothing. The record stays, and so does what the audit trail has of the device."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    device, body = path_name(request, "device"), await no_body(request)
    return record(
        await call(request, proven, "registry", "devices", device, "retire", payload=body, within=SLOW_SECONDS)
    )


async def swap_device(request: Request) -> Response:
    """All of it happens or nothing. The replacement must be active, and have no role if the device has one.

    Groups and tags are added to those of the replacement, and where both have
    a tag it gets the moved one; the desired state takes the place of its own.
    """
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    device, body = path_name(request, "device"), await json_body(request)
    return record(await call(request, proven, "registry", "devices", device, "swap", payload=body, within=SLOW_SECONDS))
