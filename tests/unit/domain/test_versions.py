"""Which version comes before which."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.versions import version_of

ORDERED = [
    "0.9",
    "1",
    "1.2",
    "1.4-alpha",
    "1.4-alpha.2",
    "1.4-rc.1",
    "1.4-rc.10",
    "1.4",
    "1.4b",
    "1.4.1",
    "1.9",
    "1.10",
]


def test_versions_compare_as_people_number_them() -> None:
    versions = [version_of(text) for text in ORDERED]

    for before, after in pairwise(versions):
        assert before is not None
        assert after is not None
        assert before < after


@pytest.mark.parametrize(
    ("one", "other"), [("1.4", "1.4.0"), ("v1.4", "1.4"), ("1.4+build.7", "1.4"), ("1.4-RC", "1.4-rc"), ("01.4", "1.4")]
)
def test_what_does_not_count(one: str, other: str) -> None:
    assert version_of(one) == version_of(other)


@pytest.mark.parametrize("text", ["", "-", "+1", "…", "---"])
def test_a_text_without_letter_or_digit_is_no_version(text: str) -> None:
    assert version_of(text) is None


@given(st.lists(st.text(max_size=12), max_size=8))
def test_any_versions_compare(texts: list[str]) -> None:
    sorted(version for version in map(version_of, texts) if version is not None)


def test_a_number_of_any_length_is_read() -> None:
    assert version_of("9" * 5000) is not None
