"""The built web interface, served from a folder: each file by its address, pages of the interface by ``index.html``.

The folder is looked through once, at the start. Only what was found there has
an address, so that no path leads anywhere else. Beside a file may lie ``.br``
and ``.gz`` forms of it, made when the interface was built.
"""

import asyncio
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ExceptionHandler

from functions.domain.faults import Unavailable

INDEX: Final = "index.html"
# The viewer of the description is a page of its own, and no part of the interface's script.
_DOCS: Final = "docs/index.html"

_CODINGS: Final = {"br": ".br", "gzip": ".gz"}
_NAME: Final = re.compile(r"(?!\.)[A-Za-z0-9._@+-]+(?:/(?!\.)[A-Za-z0-9._@+-]+)*")
# As bundlers write them: the name tells the content, so the content never changes.
_HASHED: Final = re.compile(r"assets/.*[.-][A-Za-z0-9_-]{8,}\.[a-z0-9]+")
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"
# Scripts only from files. Component libraries write style elements of their own, which run nothing.
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

log = structlog.get_logger("gateway")


@dataclass(frozen=True, slots=True)
class File:
    """A file of the interface, with its forms by content coding; ``""`` is the file as it is."""

    name: str
    media_type: str
    forms: Mapping[str, Path]
    digest: str

    async def answer(self, request: Request) -> Response:
        """The smallest form that the client takes, or that it has it already (304).

        Raises:
            Unavailable: the file is gone since the start.
        """
        coding = _chosen(request.headers.get("accept-encoding", ""), self.forms)
        etag = f'"{self.digest}{"-" * bool(coding)}{coding}"'
        headers = {
            "ETag": etag,
            "Cache-Control": _FOR_EVER if _HASHED.fullmatch(self.name) else _ASK_AGAIN,
            "Content-Security-Policy": POLICY,
        }
        if len(self.forms) > 1:
            headers["Vary"] = "Accept-Encoding"
        known = request.headers.get("if-none-match", "")
        if known.strip() == "*" or etag in known:
            return Response(status_code=304, headers=headers)
        if coding:
            headers["Content-Encoding"] = coding
        try:
            body = await asyncio.to_thread(self.forms[coding].read_bytes)
        except OSError as problem:
            log.error("web interface changed", file=self.name, problem=str(problem))
            raise Unavailable(
                detail="The web interface was changed while the hub ran; restart the gateway."
            ) from problem
        return Response(body, headers=headers, media_type=self.media_type)


class WebUi:
    """The files of a folder by name.

    Args:
        folder: what the build of the interface wrote.
    """

    def __init__(self, folder: Path) -> None:
        self.files = {file.name: file for file in _find(folder)}
        if INDEX not in self.files:
            log.error("no web interface", message=f"{folder} has no {INDEX}; the plain page is served.")

    @property
    def index(self) -> File | None:
        """The page that every address of the interface begins with."""
        return self.files.get(INDEX)

    @property
    def docs(self) -> File | None:
        """The page that shows the description of the interface."""
        return self.files.get(_DOCS)

    def add_routes(self, app: FastAPI) -> None:
        """Add an address for each file, and the index at ``/``; the interface's other pages ``or_page`` answers."""
        if self.index is not None:
            app.add_api_route("/", self.index.answer, methods=["GET"], include_in_schema=False)
        if self.docs is not None:
            app.add_api_route("/docs", self.docs.answer, methods=["GET"], include_in_schema=False)
        for file in self.files.values():
            app.add_api_route(f"/{file.name}", file.answer, methods=["GET"], include_in_schema=False)

    def or_page(self, otherwise: ExceptionHandler) -> ExceptionHandler:
        """What answers where there is nothing: the interface, if a browser asks for a page of it."""

        async def answer(request: Request, error: Exception) -> Response:
            if self.index is not None and isinstance(error, HTTPException) and _is_page(request, error):
                return await self.index.answer(request)
            told: Response = await otherwise(request, error)  # type: ignore[misc,arg-type]
            return told

        return answer


def _is_page(request: Request, error: HTTPException) -> bool:
    """Whether a browser asks for what is no address of the hub, and no file by its name."""
    path: str = request.scope["path"]
    first, _, _ = path.removeprefix("/").partition("/")
    return (
        error.status_code == 404
        and request.scope["method"] == "GET"
        and "text/html" in request.headers.get("accept", "")
        and first not in ("api", "ws")
        and _NAME.fullmatch(path.strip("/")) is not None
        and "." not in path.rpartition("/")[2]
    )


def _find(folder: Path) -> list[File]:
    root = folder.resolve()
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        # A link may lead out of the folder.
        if path.is_file() and path.resolve().is_relative_to(root):
            found[path.relative_to(root).as_posix()] = path
    files = []
    for name, path in found.items():
        original, dot, ending = name.rpartition(".")
        if dot + ending in _CODINGS.values() and original in found:
            continue
        if _NAME.fullmatch(name) is None:
            log.warning("file not served", file=name)
            continue
        forms = {coding: found[name + end] for coding, end in _CODINGS.items() if name + end in found}
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        files.append(File(name, media_type, {**forms, "": path}, sha256(path.read_bytes()).hexdigest()[:32]))
    return files


def _chosen(accepted: str, forms: Mapping[str, Path]) -> str:
    """The first coding that there is and that the client takes by name."""
    taken: set[str] = set()
    for one in accepted.lower().split(","):
        coding, _, parameters = one.partition(";")
        weight = parameters.strip().removeprefix("q=").strip()
        if weight.strip("0.") or not parameters.strip():
            taken.add(coding.strip())
    return next((coding for coding in _CODINGS if coding in forms and coding in taken), "")
