import json

from typer.testing import CliRunner

from functions.contract.messages import TwinGet
from functions.domain.callers import APP, DEVICE, OPERATOR, SYSTEM
from functions.domain.tokens import Scope
from functions.handlers import twins
from functions.route import Route
from functions.routes import ROUTES
from infra.cli.functions import Live, callers, reply
from infra.cli.main import app


def test_every_function_is_listed_with_its_terms() -> None:
    done = CliRunner().invoke(app, ["functions", "--json"])

    assert done.exit_code == 0, done.output
    listed = json.loads(done.stdout)
    assert [entry["subject"] for entry in listed] == [route.full_subject for route in ROUTES]
    assert listed[4] == {
        "subject": "devicehub.devices.*.twin.get",
        "handler": "functions.handlers.twins.get",
        "body": "TwinGet",
        "reply": "TwinAccepted",
        "callers": ["device"],
        "withinSeconds": 2.0,
        "limitBytes": 262144,
        "process": "worker",
    }


def test_people_read_a_line_a_function() -> None:
    done = CliRunner().invoke(app, ["functions"])

    lines = done.stdout.splitlines()
    assert len(lines) == len(ROUTES) + 1
    assert lines[0].split() == ["Subject", "Handler", "Callers", "Within", "Process"]
    assert "devicehub.registry.query" in done.stdout


def test_callers_are_told_in_words() -> None:
    route = Route(
        "devices.*.x", twins.get, TwinGet, allow=SYSTEM | APP | DEVICE | OPERATOR, within=1.0, scope=Scope.TWINS_READ
    )

    assert callers(route) == ["device", "operator", "app", "system"]
    assert reply(route) == "TwinAccepted"


def test_the_average_over_instances_is_weighted_by_their_calls() -> None:
    assert Live().plus(30, 1, 100).plus(10, 2, 500).plus(0, 0, 0) == Live(instances=3, calls=40, faults=3, average=200)
