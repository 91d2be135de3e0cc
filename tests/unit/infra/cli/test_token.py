"""What the token commands read and show."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from functions.contract.messages import TokenFact
from infra.cli.token import days_of, scopes_of, state_of

NOW = datetime(2035, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("text", "days"), [("1d", 1), ("90d", 90), ("12w", 84), ("1y", 365), ("100y", 36_500)])
def test_a_span_is_days_weeks_or_years(text: str, days: int) -> None:
    assert days_of(text) == days


@pytest.mark.parametrize("text", ["", "90", "d", "0d", "-1d", "1.5d", "90D", "1h", "1 d", "101y", "999999d", "٣d"])
def test_a_span_that_is_none_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        days_of(text)


def test_scopes_are_repeated_or_have_commas_between() -> None:
    wanted = ["devices:read", "twins:read", "twins:write"]

    assert scopes_of(["twins:write", "devices:read", "twins:read"]) == wanted
    assert scopes_of(["devices:read,twins:write", "twins:read, twins:read"]) == wanted


@pytest.mark.parametrize("words", [[], [""], ["all"], ["devices:read,"]])
def test_a_scope_that_does_not_exist_is_wrong_usage(words: list[str]) -> None:
    with pytest.raises(typer.BadParameter, match="twins:write"):
        scopes_of(words)


def test_the_state_of_a_token_is_a_word() -> None:
    def state(expires_at: datetime | None, revoked_at: datetime | None) -> str:
        fact = TokenFact(
            name="n", scopes=[], created_at=NOW, expires_at=expires_at, last_used_at=None, revoked_at=revoked_at
        )
        return state_of(fact, NOW)

    assert state(None, None) == "good"
    assert state(NOW + timedelta(seconds=1), None) == "good"
    assert state(NOW, None) == "expired"
    assert state(NOW, NOW) == "revoked"
