"""The table of topics as a function."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.mqtt.topics import OUTBOUND, ROWS, Lane, Sender, Table, topics_of
from functions.domain.faults import Malformed

CONTROL = Table(("$devicehub",), Lane.CONTROL)
TELEMETRY = Table(("$devicehub",), Lane.TELEMETRY)
NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


@pytest.mark.parametrize(
    ("topic", "subject", "answers"),
    [
        ("certificates/create-from-csr", "certificates.create-from-csr", "certificates/create-from-csr"),
        ("devices/U1/provision/request", "devices.U1.provision.request", "devices/U1/provision"),
        ("devices/D1/twin/get", "devices.D1.twin.get", "devices/D1/twin/update"),
        ("devices/D1/twin/update", "devices.D1.twin.update", "devices/D1/twin/update"),
    ],
)
def test_requests_are_answered_where_the_contract_says(topic: str, subject: str, answers: str) -> None:
    target = CONTROL.target(f"$devicehub/{topic}")

    assert target.subject == f"devicehub.{subject}"
    assert target.accepted == (f"$devicehub/{answers}/accepted",)
    assert target.rejected == (f"$devicehub/{answers}/rejected",)


@pytest.mark.parametrize(
    ("table", "topic"),
    [
        (CONTROL, "devices/D1/heartbeat"),
        (CONTROL, "devices/D1/status"),
        (TELEMETRY, "devices/D1/telemetry"),
        (TELEMETRY, "devices/D1/events/door_open"),
        (TELEMETRY, "devices/D1/messages/events"),
    ],
)
def test_what_devices_tell_is_answered_only_when_it_is_refused(table: Table, topic: str) -> None:
    target = table.target(f"$devicehub/{topic}")

    assert target.subject == f"devicehub.{topic.replace('/', '.')}"
    assert target.accepted == ()
    assert target.rejected == (f"$devicehub/{topic}/rejected",)


def test_the_answer_to_a_method_is_not_answered() -> None:
    target = CONTROL.target("$devicehub/devices/D1/methods/blink/response")

    assert target.subject == "devicehub.devices.D1.methods.blink.response"
    assert target.accepted == target.rejected == ()


def test_each_row_belongs_to_one_lane_and_is_subscribed_there() -> None:
    filters = [*CONTROL.filters, *TELEMETRY.filters]

    assert sorted(filters) == sorted(f"$devicehub/{row.path}" for row in ROWS)


def test_no_filter_matches_below_a_client_id_with_a_slash() -> None:
    assert not any("#" in name for name in (*CONTROL.filters, *TELEMETRY.filters))


def test_a_lane_does_not_know_the_topics_of_another() -> None:
    with pytest.raises(Malformed):
        CONTROL.target("$devicehub/devices/D1/telemetry")


def test_every_prefix_means_the_same_and_is_answered_on_all() -> None:
    table = Table(("$devicehub", "$fleethub"), Lane.CONTROL)

    one, other = (table.target(f"{prefix}/devices/D1/twin/get") for prefix in ("$devicehub", "$fleethub"))

    assert one == other
    assert one.accepted == (
        "$devicehub/devices/D1/twin/update/accepted",
        "$fleethub/devices/D1/twin/update/accepted",
    )
    assert {name.split("/")[0] for name in table.filters} == {"$devicehub", "$fleethub"}


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "$devicehub",
        "$fleethub/devices/D1/twin/get",
        "$devicehub/devices//twin/get",
        "$devicehub/devices/D1/twin",
        "$devicehub/devices/D1/twin/get/more",
        "$devicehub/devices/D1/twin/delete",
        "$devicehub/devices/D 1/twin/get",
        "$devicehub/devices/*/twin/get",
        "$devicehub/devices/>/twin/get",
        "$devicehub/devices/D.1/twin/get",
        "$devicehub/devices/+/twin/get",
        "$devicehub/devices/D\x001/twin/get",
        "$devicehub/devices/Ď1/twin/get",
        "$devicehub/devices/D1\n/twin/get",
        f"$devicehub/devices/{'D' * 65}/twin/get",
        f"$devicehub/devices/{'D' * 5000}/twin/get",
        "$devicehub/devices/D1/methods/a.b/response",
        "$SYS/broker/uptime",
    ],
)
def test_a_topic_that_is_not_in_the_table_leads_nowhere(topic: str) -> None:
    with pytest.raises(Malformed):
        CONTROL.target(topic)


@given(NAMES, NAMES)
def test_a_topic_leads_to_a_subject_and_that_back(device: str, name: str) -> None:
    target = TELEMETRY.target(f"$devicehub/devices/{device}/events/{name}")

    assert target.names == (device, name)
    assert topics_of(target.subject, ("$devicehub",)) == (f"$devicehub/devices/{device}/events/{name}",)


@given(st.text())
def test_any_text_is_a_known_topic_or_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        CONTROL.target(text)


def test_messages_are_queued_under_their_device_whatever_they_are() -> None:
    paths = ("twin/get", "twin/update", "heartbeat", "methods/blink/response")

    assert {CONTROL.target(f"$devicehub/devices/D1/{path}").queue for path in paths} == {"D1"}


def test_only_claimers_share_a_queue_without_order() -> None:
    assert [row.path for row in ROWS if row.at_once > 1] == ["certificates/create-from-csr"]
    assert CONTROL.target("$devicehub/certificates/create-from-csr").row.sender is Sender.ANY_CLAIM


def test_what_goes_to_devices_expires_but_for_messages_that_are_kept() -> None:
    assert {row.subject: row.expiry_seconds for row in OUTBOUND} == {
        "devices.*.twin.update.delta": 60,
        "devices.*.methods.*.request": 60,
        "devices.*.messages.devicebound": None,
    }


@pytest.mark.parametrize("subject", ["", "devicehub", "other.devices.D1.twin.update.delta", "devicehub.devices.D#.x"])
def test_a_foreign_subject_leads_to_no_topic(subject: str) -> None:
    with pytest.raises(Malformed):
        topics_of(subject, ("$devicehub",))
