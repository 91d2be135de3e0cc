"""A function that another package adds, by way of a package that is really built and installed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[1] / "example_function"
COMMAND = str(Path(sys.executable).with_name("devicehub"))

Devicehub = Callable[..., "subprocess.CompletedProcess[str]"]


def _install(source: Path, target: Path) -> None:
    """Build the package and put it, with its metadata, into a directory of its own."""
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _command(site: Path) -> Devicehub:
    """The devicehub command in an environment that has what lies in ``site`` besides."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "300"}
        return subprocess.run([COMMAND, *words], env=environ, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="module")
def devicehub(tmp_path_factory: pytest.TempPathFactory) -> Devicehub:
    site = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "example"
    shutil.copytree(EXAMPLE, source)
    _install(source, site)
    return _command(site)


def _variant(folder: Path, change: Callable[[str], str]) -> Devicehub:
    """The command with the example installed, its module changed."""
    source, site = folder / "example", folder / "site"
    shutil.copytree(EXAMPLE, source)
    module = source / "greeting.py"
    module.write_text(change(module.read_text()))
    _install(source, site)
    return _command(site)


def test_a_package_adds_a_function_in_twenty_lines() -> None:
    lines = (EXAMPLE / "greeting.py").read_text().splitlines()

    assert len([line for line in lines if line.strip()]) <= 20


def test_the_function_is_listed_with_who_may_call_it(devicehub: Devicehub) -> None:
    done = devicehub("functions", "--json")

    assert done.returncode == 0, done.stderr
    listed = {entry["subject"]: entry for entry in json.loads(done.stdout)}
    assert listed["devicehub.examples.greet"] == {
        "subject": "devicehub.examples.greet",
        "handler": "greeting.greet",
        "body": "Greet",
        "reply": "Greeted",
        "callers": ["operator", "app", "system"],
        "withinSeconds": 1.0,
        "limitBytes": 262144,
        "process": "worker",
    }
    assert "devicehub.twins.*.get" in listed


def test_the_function_is_called_without_a_server(devicehub: Devicehub, tmp_path: Path) -> None:
    payload = tmp_path / "greet.json"
    payload.write_text('{"name": "Anna"}')

    done = devicehub("invoke", "examples.greet", "--payload", str(payload), "--caller", "user:bert")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"].startswith("Hello Anna, says user:bert, in 2")


def test_the_runtime_checks_the_payload_of_the_function(devicehub: Devicehub, tmp_path: Path) -> None:
    payload = tmp_path / "greet.json"
    payload.write_text('{"name": 7}')

    done = devicehub("invoke", "devicehub.examples.greet", "--payload", str(payload))

    assert done.returncode == 1
    assert done.stdout == ""
    assert '"error": "bad_request"' in done.stderr


def test_the_runtime_keeps_devices_from_the_function(devicehub: Devicehub, tmp_path: Path) -> None:
    payload = tmp_path / "greet.json"
    payload.write_text('{"name": "Anna"}')

    done = devicehub("invoke", "examples.greet", "--payload", str(payload), "--caller", "device:pump-1")

    assert done.returncode == 1
    assert '"error": "denied"' in done.stderr


@pytest.mark.parametrize(
    ("subject", "taken"),
    [("twins.*.get", "devicehub.twins.*.get"), ("twins.pump-1.desire", "devicehub.twins.*.desire")],
)
def test_a_package_that_shadows_one_of_ours_is_refused_by_name(tmp_path: Path, subject: str, taken: str) -> None:
    devicehub = _variant(tmp_path, lambda text: text.replace("examples.greet", subject))

    for done in (devicehub("functions"), devicehub("invoke", "enrolment.get")):
        assert done.returncode == 1
        assert "'example'" in done.stderr
        assert taken in done.stderr
        assert "Traceback" not in done.stderr


def test_an_entry_point_may_be_a_callable_that_gives_routes(tmp_path: Path) -> None:
    devicehub = _variant(tmp_path, lambda text: text.replace("ROUTES = (", "def ROUTES():\n    return ("))

    done = devicehub("functions", "--json")

    assert done.returncode == 0, done.stderr
    assert "devicehub.examples.greet" in done.stdout


def test_an_entry_point_that_gives_no_routes_is_told(tmp_path: Path) -> None:
    devicehub = _variant(tmp_path, lambda text: f"{text}\nROUTES = 7\n")

    done = devicehub("functions")

    assert done.returncode == 1
    assert "'example'" in done.stderr
    assert "does not give routes" in done.stderr
