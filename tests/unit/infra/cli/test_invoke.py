import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

from functions.adapters.roots import make_root
from functions.contract.requests import make_request
from functions.routes import ROUTES
from infra.cli.invoke import find_route
from infra.cli.main import app
from infra.problem import Problem


@pytest.fixture(autouse=True)
def log() -> Iterator[None]:
    """The command sets up the log of its process, which here is that of the tests."""
    yield
    structlog.reset_defaults()


def invoke(*words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, ["invoke", *words], input=given)


def answer(*words: str, given: str | None = None) -> Any:
    done = invoke(*words, given=given)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("function", ["twins.pump-1.get", "devicehub.twins.pump-1.get"])
def test_a_function_is_found_by_its_subject_in_full_or_below_the_root(function: str) -> None:
    route, subject = find_route(ROUTES, function)

    assert route.subject == "twins.*.get"
    assert subject == "devicehub.twins.pump-1.get"


@pytest.mark.parametrize("function", ["twins.get", "twins.a.b.get", "nothing", "", "devicehub."])
def test_a_subject_that_no_function_serves_is_told(function: str) -> None:
    with pytest.raises(Problem, match="No function serves"):
        find_route(ROUTES, function)


@pytest.mark.parametrize("function", ["twins.*.get", "twins.>"])
def test_a_pattern_is_no_subject(function: str) -> None:
    with pytest.raises(Problem, match="is a pattern"):
        find_route(ROUTES, function)


def test_the_reply_alone_is_on_standard_output() -> None:
    done = invoke("enrolment.get")

    assert json.loads(done.stdout) == {
        "isOpen": False,
        "openUntil": None,
        "whitelistEnforced": False,
        "serveFiles": None,
    }
    assert "nothing of this run is kept" in done.stderr
    assert "CA made for this run" in done.stderr


def test_a_fault_is_json_on_standard_error_with_exit_code_1() -> None:
    done = invoke("registry.devices.pump-1.get")

    assert done.exit_code == 1
    assert done.stdout == ""
    fault = json.loads(done.stderr[done.stderr.index("{") :])
    assert fault["error"] == "unknown_device"
    assert fault["code"] == 404


def test_what_one_run_keeps_the_next_one_finds(tmp_path: Path) -> None:
    state = str(tmp_path / "state.json")
    answer("enrolment.open", "--state", state)
    answer("whitelist.batch", "--state", state, "--payload", "-", given='{"lines": [["board-0001"]]}')

    assert answer("enrolment.get", "--state", state)["isOpen"] is True
    # The same UUID has the same hash in every run.
    again = answer("whitelist.batch", "--state", state, "--payload", "-", given='{"lines": [["board-0001"]]}')
    assert (again["added"], again["present"]) == (0, 1)


def test_the_ca_beside_the_state_signs(tmp_path: Path) -> None:
    certificate, key = make_root()
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca" / "root.crt").write_text(certificate)
    (tmp_path / "ca" / "root.key").write_text(key)
    payload = tmp_path / "create.json"
    payload.write_text(json.dumps({"csrPem": make_request("pump-1")[0]}))

    issued = answer(
        "registry.devices.pump-1.create", "--payload", str(payload), "--state", str(tmp_path / "state.json")
    )

    assert issued["caChainPem"] == certificate


def test_events_that_a_server_would_carry_are_shown(tmp_path: Path) -> None:
    state = str(tmp_path / "state.json")
    request = json.dumps({"csrPem": make_request("pump-1")[0]})
    answer("registry.devices.pump-1.create", "--state", state, "--payload", "-", given=request)

    done = invoke("twins.pump-1.desire", "--state", state, "--payload", "-", given='{"desired": {"led": "on"}}')

    assert done.exit_code == 0, done.output
    assert "event devicehub.devices.pump-1.twin.update.delta {" in done.stderr


def test_the_caller_is_who_is_named(tmp_path: Path) -> None:
    done = invoke("enrolment.open", "--caller", "device:pump-1")

    assert done.exit_code == 1
    assert '"error": "denied"' in done.stderr


@pytest.mark.parametrize("content", ["{", "[1]", '"text"'])
def test_a_file_that_is_no_state_is_told_and_left_alone(tmp_path: Path, content: str) -> None:
    state = tmp_path / "state.json"
    state.write_text(content)

    done = invoke("enrolment.open", "--state", str(state))

    assert done.exit_code == 1
    assert "Traceback" not in done.output
    assert str(state) in done.stderr
    assert state.read_text() == content


def test_a_payload_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    done = invoke("enrolment.open", "--payload", str(tmp_path / "none.json"))

    assert done.exit_code == 1
    assert "cannot be read" in done.stderr
