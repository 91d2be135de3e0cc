"""The packages are this project's own, the wheel has all of them, and what they need is pinned."""

import importlib.util
import re
import sysconfig
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGES = ("functions", "gateway", "bridge", "infra")
ROOT = Path(__file__).resolve().parents[1]
IN_CHECKOUT = (ROOT / "functions").is_dir()
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+) \\$")
_HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")


def _home() -> Path:
    """Where our packages must come from: this checkout, or where the wheel was installed."""
    return ROOT if IN_CHECKOUT else Path(sysconfig.get_path("purelib")).resolve()


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_comes_from_this_project(package: str) -> None:
    found = importlib.util.find_spec(package)

    assert found is not None
    assert found.origin is not None
    assert Path(found.origin).resolve() == _home() / package / "__init__.py"


def test_the_wheel_holds_every_file_of_the_packages() -> None:
    if IN_CHECKOUT:
        pytest.skip("runs against the installed wheel: '.ci/run' builds and installs it")
    listed = {file.as_posix() for file in distribution("devicehub").files or ()}
    installed = {
        path.relative_to(_home()).as_posix()
        for package in PACKAGES
        for path in (_home() / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert installed <= listed
    assert {f"{package}/__init__.py" for package in PACKAGES} <= installed
    assert "functions/contract/README.md" in installed


def _project() -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return dict(tomllib.load(file))


def _wanted(lock: str) -> list[str]:
    """What pyproject asks of the environment that a lock file describes."""
    told = _project()
    project, build = told["project"], told["build-system"]
    assert isinstance(project, dict)
    assert isinstance(build, dict)
    wanted = {
        "requirements.lock": project["dependencies"],
        "requirements-dev.lock": [*project["dependencies"], *project["optional-dependencies"]["dev"]],
        "requirements-build.lock": build["requires"],
    }
    return [str(line) for line in wanted[lock]]


def _pins(lock: str) -> dict[str, str]:
    matches = (_PIN.match(line) for line in (ROOT / lock).read_text(encoding="utf-8").splitlines())
    return {canonicalize_name(match[1]): match[2] for match in matches if match}


def _statements(lock: str) -> Iterator[str]:
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        if line and not line.lstrip().startswith("#"):
            yield line


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_pins_what_the_project_needs(lock: str) -> None:
    pins = _pins(lock)

    for line in _wanted(lock):
        wanted = Requirement(line)
        pinned = pins.get(canonicalize_name(wanted.name))
        assert pinned is not None, f"{lock} lacks {wanted.name}: run 'make lock'"
        assert wanted.specifier.contains(pinned), f"{lock} pins {wanted.name} {pinned}, not {wanted.specifier}"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_holds_only_pins_and_their_hashes(lock: str) -> None:
    """So no index address, no link and no path of somebody's machine."""
    strange = [line for line in _statements(lock) if not _PIN.match(line) and not _HASH.match(line)]
    text = (ROOT / lock).read_text(encoding="utf-8")

    assert strange == []
    assert "://" not in text
    assert not re.search(r"(?:^|[\s=])(?:file:/|\.{0,2}/\w)", text)


def test_the_lock_files_agree_with_each_other() -> None:
    every = [_pins(lock) for lock in LOCKS]
    names = {name for pins in every for name in pins}
    split = {name for name in names if len({pins[name] for pins in every if name in pins}) > 1}

    assert split == set(), "run 'make lock'"
