"""Bundles over HTTP: downloads for operators, and the files that devices fetch for themselves."""

from typing import Final

from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract import subjects
from functions.contract.messages import BundleView, ClaimNamed, DeviceRegister, FileContent, FileWanted
from functions.domain.bundles import CA, CLAIM_FILES, certificate_file, key_file
from functions.domain.faults import NotFound
from functions.domain.tokens import Scope
from gateway import examples
from gateway.archives import MEDIA_TYPE, pack
from gateway.attempts import origin_of
from gateway.callers import GATEWAY
from gateway.calls import (
    JSON,
    QUICK_SECONDS,
    SLOW_SECONDS,
    answer,
    call,
    gateway_of,
    json_body,
    path_name,
    prove,
)
from gateway.openapi import operation, path_parameter
from gateway.problems import REQUEST_ID
from gateway.queries import Parameters
from gateway.routes.claims import NAME
from gateway.routes.claims import PATH as CLAIMS

_NO_QUERY: Final = Parameters()
_BINARY: Final = {"type": "string", "format": "binary"}
_PEM: Final = "application/x-pem-file"
_SERVED: Final = (CA, certificate_file(CLAIM_FILES), key_file(CLAIM_FILES))
_DISPOSITION: Final = {"Content-Disposition": "The file's name."}

_DOWNLOAD: Final = operation(
    tag="claims",
    summary="Download the bundle of a claim certificate",
    told=f"An archive of {CA}, {_SERVED[1]}, {_SERVED[2]} and config.json, to be unpacked on devices.",
    reply=_BINARY,
    media_type=MEDIA_TYPE,
    example="(a .tgz file)",
    scope=Scope.ADMIN,
    faults=(404, 409),
    parameters=(NAME,),
    headers=_DISPOSITION,
)
_REGISTER: Final = operation(
    tag="devices",
    summary="Register a device and get its bundle",
    told=f"An archive of {CA}, ID.crt, ID.key and config.json; as JSON where 'Accept' asks for that.",
    status=201,
    reply=_BINARY,
    media_type=MEDIA_TYPE,
    example="(a .tgz file)",
    also={JSON: BundleView},
    scope=Scope.DEVICES_WRITE,
    faults=(409, 415),
    body=(DeviceRegister, examples.DEVICE_REGISTER),
    headers={**_DISPOSITION, "Location": "Where the device is."},
)
_FETCH: Final = operation(
    tag="claims",
    summary="Fetch a claim file, as a device",
    told="The file in PEM, of the claim certificate that the open enrolment window names.",
    reply={"type": "string"},
    media_type=_PEM,
    example="-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n",
    faults=(403, 404, 429, 504),
    parameters=(path_parameter("file", f"One of {', '.join(_SERVED)}.", pattern=r"^(ca|provisioning)\.(crt|key)$"),),
)


def add_routes(app: FastAPI) -> None:
    """Add the downloads, and the registering of a device, which ends in one."""
    app.add_api_route(f"{CLAIMS}/{{name}}/download", download_claim, methods=["GET"], **_DOWNLOAD)
    app.add_api_route("/api/devices", register_device, methods=["POST"], **_REGISTER)
    app.add_api_route("/api/provisioning/certs/{file}", fetch_claim_file, methods=["GET"], **_FETCH)


async def download_claim(request: Request) -> Response:
    """The same bundle gives the same bytes each time; 409 where the key was made elsewhere."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    wanted = ClaimNamed(name=path_name(request, "name"))
    body = await call(request, proven, "claims", "bundle", payload=wanted.encode())
    return _archive(BundleView.model_validate_json(body))


async def register_device(request: Request) -> Response:
    """Enrolment need not be open. Without ``csrPem`` the hub makes a key, which stands in this answer only."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    wish = await json_body(request)
    body = await call(request, proven, "registry", "create", payload=wish, within=SLOW_SECONDS)
    bundle = BundleView.model_validate_json(body)
    made = answer(body) if _wants_json(request) else _archive(bundle)
    made.status_code = 201
    made.headers["Location"] = f"/api/devices/{bundle.common_name}"
    return made


async def fetch_claim_file(request: Request) -> Response:
    """Without login: only while enrolment is open with file serving, else 403; so many requests an address."""
    gateway = gateway_of(request)
    gateway.strangers.admit(request.scope)
    _NO_QUERY.read(request.scope["query_string"])
    name = request.path_params["file"]
    if name not in _SERVED:
        raise NotFound(detail=f"There is no such file; there are {', '.join(_SERVED)}.")
    body = await gateway.bus.request(
        subjects.subject("enrolment", "files"),
        FileWanted(name=name).encode(),
        caller=GATEWAY,
        within=QUICK_SECONDS,
        headers={subjects.CALL: request.scope[REQUEST_ID], subjects.ORIGIN: origin_of(request.scope)},
    )
    file = FileContent.model_validate_json(body)
    return Response(file.content, headers=_attachment(name), media_type=_PEM)


def _archive(bundle: BundleView) -> Response:
    return Response(pack(bundle), headers=_attachment(f"{bundle.common_name}.tgz"), media_type=MEDIA_TYPE)


def _attachment(name: str) -> dict[str, str]:
    # Of the form that names have, so nothing in it needs quoting.
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _wants_json(request: Request) -> bool:
    """Whether ``Accept`` names JSON and not the archive; who states nothing, or takes all, gets the archive."""
    wanted = {one.partition(";")[0].strip().lower() for one in request.headers.get("accept", "").split(",")}
    return JSON in wanted and MEDIA_TYPE not in wanted
