"""Jobs over HTTP: the same done to many devices, how far that is, and what became of each."""

from typing import Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import JobDetail, JobItemQuery, JobQuery, JobView, MethodJob, TagJob, TwinJob
from functions.contract.views import split_page
from functions.domain.roles import UserRole
from functions.domain.tokens import Scope
from gateway import job_examples as examples
from gateway.calls import SLOW_SECONDS, answer, call, json_body, no_body, path_name, prove
from gateway.openapi import operation, path_parameter, query_parameters
from gateway.queries import Parameters, page_links

BATCHES: Final = ("/api/batch/methods", "/api/batch/twins", "/api/batch/tags")

_MAKING_SECONDS: Final = 31.0
_QUERY: Final = Parameters(JobQuery)
_ITEM_QUERY: Final = Parameters(JobItemQuery)
_NO_QUERY: Final = Parameters()
_DEFAULT_LIMIT: Final = JobQuery().limit
_JOB: Final = path_parameter("job", "The id of a job.")
_MADE: Final = "The job, which is durable and goes on by itself. Location has its address."
_LOCATION: Final = {"Location": "The address of the job."}

_TEXTS: Final = {
    "kind": "Only jobs that do this.",
    "state": "Only jobs that are so.",
    "limit": "How many jobs at most.",
    "offset": "How many jobs to leave out first.",
}
_ITEM_TEXTS: Final = {
    "state": "Only devices of which this became.",
    "limit": "How many devices at most.",
    "offset": "How many devices to leave out first.",
}

_CALL_METHODS: Final = operation(
    tag="jobs",
    summary="Call a method of many devices",
    told=_MADE,
    reply=JobView,
    status=202,
    example=examples.JOB,
    scope=Scope.METHODS_CALL,
    faults=(415,),
    body=(MethodJob, examples.METHOD_JOB),
    headers=_LOCATION,
)
_DESIRE_TWINS: Final = operation(
    tag="jobs",
    summary="Change the desired state of many devices",
    told=_MADE,
    reply=JobView,
    status=202,
    example={**examples.JOB, "kind": "twins", "method": None},
    scope=Scope.TWINS_WRITE,
    faults=(415,),
    body=(TwinJob, examples.TWIN_JOB),
    headers=_LOCATION,
)
_TAG_DEVICES: Final = operation(
    tag="jobs",
    summary="Change the tags of many devices",
    told=_MADE,
    reply=JobView,
    status=202,
    example={**examples.JOB, "kind": "tags", "method": None},
    scope=Scope.DEVICES_WRITE,
    faults=(415,),
    body=(TagJob, examples.TAG_JOB),
    headers=_LOCATION,
)
_LIST_JOBS: Final = operation(
    tag="jobs",
    summary="List jobs",
    told="A page of the jobs that match, the newest first.",
    reply=JobView,
    is_list=True,
    example=[examples.JOB],
    scope=Scope.DEVICES_READ,
    parameters=query_parameters(_QUERY, _TEXTS),
    headers={
        "X-Total-Count": "How many jobs match in all.",
        "Link": "The first, previous, next and last page (RFC 8288), relative to this one.",
    },
)
_SHOW_JOB: Final = operation(
    tag="jobs",
    summary="Show a job",
    told="The job, with some of its devices and what became of each.",
    reply=JobDetail,
    example=examples.JOB_DETAIL,
    scope=Scope.DEVICES_READ,
    faults=(404,),
    parameters=(_JOB, *query_parameters(_ITEM_QUERY, _ITEM_TEXTS)),
)
_CANCEL_JOB: Final = operation(
    tag="jobs",
    summary="Cancel a job",
    told="The job, of which nothing more is begun.",
    reply=JobView,
    example={**examples.JOB, "state": "cancelling", "cancelledBy": "app:dashboard"},
    scope=Scope.DEVICES_READ,
    least=UserRole.OPERATOR,
    faults=(404, 409, 415),
    parameters=(_JOB,),
)
_RETRY_JOB: Final = operation(
    tag="jobs",
    summary="Retry what failed of a job",
    told="The new job, over the devices where this one failed. Location has its address.",
    reply=JobView,
    status=202,
    example={**examples.JOB, "retryOf": "01dd98f4b6c1-77c0a4e2"},
    scope=Scope.DEVICES_READ,
    least=UserRole.OPERATOR,
    faults=(404, 409, 415),
    parameters=(_JOB,),
    headers=_LOCATION,
)


def add_routes(app: FastAPI) -> None:
    """Add the addresses below ``/api/batch`` and ``/api/jobs``."""
    methods, twins, tags = BATCHES
    app.add_api_route(methods, call_methods, methods=["POST"], **_CALL_METHODS)
    app.add_api_route(twins, desire_twins, methods=["POST"], **_DESIRE_TWINS)
    app.add_api_route(tags, tag_devices, methods=["POST"], **_TAG_DEVICES)
    app.add_api_route("/api/jobs", list_jobs, methods=["GET"], **_LIST_JOBS)
    app.add_api_route("/api/jobs/{job}", show_job, methods=["GET"], **_SHOW_JOB)
    app.add_api_route("/api/jobs/{job}/cancel", cancel_job, methods=["POST"], **_CANCEL_JOB)
    app.add_api_route("/api/jobs/{job}/retry", retry_job, methods=["POST"], **_RETRY_JOB)


async def call_methods(request: Request) -> Response:
    """Devices are named in ``devices``, by id or role, or meant by the fields of a list: ``q``, ``group`` and so on.

    One that answers with a status of 400 or more has failed. After a crash of
    the hub, a device may be called twice.
    """
    return await _make(request, "methods")


async def desire_twins(request: Request) -> Response:
    """Devices are named in ``devices``, by id or role, or meant by the fields of a list: ``q``, ``group`` and so on.

    ``q`` empty means every device but the retired.
    """
    return await _make(request, "twins")


async def tag_devices(request: Request) -> Response:
    """Devices are named in ``devices``, by id or role, or meant by the fields of a list: ``q``, ``group`` and so on.

    Tags are merged; null as a value removes one.
    """
    return await _make(request, "tags")


async def list_jobs(request: Request) -> Response:
    """Jobs that are over are kept for 30 days, at most 1,000 of them."""
    proven = await prove(request)
    pairs, values = _QUERY.read(request.scope["query_string"])
    body = await call(request, proven, "jobs", "list", payload=orjson.dumps(values), within=SLOW_SECONDS)
    total, jobs = split_page(body, b"jobs")
    links = page_links(
        request.scope["path"], pairs, values.get("limit", _DEFAULT_LIMIT), values.get("offset", 0), total
    )
    return answer(jobs, **{"X-Total-Count": str(total), "Link": links})


async def show_job(request: Request) -> Response:
    """Reading what a job does and what devices answered needs the scope of that besides.

    ``methods:call`` for methods, ``twins:read`` for twins.
    """
    proven = await prove(request)
    _, values = _ITEM_QUERY.read(request.scope["query_string"])
    job = path_name(request, "job")
    return answer(await call(request, proven, "jobs", job, "get", payload=orjson.dumps(values), within=SLOW_SECONDS))


async def cancel_job(request: Request) -> Response:
    """It needs the scope of what the job does besides. A repeat changes nothing."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    job, body = path_name(request, "job"), await no_body(request)
    return answer(await call(request, proven, "jobs", job, "cancel", payload=body))


async def retry_job(request: Request) -> Response:
    """It needs the scope of what the job does besides. A job that is not over is 409."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    job, body = path_name(request, "job"), await no_body(request)
    return _accepted(await call(request, proven, "jobs", job, "retry", payload=body, within=_MAKING_SECONDS))


async def _make(request: Request, kind: str) -> Response:
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    body = await json_body(request)
    return _accepted(await call(request, proven, "jobs", "create", kind, payload=body, within=_MAKING_SECONDS))


def _accepted(body: bytes) -> Response:
    made = answer(body, Location=f"/api/jobs/{orjson.loads(body)['id']}")
    made.status_code = 202
    return made
