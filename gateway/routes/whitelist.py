"""The whitelist over HTTP: which hardware may join while it is enforced."""

import asyncio
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import (
    Done,
    WhitelistBatch,
    WhitelistCreate,
    WhitelistFact,
    WhitelistQuery,
    WhitelistReport,
    WhitelistUpdate,
)
from functions.contract.views import split_page
from functions.contract.whitelisting import WITHIN_SECONDS, send
from functions.domain.faults import Malformed
from functions.domain.tokens import Scope
from functions.domain.whitelist import MAX_LINES, Line
from gateway import examples
from gateway.calls import SLOW_SECONDS, answer, call, json_body, no_body, path_name, prove
from gateway.lists import Batch, BatchOptions, read_batch
from gateway.openapi import operation, path_parameter, query_parameters
from gateway.queries import Parameters, page_links

PATH: Final = "/api/admin/uuid-whitelist"
BATCH: Final = f"{PATH}/batch"

_ID: Final = path_parameter("id", "The id of an entry.")
_QUERY: Final = Parameters(WhitelistQuery)
_OPTIONS: Final = Parameters(BatchOptions)
_NO_QUERY: Final = Parameters()
_DEFAULT_LIMIT: Final = WhitelistQuery().limit
_TEXTS: Final = {
    "q": "Text that is found in what is noted of an entry, or ends its UUID.",
    "uuid": "The entry of this very UUID.",
    "state": "Only entries that are so.",
    "used": "Only entries by which a device has joined, or none has.",
    "sort": "Fields of an entry, separated by commas; '-' before one turns its order round.",
    "limit": "How many entries at most.",
    "offset": "How many entries to leave out first.",
}
_OPTION_TEXTS: Final = {
    "dryRun": "Whether to tell only what would become of each line.",
    "note": "For lines that have none of their own.",
    "hardwareVersion": "For lines that have none of their own.",
    "manufacturer": "For lines that have none of their own.",
}

_LIST: Final = operation(
    tag="whitelist",
    summary="List the whitelist",
    told="A page of the entries that match, the newest first unless sorted otherwise.",
    reply=WhitelistFact,
    is_list=True,
    example=[examples.WHITELIST_ENTRY],
    scope=Scope.ADMIN,
    parameters=query_parameters(_QUERY, _TEXTS),
    headers={
        "X-Total-Count": "How many entries match in all.",
        "Link": "The first, previous, next and last page (RFC 8288), relative to this one.",
    },
)
_ADD: Final = operation(
    tag="whitelist",
    summary="Put a hardware UUID on the whitelist",
    told="It is on it from now on.",
    status=201,
    reply=WhitelistFact,
    example=examples.WHITELIST_ENTRY,
    scope=Scope.ADMIN,
    faults=(409, 415),
    body=(WhitelistCreate, examples.WHITELIST_CREATE),
    headers={"Location": "Where it can be changed."},
)
_ADD_MANY: Final = operation(
    tag="whitelist",
    summary="Put many hardware UUIDs on the whitelist",
    told="What became of each line, or with 'dryRun' what would; a line that is wrong keeps no other out.",
    reply=WhitelistReport,
    example=examples.WHITELIST_REPORT,
    scope=Scope.ADMIN,
    faults=(415,),
    body=(Batch.model_json_schema(), examples.WHITELIST_BATCH),
    also_body={"text/csv": examples.WHITELIST_CSV, "application/x-ndjson": examples.WHITELIST_NDJSON},
    parameters=query_parameters(_OPTIONS, _OPTION_TEXTS),
)
_CHANGE: Final = operation(
    tag="whitelist",
    summary="Disable, enable or annotate an entry",
    told="The entry as it is from now on.",
    reply=WhitelistFact,
    example=examples.WHITELIST_ENTRY,
    scope=Scope.ADMIN,
    faults=(404, 409, 415),
    body=(WhitelistUpdate, {"disabled": True}),
    parameters=(_ID,),
)
_REMOVE: Final = operation(
    tag="whitelist",
    summary="Take an entry off the whitelist",
    told="It is gone. Devices that joined by it stay.",
    reply=Done,
    example={"done": True},
    scope=Scope.ADMIN,
    faults=(404, 409, 415),
    parameters=(_ID,),
)


def add_routes(app: FastAPI) -> None:
    """Add the addresses of the whitelist."""
    app.add_api_route(PATH, list_whitelist, methods=["GET"], **_LIST)
    app.add_api_route(PATH, whitelist_uuid, methods=["POST"], **_ADD)
    app.add_api_route(BATCH, whitelist_many, methods=["POST"], **_ADD_MANY)
    app.add_api_route(f"{PATH}/{{id}}", change_whitelist_entry, methods=["PATCH"], **_CHANGE)
    app.add_api_route(f"{PATH}/{{id}}", remove_whitelist_entry, methods=["DELETE"], **_REMOVE)


async def list_whitelist(request: Request) -> Response:
    """The UUIDs themselves are not kept, only keyed hashes; the last four characters are shown as a hint."""
    proven = await prove(request)
    pairs, values = _QUERY.read(request.scope["query_string"])
    body = await call(request, proven, "whitelist", "list", payload=orjson.dumps(values), within=SLOW_SECONDS)
    total, entries = split_page(body, b"entries")
    links = page_links(
        request.scope["path"], pairs, values.get("limit", _DEFAULT_LIMIT), values.get("offset", 0), total
    )
    return answer(entries, **{"X-Total-Count": str(total), "Link": links})


async def whitelist_uuid(request: Request) -> Response:
    """A repeat is answered as before; 409 where the entry says something else."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    body = await call(request, proven, "whitelist", "create", payload=await json_body(request))
    made = answer(body, Location=f"{PATH}/{orjson.loads(body)['id']}")
    made.status_code = 201
    return made


async def whitelist_many(request: Request) -> Response:
    """Up to 10,000 lines, as CSV, as JSON objects a line, or as one JSON object; they may be 8 MiB."""
    proven = await prove(request)

    async def ask(batch: WhitelistBatch) -> WhitelistReport:
        payload = batch.encode()
        told = await call(request, proven, "whitelist", "batch", payload=payload, within=WITHIN_SECONDS)
        return WhitelistReport.model_validate_json(told)

    # Of no lines: a whole list is not read for who may not send it.
    await ask(WhitelistBatch(lines=[], dry_run=True))
    _, values = _OPTIONS.read(request.scope["query_string"])
    lines, dry_run = await _lines(request, values)
    if not 0 < len(lines) <= MAX_LINES:
        raise Malformed(detail=f"The list has {len(lines)} lines; 1 to {MAX_LINES} are accepted at once.")
    return answer((await send(lines, dry_run=dry_run, ask=ask)).encode())


async def change_whitelist_entry(request: Request) -> Response:
    """What is not given stays. A disabled entry lets nobody in from then on."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    entry, body = path_name(request, "id"), await json_body(request)
    return answer(await call(request, proven, "whitelist", "entries", entry, "update", payload=body))


async def remove_whitelist_entry(request: Request) -> Response:
    """Its UUID can be put on the whitelist again, as if it had never been there."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    entry, body = path_name(request, "id"), await no_body(request)
    return answer(await call(request, proven, "whitelist", "entries", entry, "remove", payload=body))


async def _lines(request: Request, values: dict[str, Any]) -> tuple[list[Line], bool]:
    """The lines of a request's body, and whether they are only to be judged.

    Read beside the loop: a long list takes a tenth of a second.
    """
    kind, body = request.headers.get("content-type", ""), await request.body()
    return await asyncio.to_thread(read_batch, kind, body, values)
