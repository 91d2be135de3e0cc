"""What a bridge notes of when devices were heard of."""

import pytest

from bridge.mqtt.heard import Heard
from bridge.mqtt.topics import Lane, Table
from functions.contract.messages import HeardFact
from functions.domain.faults import Malformed

TABLES = [Table(("$devicehub",), lane) for lane in Lane]


def note(heard: Heard, path: str, payload: bytes = b"{}") -> None:
    for table in TABLES:
        try:
            target = table.target(f"$devicehub/{path}")
        except Malformed:
            # The other lane's.
            continue
        heard.note(target.row, target.names, payload)


@pytest.mark.parametrize(
    ("path", "payload", "fact"),
    [
        ("devices/EDGB-0001/telemetry", b"{}", HeardFact(message=5000)),
        ("devices/EDGB-0001/twin/update", b"{}", HeardFact(message=5000)),
        ("devices/EDGB-0001/heartbeat", b"", HeardFact(heartbeat=5000)),
        ("devices/EDGB-0001/status", b'{"online":false}', HeardFact(will=5000)),
        ("devices/EDGB-0001/status", b'{"online": false, "why": 1}', HeardFact(will=5000)),
        ("devices/EDGB-0001/status", b'{"online":true}', HeardFact(message=5000)),
    ],
)
def test_a_message_is_noted_by_its_kind(path: str, payload: bytes, fact: HeardFact) -> None:
    heard = Heard("local", lambda: 5.0)

    note(heard, path, payload)

    (told,) = heard.take(reads_log=True)
    assert (told.broker, told.reads_log, told.devices) == ("local", True, {"EDGB-0001": fact})


@pytest.mark.parametrize("path", ["certificates/create-from-csr", "devices/some-uuid/provision/request"])
def test_who_only_joins_is_not_noted(path: str) -> None:
    heard = Heard("local")

    note(heard, path)

    (told,) = heard.take(reads_log=None)
    assert told.devices == {}


def test_a_hundred_heartbeats_are_told_as_one_and_once() -> None:
    heard = Heard("local", lambda: 5.0)
    for _ in range(100):
        note(heard, "devices/EDGB-0001/heartbeat")

    assert [len(told.devices) for told in heard.take(reads_log=True)] == [1]
    assert [len(told.devices) for told in heard.take(reads_log=True)] == [0]


def test_many_devices_are_told_in_parts() -> None:
    heard = Heard("local")
    for number in range(4500):
        note(heard, f"devices/EDGB-{number:04}/heartbeat")

    assert [len(told.devices) for told in heard.take(reads_log=True)] == [2000, 2000, 500]
