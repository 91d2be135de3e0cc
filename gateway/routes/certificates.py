"""The register of certificates over HTTP, and the revocation list."""

from email.utils import format_datetime
from typing import Final

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from functions.contract.messages import (
    CertificateDetail,
    CertificateQuery,
    CertificateRevoke,
    CertificateRevoked,
    CertificateView,
)
from functions.contract.views import split_page
from functions.domain.roles import UserRole
from functions.domain.tokens import Scope
from gateway import examples
from gateway.calls import SLOW_SECONDS, answer, call, gateway_of, no_body, path_name, prove
from gateway.openapi import header_parameter, operation, path_parameter, query_parameters
from gateway.queries import Parameters, page_links

_QUERY: Final = Parameters(CertificateQuery)
_NO_QUERY: Final = Parameters()
_DEFAULT_LIMIT: Final = CertificateQuery().limit

_PEM: Final = "application/x-pem-file"
_DER: Final = "application/pkix-crl"
# Short, as whoever checks against the list should learn of a revocation soon.
_CACHED: Final = "public, max-age=60"

_SERIAL: Final = path_parameter("serial", "The serial number of a certificate, in hexadecimal without colons.")
_TEXTS: Final = {
    "q": "Text that is found in subject or issuedTo, or begins the serial number or the fingerprint.",
    "state": "Only certificates that are so.",
    "kind": "Only certificates for this.",
    "gate": "Only certificates issued by this gate.",
    "subject": "Only certificates of this common name: a device's id, or 'claim-NAME'.",
    "expiresAfter": "Only certificates that end later than this.",
    "expiresBefore": "Only certificates that end before this.",
    "sort": "Fields of a certificate, separated by commas; '-' before one turns its order round.",
    "limit": "How many certificates at most.",
    "offset": "How many certificates to leave out first.",
}


_LIST_CERTIFICATES: Final = operation(
    tag="certificates",
    summary="List certificates",
    told="A page of the certificates that match, of all that the hub ever issued; the newest first.",
    reply=CertificateView,
    is_list=True,
    example=[examples.CERTIFICATE],
    scope=Scope.ADMIN,
    least=UserRole.VIEWER,
    parameters=query_parameters(_QUERY, _TEXTS),
    headers={
        "X-Total-Count": "How many certificates match in all.",
        "Link": "The first, previous, next and last page (RFC 8288), relative to this one.",
    },
)
_READ_CERTIFICATE: Final = operation(
    tag="certificates",
    summary="Read a certificate",
    told="What the register has of the certificate, itself in PEM included.",
    reply=CertificateDetail,
    example={**examples.CERTIFICATE, "pem": examples.PEM},
    scope=Scope.ADMIN,
    least=UserRole.VIEWER,
    faults=(404,),
    parameters=(_SERIAL,),
)
_REVOKE_CERTIFICATE: Final = operation(
    tag="certificates",
    summary="Revoke a certificate",
    told="The certificate is revoked, and this is what follows from it.",
    reply=CertificateRevoked,
    example=examples.REVOKED,
    scope=Scope.ADMIN,
    faults=(404, 415),
    body=(CertificateRevoke, {"reason": "keyCompromise"}),
    is_body_needed=False,
    parameters=(_SERIAL,),
)
_READ_CRL: Final = operation(
    tag="certificates",
    summary="Read the revocation list",
    told="The list that the broker goes by, in PEM, or in DER for who asks for that.",
    reply={"type": "string"},
    media_type=_PEM,
    also={_DER: {"type": "string", "format": "binary"}},
    example=examples.CRL,
    parameters=(
        header_parameter("Accept", f"With '{_DER}' among it, the list comes in DER."),
        header_parameter("If-None-Match", "An ETag; answered with 304 if the list is still that one."),
    ),
    headers={
        "ETag": "Of this list in this form.",
        "Last-Modified": "When the list was made.",
        "Cache-Control": "For how long it need not be asked for again.",
    },
    others={304: "The list is still the one that If-None-Match names."},
)


def add_routes(app: FastAPI) -> None:
    """Add the addresses below ``/api/certificates``, and ``/api/crl``."""
    app.add_api_route("/api/certificates", list_certificates, methods=["GET"], **_LIST_CERTIFICATES)
    app.add_api_route("/api/certificates/{serial}", read_certificate, methods=["GET"], **_READ_CERTIFICATE)
    app.add_api_route("/api/certificates/{serial}/revoke", revoke_certificate, methods=["POST"], **_REVOKE_CERTIFICATE)
    app.add_api_route("/api/crl", read_crl, methods=["GET"], **_READ_CRL)


async def list_certificates(request: Request) -> Response:
    """What is given must all hold; nothing given lists every certificate, those of gone devices among them."""
    proven = await prove(request)
    pairs, values = _QUERY.read(request.scope["query_string"])
    body = await call(request, proven, "certificates", "query", payload=orjson.dumps(values), within=SLOW_SECONDS)
    total, certificates = split_page(body, b"certificates")
    links = page_links(
        request.scope["path"], pairs, values.get("limit", _DEFAULT_LIMIT), values.get("offset", 0), total
    )
    return answer(certificates, **{"X-Total-Count": str(total), "Link": links})


async def read_certificate(request: Request) -> Response:
    """A revoked certificate, and one of a device that is gone, is still here."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    return answer(await call(request, proven, "certificates", path_name(request, "serial"), "get"))


async def revoke_certificate(request: Request) -> Response:
    """A device's current certificate takes the device with it; a repeat changes nothing."""
    proven = await prove(request)
    _NO_QUERY.read(request.scope["query_string"])
    serial, body = path_name(request, "serial"), await no_body(request)
    return answer(await call(request, proven, "certificates", serial, "revoke", payload=body, within=SLOW_SECONDS))


async def read_crl(request: Request) -> Response:
    """Open to all: whoever is shown a certificate must be able to tell whether it is still good."""
    _NO_QUERY.read(request.scope["query_string"])
    published = await gateway_of(request).revocations.read()
    wants_der = _DER in _accepted(request)
    body, etag = published.form(der=wants_der)
    headers = {
        "ETag": etag,
        "Last-Modified": format_datetime(published.made.replace(microsecond=0), usegmt=True),
        "Cache-Control": _CACHED,
        "Vary": "Accept",
    }
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or etag in known:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=_DER if wants_der else _PEM)


def _accepted(request: Request) -> set[str]:
    """The media types that a request names, without their parameters."""
    return {one.partition(";")[0].strip().lower() for one in request.headers.get("accept", "").split(",")}
