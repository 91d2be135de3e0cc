"""The mark that tells one session of a device from another."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.faults import Malformed
from functions.domain.sessions import Session, SessionMark

NOW = datetime(2035, 1, 1, tzinfo=UTC)
ADDRESSES = st.from_regex(r"[0-9a-z.:\[\]]{1,64}:[0-9]{1,5}", fullmatch=True)
MARKS = st.builds(
    SessionMark, st.integers(0, 10**10).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)), ADDRESSES
)


@given(MARKS)
def test_a_mark_is_read_back_from_its_text(mark: SessionMark) -> None:
    assert SessionMark.parse(str(mark)) == mark


@given(st.text())
def test_any_text_is_a_mark_or_malformed(text: str) -> None:
    try:
        mark = SessionMark.parse(text)
    except Malformed:
        return
    assert SessionMark.parse(str(mark)) == mark


@pytest.mark.parametrize(
    "text", ["", "/", "1/", "/a:1", "x/a:1", "-1/a:1", "1/a b:1", "1/a/b", "1/a\r\n", "²/a:1", "9" * 12 + "/a:1"]
)
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        SessionMark.parse(text)


def test_a_session_has_the_same_mark_from_whatever_account_of_it() -> None:
    """The broker's log knows whole seconds."""
    session = Session("EDGB-0001", "EDGB-0001", "192.0.2.7:50000", NOW + timedelta(milliseconds=700), "local")

    assert SessionMark.of(session) == SessionMark(NOW, "192.0.2.7:50000")
