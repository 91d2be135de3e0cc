"""``devicehub token``: what applications show to call the hub over HTTP."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from functions.domain.faults import Malformed
from functions.domain.names import is_token
from functions.domain.tokens import Scope, parse_scopes
from infra.cli.connection import ask, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Data

if TYPE_CHECKING:
    from functions.contract.messages import CredentialsFact, TokenFact

app = typer.Typer(no_args_is_help=True, help="API tokens: what applications show to call the hub over HTTP.")

_SPAN = re.compile(r"([0-9]{1,5})([dwy])")
_DAYS = {"d": 1, "w": 7, "y": 365}
_MOST_DAYS = 36_500


def _name(text: str) -> str:
    if not is_token(text):
        raise typer.BadParameter("A name is 1 to 64 letters, digits, '_' or '-'.")
    return text


def days_of(text: str) -> int:
    """The days of a span such as ``90d``, ``12w`` or ``1y``."""
    found = _SPAN.fullmatch(text)
    days = int(found[1]) * _DAYS[found[2]] if found else 0
    if not 1 <= days <= _MOST_DAYS:
        raise typer.BadParameter("Write a number of days, weeks or years: 90d, 12w or 1y; 100 years at most.")
    return days


def scopes_of(words: Sequence[str]) -> list[str]:
    """The scopes of the options, each of which may hold several with commas between."""
    try:
        return list(parse_scopes(word.strip() for word in ",".join(words).split(",")))
    except Malformed as fault:
        raise typer.BadParameter(fault.detail, param_hint="--scope") from fault


Name = Annotated[str, typer.Argument(metavar="NAME", parser=_name, help="What it is called here.")]
Scopes = Annotated[
    list[str],
    typer.Option("--scope", metavar="SCOPE", help=f"What it allows; repeat it for more. One of: {', '.join(Scope)}."),
]
Expires = Annotated[
    int | None, typer.Option("--expires", metavar="SPAN", parser=days_of, help="When it ends: 90d, 12w, 1y.")
]


@app.command(epilog="Example: devicehub token create dashboard --scope devices:read --scope twins:read --expires 90d")
def create(
    name: Name,
    scope: Scopes,
    expires: Expires = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Make a token and print it, this once: the hub keeps only its hash. Without --expires it is good until revoked.

    An application sends it as 'Authorization: Bearer TOKEN'. The scope admin
    includes all others.
    """
    from functions.contract.messages import TokenCreate, TokenCreated

    scopes = scopes_of(scope)
    wish = TokenCreate(name=name, scopes=scopes, days=expires)
    made = ask(data, "devicehub.tokens.create", wish, TokenCreated)
    if as_json:
        say_json(plain(made))
    else:
        say(made.token)


@app.command("list", epilog="Example: devicehub token list --json")
def list_(as_json: AsJson = False, data: Data = None) -> None:
    """List every token by name, with the expired and revoked ones; never their text, which the hub does not know."""
    from functions.contract.messages import Nothing, TokenList
    from infra.cli.tables import moment, show_table

    found = ask(data, "devicehub.tokens.list", Nothing(), TokenList)
    if as_json:
        say_json(plain(found)["tokens"])
        return
    now = datetime.now(UTC)
    rows = [
        (
            fact.name,
            ", ".join(fact.scopes),
            state_of(fact, now),
            moment(fact.created_at),
            moment(fact.expires_at),
            moment(fact.last_used_at),
        )
        for fact in found.tokens
    ]
    show_table(
        ("Name", "Scopes", "State", "Created", "Expires", "Last used"),
        rows,
        empty="There is no token. Make one: devicehub token create NAME --scope devices:read",
    )


@app.command(epilog="Example: devicehub token revoke dashboard")
def revoke(name: Name, data: Data = None) -> None:
    """Revoke a token: within seconds nothing is answered to it any more. Its name is free again."""
    from functions.contract.messages import Done, TokenRevoke

    ask(data, "devicehub.tokens.revoke", TokenRevoke(name=name), Done)
    say(f"The token '{name}' is revoked.")


def state_of(fact: "TokenFact | CredentialsFact", now: datetime) -> str:
    """Whether a token, or credentials, are good now, in a word."""
    if fact.revoked_at is not None:
        return "revoked"
    return "expired" if fact.expires_at is not None and fact.expires_at <= now else "good"
