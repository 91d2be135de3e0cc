"""The written interface says what the code does: subjects, messages and faults of ``functions/contract/README.md``."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import BaseModel, RootModel

from functions.contract import messages
from functions.contract.faults import CATALOGUE
from functions.domain.faults import Reason
from functions.route import DEFAULT_LIMIT_BYTES, Role
from functions.routes import ROUTES

# Bases of the messages, no messages themselves.
_BASES = (messages.Message, messages.FromDevice, messages.Request)
# Any call may answer these, so no row repeats them.
_OF_ALL = {"bad_request", "too_deep", "too_large", "denied", "rate_limited", "unavailable", "timeout", "internal"}
# Only HTTP has methods, and pages of other sites.
_OF_HTTP = {"method_not_allowed", "foreign_request"}


def _page() -> str:
    found = find_spec("functions.contract")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).with_name("README.md").read_text(encoding="utf-8")


def _rows(first: str) -> Iterator[list[str]]:
    """The rows of every table whose first column has this heading."""
    inside = False
    for line in _page().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("|") else []
        if not cells:
            inside = False
        elif cells[0] == first:
            inside = True
        elif inside and not line.startswith("|---"):
            yield cells


def _words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def _reply(handler: Any) -> str:
    declared = get_type_hints(handler)["return"]
    return str(next(iter(get_args(declared)), declared).__name__)


def test_the_page_lists_every_function_on_its_terms() -> None:
    written = {
        _words(subject)[0]: (callers, _words(body)[0], _words(reply)[0], within)
        for subject, callers, body, reply, within, _ in _rows("subject")
    }

    assert written == {
        route.subject: (
            ", ".join(str(kind.name).lower() for kind in route.allow),
            route.body.__name__,
            _reply(route.handler),
            f"{route.within:g} s",
        )
        for route in ROUTES
    }


def test_the_page_names_what_differs_between_functions() -> None:
    larger = {route.subject: route.limit_bytes for route in ROUTES if route.limit_bytes != DEFAULT_LIMIT_BYTES}
    index = [route.subject for route in ROUTES if route.role is Role.INDEX]
    open_to_others = [route.subject for route in ROUTES if not route.own]
    echoed = {route.subject: route.echo for route in ROUTES if route.echo}

    assert larger == {
        "whitelist.batch": 1024 * 1024,
        "registry.import": 1024 * 1024,
        "jobs.create.methods": 4 * 1024 * 1024,
        "jobs.create.twins": 4 * 1024 * 1024,
        "jobs.create.tags": 4 * 1024 * 1024,
    }
    assert index == [
        "registry.query",
        "registry.ids",
        "registry.facets",
        "registry.stats",
        "registry.groups.list",
        "registry.groups.create",
        "registry.groups.*.update",
        "registry.groups.*.delete",
        "certificates.query",
        "whitelist.list",
        "telemetry.query",
        "telemetry.export",
        "telemetry.*.latest",
        "events.query",
        "jobs.create.methods",
        "jobs.create.twins",
        "jobs.create.tags",
        "audit.export",
        "audit.query",
        "checks.list",
        "local.devices.query",
    ]
    assert open_to_others == ["devices.*.provision.request"]
    assert echoed == {
        "certificates.create-from-csr": ("requestId",),
        "devices.*.certificates.renew": ("requestId",),
        "devices.*.twin.get": ("clientToken",),
        "devices.*.twin.update": ("clientToken",),
    }


def test_the_page_names_only_faults_that_exist() -> None:
    named = {fault for *_, faults in _rows("subject") for fault in _words(faults)}

    assert named <= {str(reason) for reason in Reason} - _OF_ALL


def test_every_fault_is_of_all_calls_or_of_one() -> None:
    named = {fault for *_, faults in _rows("subject") for fault in _words(faults)}

    assert named | _OF_ALL | _OF_HTTP == {str(reason) for reason in Reason}


def _models() -> dict[str, type[BaseModel]]:
    return {
        name: kind
        for name, kind in vars(messages).items()
        if isinstance(kind, type)
        and issubclass(kind, BaseModel)
        and kind.__module__.startswith(f"{messages.__name__}.")
        and kind.__name__ == name
        and kind not in _BASES
        and name.isidentifier()
    }


def _fields(kind: type[BaseModel]) -> list[str]:
    if issubclass(kind, RootModel):
        return []
    return [f"{field.alias or name}{'' if field.is_required() else '?'}" for name, field in kind.model_fields.items()]


def test_the_page_lists_every_message_with_its_fields() -> None:
    written = {_words(name)[0]: _words(fields) for name, fields in _rows("message")}

    assert written == {name: _fields(kind) for name, kind in _models().items()}


def test_the_page_lists_every_fault_as_the_catalogue_has_it() -> None:
    written = {_words(error)[0]: (int(code), retry) for error, code, retry in _rows("error")}

    assert written == {
        str(reason): (entry.status, "yes" if entry.retry else "no") for reason, entry in CATALOGUE.items()
    }


@pytest.mark.parametrize("subject", [cells[0] for cells in _rows("subject below `devicehub.`")])
def test_an_event_has_a_message(subject: str) -> None:
    bodies = {cells[0]: _words(cells[1])[0] for cells in _rows("subject below `devicehub.`")}

    assert bodies[subject] in _models()
