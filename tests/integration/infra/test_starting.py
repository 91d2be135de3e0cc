"""What becomes of a start that fails: the servers are stood in for by programs that misbehave."""

import asyncio
import json
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from infra.problem import Problem
from infra.settings import Settings
from infra.stack import leftovers
from infra.stack.paths import Paths
from infra.stack.plan import Plan, apply, make_plan
from infra.stack.programs import Programs
from infra.stack.readiness import nats_address
from infra.stack.starting import bring_up, end
from tests.integration.infra.conftest import Planner, running, wait_for
from tests.ports import free_port


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def planned(tmp_path: Path, programs: Programs, **environ: str) -> Plan:
    data = tmp_path / "hub"
    settings = Settings.from_env(
        {
            "HUB_DATA_DIR": str(data),
            "HUB_MQTT_LISTEN": f"127.0.0.1:{free_port()}",
            "HUB_NATS_LISTEN": f"127.0.0.1:{free_port()}",
            "HUB_HTTP_LISTEN": f"127.0.0.1:{free_port()}",
            **environ,
        }
    )
    plan = asyncio.run(make_plan(settings, Paths(data, tmp_path / "r"), None, programs))
    apply(plan)
    return plan


def failure(plan: Plan, within: float = 30.0) -> str:
    with pytest.raises(Problem) as caught:
        asyncio.run(bring_up(plan, os.environ, (), within=within))
    assert leftovers.find(plan.paths.data) == []
    return str(caught.value)


def test_a_server_that_is_never_ready_is_named_when_the_time_is_over(tmp_path: Path, programs: Programs) -> None:
    slow = program(tmp_path / "mosquitto", "echo I am thinking; exec sleep 1000")

    told = failure(planned(tmp_path, replace(programs, mosquitto=slow)), within=3.0)

    assert "'mosquitto' was not ready after 3 s." in told
    assert "I am thinking" in told
    assert "Everything was stopped." in told


def test_a_server_that_ends_is_named_at_once_with_its_last_lines(tmp_path: Path, programs: Programs) -> None:
    broken = program(tmp_path / "mosquitto", "seq 100 130; echo Error: no such thing >&2; exit 3")

    told = failure(planned(tmp_path, replace(programs, mosquitto=broken)))

    assert "'mosquitto' ended while it was starting." in told
    assert "\n  Error: no such thing" in told
    assert "  130\n" in told
    assert "  110\n" not in told


def test_only_what_was_written_since_the_start_is_told(tmp_path: Path, programs: Programs) -> None:
    plan = planned(tmp_path, replace(programs, mosquitto=program(tmp_path / "mosquitto", "exit 3")))
    plan.paths.log("mosquitto").write_text("an old complaint\n")

    told = failure(plan)

    assert "old complaint" not in told
    assert "(it wrote nothing)" in told


def test_a_program_that_cannot_be_run_is_told_as_such(tmp_path: Path, programs: Programs) -> None:
    (tmp_path / "mosquitto").write_text("not a program")

    told = failure(planned(tmp_path, replace(programs, mosquitto=tmp_path / "mosquitto", wrapper=())))

    assert "'mosquitto' could not be started: " in told


def test_a_supervisor_that_cannot_start_is_told_with_its_words(tmp_path: Path, programs: Programs) -> None:
    plan = planned(tmp_path, programs)
    plan.paths.supervisor_config.write_text("[supervisord]\nlogfile_maxbytes = many\n")

    told = failure(plan)

    assert "'supervisor' ended with status 2." in told
    assert "invalid literal for int()" in told


def test_a_hub_runs_on_a_nats_server_elsewhere(tmp_path: Path, programs: Programs, plan_for: Planner) -> None:
    """The server gets the accounts that stand in the configuration for an embedded one."""
    own = plan_for()
    data = own.paths.data
    settings = Settings.from_env(
        {
            "HUB_DATA_DIR": str(data),
            "HUB_MQTT_LISTEN": own.node.mqtt_listen,
            "HUB_HTTP_LISTEN": own.node.http_listen,
            "HUB_NATS_URL": own.node.nats_url,
            "HUB_NATS_LISTEN": str(nats_address(own.node.nats_url)),
            "HUB_WORKERS": "1",
        }
    )
    plan = asyncio.run(make_plan(settings, own.paths, own.node, replace(programs, nats_server=None)))
    assert [server.name for server in plan.servers] == ["mosquitto"]
    apply(plan)

    with running(own, "nats", tmp_path / "nats.log"):
        wait_for(nats_address(own.node.nats_url), tmp_path / "nats.log")
        process = asyncio.run(bring_up(plan, os.environ, ()))
        end(plan.paths, process)

    assert leftovers.find(data) == []
    assert json.loads(plan.paths.node.read_text())["node"]["1"]["nats_url"] == own.node.nats_url


def test_a_nats_server_elsewhere_that_refuses_the_hub_is_told(
    tmp_path: Path, programs: Programs, plan_for: Planner
) -> None:
    foreign = plan_for(tmp_path / "foreign")
    plan = planned(tmp_path, replace(programs, nats_server=None), HUB_NATS_URL=foreign.node.nats_url)

    with running(foreign, "nats", tmp_path / "nats.log"):
        wait_for(nats_address(foreign.node.nats_url), tmp_path / "nats.log")
        told = failure(plan)

    assert f"The NATS server at {foreign.node.nats_url} cannot be used as 'admin': " in told
    assert "authorization" in told.lower()
    assert f"the accounts and users that stand in {plan.paths.nats_config}" in told


@pytest.mark.parametrize("setting", ["HUB_NATS_LISTEN", "HUB_MQTT_LISTEN", "HUB_HTTP_LISTEN"])
def test_a_port_that_was_taken_since_it_was_looked_at_is_told_with_who_has_it_and_what_to_set(
    tmp_path: Path, programs: Programs, setting: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        told = failure(planned(tmp_path, programs, **{setting: f"127.0.0.1:{port}"}))

    assert f"Port {port} ({setting}=127.0.0.1:{port}) is in use by " in told
    assert f"(process {os.getpid()})" in told
    assert f"choose another port: {setting}=127.0.0.1:" in told


def test_another_nats_server_on_the_port_of_the_hubs_own_is_not_taken_for_it(
    tmp_path: Path, programs: Programs, plan_for: Planner
) -> None:
    foreign = plan_for(tmp_path / "foreign")
    address = nats_address(foreign.node.nats_url)

    with running(foreign, "nats", tmp_path / "nats.log") as server:
        wait_for(address, tmp_path / "nats.log")
        told = failure(planned(tmp_path, programs, HUB_NATS_LISTEN=str(address)))

    assert f"Port {address.port} (HUB_NATS_LISTEN={address}) is in use by " in told
    assert f"(process {server.pid})" in told
