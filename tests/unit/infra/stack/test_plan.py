import asyncio
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from functions.contract.environment import SettingsError
from infra.node import read_node
from infra.problem import Problem
from infra.settings import Settings
from infra.stack.paths import Paths
from infra.stack.plan import Plan, apply, make_plan, show
from infra.stack.programs import Programs

PROGRAMS = Programs(
    mosquitto=Path("/usr/sbin/mosquitto"),
    plugin=Path("/usr/lib/mosquitto_dynamic_security.so"),
    nats_server=Path("/usr/bin/nats-server"),
)
Planner = Callable[..., Plan]


@pytest.fixture
def plan_for(tmp_path: Path) -> Planner:
    """Makes the plan of a hub with some settings, as a start would."""

    def make(**environ: str) -> Plan:
        data = tmp_path / "hub"
        settings = Settings.from_env({"HUB_DATA_DIR": str(data), "HUB_HOSTNAMES": "hub.example", **environ})
        paths = Paths(data, data / "run")
        return asyncio.run(make_plan(settings, paths, read_node(paths.node), PROGRAMS))

    return make


def contents(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name != "node.json"}


def test_planning_writes_nothing(plan_for: Planner, tmp_path: Path) -> None:
    plan = plan_for()

    assert plan.is_new
    assert list(tmp_path.iterdir()) == []


def test_a_plan_is_shown_by_names_only(plan_for: Planner) -> None:
    plan = plan_for()
    lines = "\n".join(show(plan))

    assert f"make {plan.paths.secret('nats-admin')}" in lines
    assert f"make {plan.paths.broker_config}" in lines
    assert "PRIVATE" not in lines + repr(plan)
    secret = next(file.content for file in plan.files if file.path.name == "nats-admin").decode().strip()
    assert secret not in lines + repr(plan)


def test_what_was_applied_needs_nothing_more(plan_for: Planner) -> None:
    apply(plan_for())
    again = plan_for()

    assert show(again) == []
    before = contents(again.paths.data)
    apply(again)
    assert contents(again.paths.data) == before


def test_everything_is_private(plan_for: Planner) -> None:
    plan = plan_for()
    apply(plan)

    for path in plan.paths.data.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_file_that_became_readable_is_made_private_again(plan_for: Planner) -> None:
    plan = plan_for()
    apply(plan)
    plan.paths.ca_key.chmod(0o644)
    plan.paths.secrets.chmod(0o755)

    assert show(plan_for()) == [f"make private {plan.paths.ca_key}"]
    apply(plan_for())

    assert stat.S_IMODE(plan.paths.ca_key.stat().st_mode) == 0o600
    assert stat.S_IMODE(plan.paths.secrets.stat().st_mode) == 0o700


def test_other_settings_change_only_what_depends_on_them(plan_for: Planner) -> None:
    apply(plan_for())

    changed = show(plan_for(HUB_TOPIC_PREFIXES="$devicehub,$fleethub"))

    names = {line.rpartition("/")[2] for line in changed}
    assert names == {"acl", "supervisord.conf"}


def test_another_host_name_changes_the_brokers_certificate(plan_for: Planner) -> None:
    apply(plan_for())

    changed = {line.rpartition("/")[2] for line in show(plan_for(HUB_HOSTNAMES="other.example"))}

    # The supervisor's file has what bundles tell devices.
    assert changed == {"server.pem", "supervisord.conf"}


def test_what_the_broker_and_the_bridge_keep_is_left_alone(plan_for: Planner) -> None:
    first = plan_for()
    apply(first)
    (first.paths.broker / "dynsec.json").write_text('{"clients": []}')
    published = first.paths.broker_crl.read_bytes()

    apply(plan_for(HUB_TOPIC_PREFIXES="$fleethub"))

    assert (first.paths.broker / "dynsec.json").read_text() == '{"clients": []}'
    assert first.paths.broker_crl.read_bytes() == published


def test_the_node_keeps_its_name_and_takes_the_settings(plan_for: Planner) -> None:
    apply(plan_for())
    first = plan_for().node

    apply(plan_for(HUB_MQTT_LISTEN="127.0.0.1:9999"))
    second = read_node(plan_for().paths.node)

    assert second == replace(first, mqtt_listen="127.0.0.1:9999")
    assert second.name.startswith("hub-")


def test_a_server_elsewhere_is_not_started(plan_for: Planner) -> None:
    assert [server.name for server in plan_for().servers] == ["nats", "mosquitto"]

    plan = plan_for(HUB_NATS_URL="nats://bus:4222")

    assert plan.node.nats_url == "nats://bus:4222"
    assert all(part.environment["HUB_NATS_URL"] == "nats://bus:4222" for part in plan.parts)


def test_a_part_is_told_no_secret_but_as_a_file_and_only_its_own(plan_for: Planner) -> None:
    plan = plan_for()
    secrets = {
        file.path.name: file.content.decode().strip() for file in plan.files if file.path.parent == plan.paths.secrets
    }

    for part in plan.parts:
        told = " ".join(part.environment.values())
        assert not [name for name, value in secrets.items() if value in told]
        named = {name for name in secrets if str(plan.paths.secret(name)) in told.split()}
        own = {"nats-functions", "uuid-key"}
        if part.name == "bridge":
            own = {"nats-bridge", "broker-bridge", "bridge-control", "bridge-telemetry"}
        elif part.name in ("gateway", "host"):
            own = {f"nats-{part.name}"}
        assert named == own


def test_the_passwords_of_the_bus_are_in_no_other_configuration(plan_for: Planner) -> None:
    plan = plan_for()
    password = next(file.content for file in plan.files if file.path.name == "nats-bridge").strip()

    assert {file.path.name for file in plan.files if password in file.content} == {"nats-bridge", "nats.conf"}


def test_a_directory_that_is_a_link_is_refused(plan_for: Planner, tmp_path: Path) -> None:
    plan = plan_for()
    plan.paths.data.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    plan.paths.secrets.symlink_to(elsewhere)

    with pytest.raises(Problem, match="not a directory of this user"):
        apply(plan)

    assert list(elsewhere.iterdir()) == []


def test_a_full_disk_is_a_problem_and_the_next_start_goes_on(
    plan_for: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0
    fsync = os.fsync

    def fills_up(descriptor: int) -> None:
        nonlocal written
        written += 1
        if written > 30:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fills_up)
        with pytest.raises(Problem, match=r"No space left on device.*Make room"):
            apply(plan_for())

    apply(plan_for())
    assert show(plan_for()) == []


def gateway_of(plan: Plan) -> Mapping[str, str]:
    return next(part for part in plan.parts if part.name == "gateway").environment


def test_the_gateway_shows_the_hubs_own_certificate_where_that_is_set(plan_for: Planner) -> None:
    plain = plan_for()
    assert "HUB_HTTP_TLS" not in gateway_of(plain)
    assert plain.node.http_url.startswith("http://")

    plan = plan_for(HUB_HTTP_TLS="hub", HUB_HTTP_PROXIES="none")

    told = gateway_of(plan)
    assert told["HUB_HTTP_TLS"] == "files"
    assert told["HUB_HTTP_CERTIFICATE_FILE"] == told["HUB_HTTP_KEY_FILE"] == str(plan.paths.broker_server)
    assert told["HUB_HTTP_PROXIES"] == "none"
    assert plan.node.http_url.startswith("https://")


def test_the_gateway_shows_a_certificate_that_is_given(plan_for: Planner, tmp_path: Path) -> None:
    key = tmp_path / "given.key"
    with pytest.raises(SettingsError, match="HUB_HTTP_KEY_FILE names a file that cannot be read"):
        plan_for(HUB_HTTP_TLS="files", HUB_HTTP_CERTIFICATE_FILE=str(key), HUB_HTTP_KEY_FILE=str(key))

    key.write_text("a key\n")
    plan = plan_for(HUB_HTTP_TLS="files", HUB_HTTP_CERTIFICATE_FILE=str(key), HUB_HTTP_KEY_FILE=str(key))

    assert gateway_of(plan)["HUB_HTTP_CERTIFICATE_FILE"] == str(key)
