"""Names that may reach a topic, a subject or a certificate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.faults import Malformed
from functions.domain.names import claim_name, device_id, hardware_uuid, is_token

TRICKS = [
    "*",
    ">",
    "a.b",
    "a/b",
    "+",
    "#",
    "a b",
    "a\x00b",
    "a\n",
    "\n",
    "ü",
    "a\u0660",
    "$SYS",
    "@bridge",
    "",
    "é" * 4,
]


@pytest.mark.parametrize("text", ["EDGB-0001", "a123", "0000", "A_b-c", "x" * 64, "claimed-1", "hubble-1"])
def test_a_device_id_is_letters_digits_underscores_and_hyphens(text: str) -> None:
    assert device_id(text) == text


@pytest.mark.parametrize(
    "text", [*TRICKS, "abc", "x" * 65, "-abc", "_abc", "EDGB-0001\n", "EDGB 0001", "\uff25\uff24\uff27\uff22"]
)
def test_another_text_is_no_device_id(text: str) -> None:
    with pytest.raises(Malformed):
        device_id(text)


@pytest.mark.parametrize("text", ["claim-default", "CLAIM-x", "Claim-1", "hub-1", "HUB-bridge", "Hub-x"])
def test_names_of_the_hub_itself_are_no_device_ids_in_any_case(text: str) -> None:
    with pytest.raises(Malformed):
        device_id(text)


@pytest.mark.parametrize("text", ["\u017fub-x", "hu\u0062-1"])
def test_letters_that_only_look_alike_do_not_get_past(text: str) -> None:
    with pytest.raises(Malformed):
        device_id(text)


def test_a_claim_name_leaves_room_for_its_prefix_in_a_common_name() -> None:
    assert claim_name("x" * 58) == "x" * 58
    assert len("claim-" + "x" * 58) == 64


@pytest.mark.parametrize("text", [*TRICKS, "x" * 59, "-", "-a", "_a"])
def test_another_text_is_no_claim_name(text: str) -> None:
    with pytest.raises(Malformed):
        claim_name(text)


def test_a_hardware_uuid_has_one_spelling() -> None:
    assert hardware_uuid("9205255F-6E3A-4B9A-8A6B-0123456789AB") == "9205255f-6e3a-4b9a-8a6b-0123456789ab"


@pytest.mark.parametrize("text", [*TRICKS, "abc", "x" * 65, "-abcd"])
def test_another_text_is_no_hardware_uuid(text: str) -> None:
    with pytest.raises(Malformed):
        hardware_uuid(text)


@given(st.text(max_size=70))
def test_a_token_has_nothing_that_a_subject_or_a_topic_gives_a_meaning(text: str) -> None:
    if is_token(text):
        assert 1 <= len(text) <= 64
        assert text.isascii()
        assert not set(text) & set(".*>+#/$ \t\r\n\x00")


@pytest.mark.parametrize("text", TRICKS)
def test_tricks_are_no_tokens(text: str) -> None:
    assert not is_token(text)
