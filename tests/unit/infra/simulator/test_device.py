"""What a simulated device sends and how it answers, without a broker."""

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.mqtt.wire import Tls
from infra.simulator.counts import Counts
from infra.simulator.device import Device
from infra.simulator.joining import Broker
from infra.simulator.keyring import Identity

BROKER = Broker("127.0.0.1", 1, "$devicehub", Tls(Path("ca"), Path("certificate"), Path("key")))
TWIN = "$devicehub/devices/EDGB-0001/twin/update"


class Line:
    """A connection that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def publish(self, topic: str, payload: bytes) -> bool:
        self.sent.append((topic, json.loads(payload)))
        return True


class Time:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def device(line: Line, time: Time) -> Device:
    made = Device(BROKER, Identity("uuid", Path("file"), "EDGB-0001"), 0, Counts(), now=time)
    made.attend(line)
    return made


def _hear(device: Device, leaf: str, body: dict[str, Any]) -> None:
    device.hear(f"{TWIN}/{leaf}", json.dumps(body).encode())


def test_on_connecting_it_asks_for_what_it_missed(line: Line, device: Device) -> None:
    assert line.sent == [("$devicehub/devices/EDGB-0001/twin/get", {})]


def test_every_tenth_message_is_a_report_of_its_twin(line: Line, device: Device) -> None:
    for _ in range(20):
        assert device.send()

    topics = [topic.removeprefix("$devicehub/devices/EDGB-0001/") for topic, _ in line.sent[1:]]
    assert topics == (["telemetry"] * 9 + ["twin/update"]) * 2
    assert device.counts.done["telemetry"] == 18


def test_it_becomes_what_a_delta_desires(line: Line, device: Device) -> None:
    _hear(device, "delta", {"delta": {"rate": 12, "mode": {"night": True}}})

    topic, body = line.sent[-1]
    assert (topic, body["reported"]) == (TWIN, {"rate": 12, "mode": {"night": True}})


def test_it_becomes_what_was_desired_while_it_was_away(line: Line, device: Device) -> None:
    halves = {"desired": {"version": 2, "doc": {"a": 1, "b": 2}}, "reported": {"version": 1, "doc": {"a": 1}}}

    _hear(device, "accepted", {"operation": "get", **halves})

    assert line.sent[-1][1]["reported"] == {"b": 2}


def test_with_nothing_desired_it_reports_nothing(line: Line, device: Device) -> None:
    half = {"version": 1, "doc": {"a": 1}}

    _hear(device, "accepted", {"operation": "get", "desired": half, "reported": half})

    assert len(line.sent) == 1


def test_an_accepted_report_counts_with_the_time_it_took(line: Line, device: Device, time: Time) -> None:
    _hear(device, "delta", {"delta": {"rate": 12}})
    time.seconds += 0.25
    _hear(device, "accepted", {"operation": "update", "clientToken": line.sent[-1][1]["clientToken"]})

    assert device.counts.done["updates"] == 1
    assert device.counts.milliseconds() == (250.0, 250.0)


def test_a_rejected_report_counts_as_an_error_by_its_reason(line: Line, device: Device) -> None:
    _hear(device, "delta", {"delta": {"rate": 12}})
    _hear(device, "rejected", {"error": "too_large", "clientToken": line.sent[-1][1]["clientToken"]})

    assert device.counts.errors == {"twin update rejected: too_large": 1}


def test_a_report_without_an_answer_is_given_up_once(line: Line, device: Device, time: Time) -> None:
    _hear(device, "delta", {"delta": {"rate": 12}})
    time.seconds += 60
    device.give_up()
    device.give_up()

    assert device.counts.errors == {"no answer to a twin update": 1}


def test_a_device_that_is_not_connected_sends_nothing() -> None:
    device = Device(BROKER, Identity("uuid", Path("file"), "EDGB-0001"), 0, Counts())

    assert not device.send()
    assert not device.counts.done
