import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from tinydb import TinyDB

from infra.node import Node, known_paths, read_node, write_node
from infra.problem import Problem

NODE = Node(
    name="hub-12ab",
    created_at="2026-01-02T03:04:05Z",
    run="/run/hub",
    mqtt_listen="0.0.0.0:8883",
    mqtt_host="hub.example",
    nats_url="nats://127.0.0.1:4222",
    hostnames=("hub.example", "10.0.0.1"),
    topic_prefixes=("$devicehub",),
    workers=2,
)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "node.json"

    write_node(file, NODE)
    write_node(file, replace(NODE, claim_made_at="2026-01-02T03:04:06Z"))

    assert read_node(file) == replace(NODE, claim_made_at="2026-01-02T03:04:06Z")
    assert NODE.mqtt_port == 8883


def test_there_is_no_node_before_the_first_start(tmp_path: Path) -> None:
    assert read_node(tmp_path / "node.json") is None
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_private_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "node.json"
    write_node(file, NODE)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["node.json"]


def test_the_file_is_a_tinydb_document(tmp_path: Path) -> None:
    file = tmp_path / "node.json"
    write_node(file, NODE)

    with TinyDB(file) as database:
        (document,) = database.table("node").all()

    assert document["name"] == "hub-12ab"
    assert document["schema"] == 1


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "node.json"
    write_node(file, NODE)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_node(file, replace(NODE, workers=9))

    assert read_node(file) == NODE
    assert [path.name for path in tmp_path.iterdir()] == ["node.json"]


def test_a_newer_schema_is_refused_with_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "node.json"
    file.write_text(json.dumps({"node": {"1": {"schema": 2, "name": "hub"}}}))

    with pytest.raises(Problem, match="schema 2; this version of Device Hub knows up to 1"):
        read_node(file)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"node": {}}', '{"node": 3}', '{"node": {"1": {"schema": 1}}}', '{"node": {"1": []}}', "\0"],
)
def test_a_damaged_file_is_a_problem_that_names_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "node.json"
    file.write_text(content)

    with pytest.raises(Problem, match=r"node\.json.*Restore it from a backup"):
        read_node(file)


def test_the_node_knows_where_its_sockets_are(tmp_path: Path) -> None:
    assert known_paths(tmp_path)[0].run == tmp_path / "run"

    write_node(tmp_path / "node.json", NODE)
    paths, node = known_paths(tmp_path)

    assert paths.supervisor_socket == Path("/run/hub/supervisor.sock")
    assert node == NODE
