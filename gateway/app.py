"""The HTTP surface as one ASGI app; what answers it comes in as a bus."""

import os
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import structlog
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ExceptionHandler

from gateway.attempts import Attempts
from gateway.callers import Bus, Callers
from gateway.calls import Gateway
from gateway.counters import Counters
from gateway.edge import Edge
from gateway.failures import Failures
from gateway.figures import Figures
from gateway.live.feed import Feed
from gateway.live.members import Members
from gateway.openapi import Route, operation_id
from gateway.problems import HANDLERS, on_unforeseen
from gateway.readiness import Readiness
from gateway.revocations import RevocationList
from gateway.routes import (
    alarms,
    audit,
    auth,
    bundles,
    ca,
    certificates,
    checks,
    claims,
    devices,
    enrolment,
    groups,
    history,
    hub,
    jobs,
    live,
    logs,
    methods,
    metrics,
    page,
    records,
    server_settings,
    services,
    telemetry,
    transfer,
    twins,
    users,
    whitelist,
)
from gateway.settings import Settings
from gateway.strangers import Strangers
from gateway.webui import WebUi

_RESOURCES = (
    hub,
    auth,
    users,
    devices,
    records,
    groups,
    twins,
    history,
    methods,
    jobs,
    certificates,
    ca,
    claims,
    bundles,
    enrolment,
    server_settings,
    whitelist,
    alarms,
    audit,
    checks,
    services,
    logs,
    metrics,
    transfer,
    live,
    telemetry,
)

log = structlog.get_logger("gateway")


def create_app(settings: Settings, bus: Bus, *, now: Callable[[], float] = time.monotonic) -> FastAPI:
    """Make the app.

    Args:
        settings: its bounds.
        bus: where the functions are.
        now: monotonic seconds.
    """
    ui = None if settings.webui is None else WebUi(settings.webui)
    app = FastAPI(
        title="Device Hub",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
        exception_handlers=_handlers(ui),  # type: ignore[arg-type]  # Of classes only, where codes could be too.
    )
    # Before any route is added.
    app.router.route_class = Route
    counters = Counters()
    app.state.gateway = Gateway(
        bus=bus,
        callers=Callers(bus, Failures(), now),
        attempts=Attempts(bus),
        counters=counters,
        readiness=Readiness(bus, now),
        figures=Figures(bus, now),
        revocations=RevocationList(bus, now),
        strangers=Strangers(now),
        feed=Feed(bus),
        members=Members(bus, now),
        bounds=settings.bounds,
        version=version("devicehub"),
    )
    app.state.asyncapi = _read_description(settings.asyncapi)
    for resource in _RESOURCES:
        resource.add_routes(app)
    _add_pages(app, ui)
    # The last one added is the outermost.
    app.add_middleware(ExceptionMiddleware, handlers={Exception: on_unforeseen})
    bounds = settings.bounds
    larger = {whitelist.BATCH: bounds.list_bytes, transfer.IMPORT: bounds.import_bytes}
    larger |= dict.fromkeys(jobs.BATCHES, bounds.list_bytes)
    app.add_middleware(Edge, counters=counters, bounds=bounds, larger=larger, streamed=(transfer.IMPORT,))
    return app


def _add_pages(app: FastAPI, ui: WebUi | None) -> None:
    """Add what browsers are shown: the built interface, and plain pages for what of it is not there."""
    if ui is None or ui.index is None:
        page.add_routes(app)
        page.add_docs(app)
        return
    ui.add_routes(app)
    if ui.docs is None:
        page.add_docs(app)


def _read_description(file: Path | None) -> bytes | None:
    """What describes the hub's messages; a gateway that runs elsewhere may have none, and serves all but that."""
    if file is None:
        return None
    try:
        return file.read_bytes()
    except OSError as problem:
        log.warning(
            "no /asyncapi.json", file=str(file), problem=problem.strerror, mend="'devicehub up' writes the file"
        )
        return None


def _handlers(ui: WebUi | None) -> dict[type[Exception], ExceptionHandler]:
    """What answers instead where a route raises, or where there is none."""
    if ui is None:
        return dict(HANDLERS)
    return {**HANDLERS, HTTPException: ui.or_page(HANDLERS[HTTPException])}


def settings_of_environment() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: with every fault found.
    """
    return Settings.from_env(os.environ)
