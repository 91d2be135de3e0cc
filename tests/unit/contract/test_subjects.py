"""Topics and subjects, one made of the other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.contract.subjects import MQTT_PREFIX, subject, subject_to_topic, topic_to_subject
from functions.domain.faults import Malformed

TOKENS = st.lists(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True), min_size=1, max_size=6)
TRICKS = ["*", ">", "a.b", "+", "#", "", " ", "a b", "\x00", "a\tb", "a\r\n", "ü", "$x", "x" * 65, "a\n"]


@given(TOKENS)
def test_a_topic_is_read_back_from_its_subject(levels: list[str]) -> None:
    topic = "/".join([MQTT_PREFIX, *levels])

    assert subject_to_topic(topic_to_subject(topic)) == topic


@given(TOKENS, st.sampled_from(["$devicehub", "$fleethub"]))
def test_every_prefix_means_the_same_subjects(levels: list[str], prefix: str) -> None:
    name = subject(*levels)
    prefixes = ("$devicehub", "$fleethub")

    assert topic_to_subject(subject_to_topic(name, prefix), prefixes) == name


@given(st.text(max_size=80) | st.text("$devicehub/.*>+# a\x00", max_size=40).map(f"{MQTT_PREFIX}/".__add__))
def test_any_text_gives_a_subject_that_carries_nothing_but_names_or_is_refused(topic: str) -> None:
    try:
        name = topic_to_subject(topic)
    except Malformed:
        return
    assert name.startswith("devicehub.")
    assert not set(name) & set("*> \t\r\n\x00")
    assert subject_to_topic(name) == topic


def test_the_contracts_own_example() -> None:
    assert topic_to_subject("$devicehub/devices/EDGB-9205/twin/update") == "devicehub.devices.EDGB-9205.twin.update"


@pytest.mark.parametrize("level", TRICKS)
def test_a_level_that_is_no_name_never_reaches_a_subject(level: str) -> None:
    for topic in (f"{MQTT_PREFIX}/devices/{level}/twin/get", f"{MQTT_PREFIX}/{level}", f"{MQTT_PREFIX}/a/{level}"):
        with pytest.raises(Malformed):
            topic_to_subject(topic)
    with pytest.raises(Malformed):
        subject("devices", level)


@pytest.mark.parametrize(
    "topic", ["", "/", "$devicehub", "$devicehub/", "devicehub/a", "$fleethub/a", "$SYS/broker/log/N", "/$devicehub/a"]
)
def test_a_topic_that_is_not_the_hubs_is_refused(topic: str) -> None:
    with pytest.raises(Malformed):
        topic_to_subject(topic)


@pytest.mark.parametrize("name", ["", "devicehub", "devicehub.", "other.a", "$devicehub.a"])
def test_a_subject_that_is_not_the_hubs_has_no_topic(name: str) -> None:
    with pytest.raises(Malformed):
        subject_to_topic(name)
