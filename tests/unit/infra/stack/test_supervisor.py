from configparser import RawConfigParser
from pathlib import Path
from typing import Any

from supervisor.options import ServerOptions

from infra.stack.parts import Part
from infra.stack.paths import Paths
from infra.stack.supervisor import Server, render, unfit


def read_back(tmp_path: Path, *, data: Path, workers: int = 2) -> tuple[ServerOptions, dict[str, Any]]:
    """What the supervisor itself makes of the configuration."""
    paths = Paths(data, data / "run")
    paths.logs.mkdir(parents=True)
    paths.run.mkdir()
    parts = [
        Part("functions", ("/opt/my venv/python", "-m", "functions"), {"HUB_A": "1", "HUB_F": f"{data}/x"}, workers),
        Part("bridge", ("python", "-m", "bridge"), {"HUB_TOPIC_PREFIXES": "$devicehub,$fleethub"}),
    ]
    servers = [Server("nats", ("/bin/nats-server", "-c", str(paths.nats_config)))]
    text = render(paths, servers, parts, wrapper=("setpriv", "--pdeathsig", "TERM"), runs_as_root=True)
    file = tmp_path / "supervisord.conf"
    file.write_text(text)
    options = ServerOptions()
    options.realize(args=["-c", str(file)])
    return options, {group.name: group for group in options.process_group_configs}


def test_the_supervisor_reads_what_was_meant_even_from_a_path_with_blanks(tmp_path: Path) -> None:
    data = tmp_path / "mein händler hub"
    _, groups = read_back(tmp_path, data=data)

    bridge = groups["bridge"].process_configs[0]
    assert bridge.command == "setpriv --pdeathsig TERM python -m bridge"
    assert bridge.environment == {"HUB_TOPIC_PREFIXES": "$devicehub,$fleethub"}
    functions = groups["functions"].process_configs[0]
    assert functions.command == "setpriv --pdeathsig TERM '/opt/my venv/python' -m functions"
    assert functions.environment["HUB_F"] == f"{data}/x"
    assert functions.stdout_logfile == str(data / "log" / "functions-0.log")


def test_each_worker_has_a_name_and_a_log_of_its_own(tmp_path: Path) -> None:
    _, groups = read_back(tmp_path, data=tmp_path / "hub", workers=3)

    names = [process.name for process in groups["functions"].process_configs]
    assert names == ["functions-0", "functions-1", "functions-2"]
    assert Part("functions", (), {}, 3).process_names == tuple(names)
    assert len({process.stdout_logfile for process in groups["functions"].process_configs}) == 3


def test_a_single_worker_is_not_numbered(tmp_path: Path) -> None:
    _, groups = read_back(tmp_path, data=tmp_path / "hub", workers=1)

    assert [process.name for process in groups["functions"].process_configs] == ["functions"]


def test_servers_start_at_once_and_our_parts_when_told(tmp_path: Path) -> None:
    _, groups = read_back(tmp_path, data=tmp_path / "hub")

    starts = {name: group.process_configs[0].autostart for name, group in groups.items()}
    assert starts == {"nats": True, "functions": False, "bridge": False}
    assert all(process.autorestart for group in groups.values() for process in group.process_configs)


def test_the_bridge_is_stopped_first_and_nats_last(tmp_path: Path) -> None:
    _, groups = read_back(tmp_path, data=tmp_path / "hub")

    order = sorted(groups.values(), reverse=True)
    assert [group.name for group in order] == ["bridge", "functions", "nats"]


def test_logs_are_rotated_and_the_socket_is_private(tmp_path: Path) -> None:
    options, groups = read_back(tmp_path, data=tmp_path / "hub")

    process = groups["nats"].process_configs[0]
    assert process.stdout_logfile_maxbytes > 0
    assert process.stdout_logfile_backups > 0
    assert process.redirect_stderr
    (server,) = options.server_configs
    assert server["chmod"] == 0o600


def test_nothing_of_the_environment_is_in_the_file_but_paths(tmp_path: Path) -> None:
    read_back(tmp_path, data=tmp_path / "hub")
    parser = RawConfigParser()
    parser.read(tmp_path / "supervisord.conf")

    assert parser["program:nats"].get("environment") is None


def test_a_path_that_no_configuration_can_carry_is_found_out() -> None:
    assert unfit(Path("/srv/my hub/ünïcode")) == ""
    assert unfit(Path('/srv/"x"')) == '"'
    assert unfit(Path("/srv/a%b;c\n")) == "\n%;"
