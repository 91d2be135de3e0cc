"""``devicehub user`` and ``devicehub session``: who may sign in, and who is.

Who can read the data directory acts as the hub itself, so these are also the
way back in for an admin who is locked out.
"""

import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from functions.domain.names import is_token
from functions.domain.roles import UserRole
from functions.domain.users import user_name
from infra.cli.connection import ask, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Data, checked
from infra.problem import Problem

app = typer.Typer(no_args_is_help=True, help="Users: the people who sign in, and what they may do.")
sessions = typer.Typer(no_args_is_help=True, help="Sessions: who is signed in.")

_STATES = {False: "good", True: "disabled"}
_RANDOM_BYTES = 15
_MOST_BYTES = 4096


def _session_id(text: str) -> str:
    if not is_token(text):
        raise typer.BadParameter("A session's id is what 'devicehub session list' shows.")
    return text


Name = Annotated[str, typer.Argument(metavar="NAME", parser=checked(user_name), help="The user.")]
Role = Annotated[UserRole, typer.Option("--role", help="What the user may do: read, act on devices, everything.")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file", metavar="F", help="A file with the password; - reads the input. Without it, one is made."
    ),
]


@app.command(epilog="Example: devicehub user add anna --role admin --password-file anna.txt")
def add(name: Name, role: Role, password_file: PasswordFile = None, as_json: AsJson = False, data: Data = None) -> None:
    """Make a user. Without --password-file a password is made up and printed, this once."""
    from functions.contract.messages import UserCreate, UserFact

    password, is_made = _password(password_file)
    wish = UserCreate(name=name, role=role.value, password=password)
    made = ask(data, "devicehub.users.create", wish, UserFact)
    if as_json:
        say_json(plain(made) | ({"password": password} if is_made else {}))
    else:
        say(password if is_made else f"The user '{made.name}' is made.")


app.command("create", hidden=True, epilog="Example: devicehub user create anna --role admin")(add)


@app.command("list", epilog="Example: devicehub user list --json")
def list_(as_json: AsJson = False, data: Data = None) -> None:
    """List every user."""
    from functions.contract.messages import Nothing, UserList
    from infra.cli.tables import moment, show_table

    found = ask(data, "devicehub.users.list", Nothing(), UserList)
    if as_json:
        say_json(plain(found)["users"])
        return
    rows = [
        (user.name, user.role, _STATES[user.disabled], moment(user.created_at), moment(user.signed_in_at))
        for user in found.users
    ]
    empty = "There is no user. Make one: devicehub user add NAME --role admin"
    show_table(("Name", "Role", "State", "Created", "Signed in"), rows, empty=empty)


@app.command(epilog="Example: devicehub user update bert --role viewer --disabled")
def update(
    name: Name,
    role: Annotated[UserRole | None, typer.Option("--role", help="What the user may do from now on.")] = None,
    disabled: Annotated[
        bool | None, typer.Option("--disabled/--enabled", help="Keep the user from signing in, or no longer.")
    ] = None,
    data: Data = None,
) -> None:
    """Change a user's role or state. Who is disabled is signed out everywhere."""
    if role is None and disabled is None:
        raise typer.BadParameter("Give --role, --disabled or --enabled.")
    _change(data, name, role=role.value if role is not None else None, disabled=disabled)
    say(f"The user '{name}' is changed.")


@app.command(epilog="Example: devicehub user delete bert")
def delete(name: Name, data: Data = None) -> None:
    """Delete a user, who is signed out everywhere. The last admin cannot be deleted."""
    from functions.contract.messages import Done, Nothing

    ask(data, f"devicehub.users.{name}.delete", Nothing(), Done)
    say(f"The user '{name}' is deleted.")


@app.command("reset-password", epilog="Example: devicehub user reset-password anna")
def reset_password(name: Name, password_file: PasswordFile = None, data: Data = None) -> None:
    """Give a user another password, and forget the wrong ones that were tried: the way back in.

    Without --password-file a password is made up and printed, this once. The
    user is signed out everywhere, and can sign in again if disabled before.
    """
    password, is_made = _password(password_file)
    _change(data, name, password=password, disabled=False)
    say(password if is_made else f"The password of '{name}' is another now.")


@sessions.command("list", epilog="Example: devicehub session list --json")
def list_sessions(as_json: AsJson = False, data: Data = None) -> None:
    """List who is signed in, the latest first."""
    from functions.contract.messages import Nothing, UserSessionList
    from infra.cli.tables import moment, show_table

    found = ask(data, "devicehub.sessions.list", Nothing(), UserSessionList)
    if as_json:
        say_json(plain(found)["sessions"])
        return
    rows = [
        (one.id, one.user, one.role, moment(one.since), moment(one.used_at), moment(one.expires_at), one.origin)
        for one in found.sessions
    ]
    heads = ("Session", "User", "Role", "Since", "Used", "Good until", "From")
    show_table(heads, rows, empty="Nobody is signed in.")


@sessions.command(epilog="Example: devicehub session end 5f0c9b1e7a3d2c485f0c9b1e7a3d2c48")
def end(
    session: Annotated[str, typer.Argument(metavar="SESSION", parser=_session_id, help="Its id.")], data: Data = None
) -> None:
    """End a session: whoever has it is signed out at once."""
    from functions.contract.messages import Done, Nothing

    ask(data, f"devicehub.sessions.{session}.end", Nothing(), Done)
    say("The session is over.")


def _change(
    data: Path | None,
    name: str,
    *,
    role: str | None = None,
    disabled: bool | None = None,
    password: str | None = None,
) -> None:
    from functions.contract.messages import UserFact, UserUpdate

    wish = {"role": role, "disabled": disabled, "password": password}
    body = UserUpdate.model_validate({field: value for field, value in wish.items() if value is not None})
    ask(data, f"devicehub.users.{name}.update", body, UserFact)


def _password(file: Path | None) -> tuple[str, bool]:
    """The password that a file has, or one that is made up, and whether it is."""
    if file is None:
        return secrets.token_urlsafe(_RANDOM_BYTES), True
    try:
        data = sys.stdin.buffer.read(_MOST_BYTES) if str(file) == "-" else file.read_bytes()[:_MOST_BYTES]
        text = data.decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as problem:
        raise Problem(f"The password cannot be read: {problem}.") from problem
    if not text:
        raise Problem("The password is empty.", "Write it into the file, on one line.")
    return text, False
