"""Subjects are made of names and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.contract.subjects import subject
from functions.domain.faults import Malformed

TOKENS = st.lists(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True), min_size=1, max_size=6)
TRICKS = ["*", ">", "a.b", "+", "#", "", " ", "a b", "\x00", "a\tb", "a\r\n", "ü", "$x", "x" * 65, "a\n"]


@given(TOKENS)
def test_names_are_joined_below_the_hubs_root(names: list[str]) -> None:
    assert subject(*names).split(".") == ["devicehub", *names]


@given(st.lists(st.text("devicehub.*>+# a\x00é", max_size=8), max_size=5))
def test_any_texts_give_a_subject_that_carries_nothing_but_names_or_are_refused(texts: list[str]) -> None:
    try:
        name = subject(*texts)
    except Malformed:
        return
    assert name.split(".") == ["devicehub", *texts]
    assert not set(name) & set("*> \t\r\n\x00")


@pytest.mark.parametrize("token", TRICKS)
def test_what_is_no_name_never_reaches_a_subject(token: str) -> None:
    with pytest.raises(Malformed):
        subject("devices", token)
