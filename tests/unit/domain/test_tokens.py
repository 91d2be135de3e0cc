"""What a token allows, and until when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.faults import Denied, Malformed, Reason
from functions.domain.tokens import Scope, Token, allows, digest, is_live, is_text, parse_scopes, prove, revoke, used

NOW = datetime(2035, 1, 1, 12, tzinfo=UTC)
TOKEN = Token("dashboard", ("devices:read",), NOW - timedelta(days=1))
TEXT = "dh_" + "aZ0_-" * 8 + "xyz"


def test_a_token_is_kept_under_the_sha_256_of_its_text() -> None:
    assert digest(TEXT) == sha256(TEXT.encode()).hexdigest()
    assert TEXT[3:] not in digest(TEXT)


@pytest.mark.parametrize(
    "text", ["", "dh_", TEXT[:-1], TEXT + "a", TEXT[3:], "DH_" + TEXT[3:], TEXT[:-1] + "é", TEXT + "\n"]
)
def test_only_a_token_has_the_form_of_one(text: str) -> None:
    assert is_text(TEXT)
    assert not is_text(text)


def test_scopes_are_named_once_and_in_one_order() -> None:
    assert parse_scopes(["twins:read", "devices:read", "twins:read"]) == (Scope.DEVICES_READ, Scope.TWINS_READ)
    assert parse_scopes(Scope) == tuple(Scope)


@pytest.mark.parametrize("words", [[], [""], ["devices"], ["devices:read", "devices:raed"], ["Admin"], ["*"]])
def test_a_scope_that_does_not_exist_is_refused_with_those_that_do(words: list[str]) -> None:
    with pytest.raises(Malformed) as refused:
        parse_scopes(words)

    assert "twins:write" in refused.value.detail
    assert set(refused.value.fields) == {"scopes"}


@given(st.sampled_from(Scope), st.sets(st.sampled_from(Scope)))
def test_a_scope_allows_itself_and_admin_allows_all(wanted: Scope, given: set[Scope]) -> None:
    assert allows([str(scope) for scope in given], wanted) is (wanted in given or Scope.ADMIN in given)


@pytest.mark.parametrize("word", ["devices:read:all", "devices", "devices:*", "*", "ADMIN", ""])
def test_a_word_that_is_no_scope_allows_nothing(word: str) -> None:
    assert not any(allows([word], scope) for scope in Scope)


def test_a_token_is_good_until_it_ends() -> None:
    ending = replace(TOKEN, expires_at=NOW)

    assert prove(TOKEN, NOW + timedelta(days=9999)) is TOKEN
    assert prove(ending, NOW - timedelta(microseconds=1)) is ending
    with pytest.raises(Denied) as refused:
        prove(ending, NOW)
    assert refused.value.reason is Reason.UNAUTHENTICATED
    assert "expired" in refused.value.detail


@pytest.mark.parametrize("token", [None, revoke(TOKEN, NOW), revoke(replace(TOKEN, expires_at=NOW), NOW)])
def test_a_token_that_is_not_there_or_revoked_is_good_for_nothing(token: Token | None) -> None:
    with pytest.raises(Denied) as refused:
        prove(token, NOW)

    assert refused.value.reason is Reason.UNAUTHENTICATED
    assert token is None or not is_live(token, NOW)


def test_a_revoked_token_keeps_the_time_of_its_end() -> None:
    ended = revoke(TOKEN, NOW)

    assert revoke(ended, NOW + timedelta(days=1)) is ended


def test_a_use_is_noted_once_a_minute() -> None:
    first = used(TOKEN, NOW)

    assert first.last_used_at == NOW
    assert used(first, NOW + timedelta(seconds=59)) is first
    assert used(first, NOW + timedelta(seconds=60)).last_used_at == NOW + timedelta(seconds=60)


def test_a_use_noted_by_a_clock_that_ran_ahead_is_put_right() -> None:
    ahead = used(TOKEN, NOW + timedelta(days=1))

    assert used(ahead, NOW).last_used_at == NOW
