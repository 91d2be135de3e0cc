"""Messages of users, of their sessions, and of the first run."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from functions.contract.messages.base import Message, Request

# What a person types; which of them are good, the rules of users say.
UserName = Annotated[str, Field(min_length=1, max_length=128)]
Password = Annotated[str, Field(min_length=1, max_length=1024)]
RoleWord = Literal["viewer", "operator", "admin"]


class SetupState(Message):
    """Whether the first admin is still to be made."""

    needed: bool


class SetupCodeGiven(Message):
    """The code of the first run, shown this once; the one before is good no longer."""

    code: str = Field(repr=False)
    expires_at: datetime


class SetupComplete(Request):
    """Makes the first admin, and says under which names the hub is reached where that is to be another than now."""

    code: Annotated[str, Field(min_length=1, max_length=64)] = Field(repr=False)
    name: UserName
    password: Password = Field(repr=False)
    hostnames: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=100)] | None = None


class SignIn(Request):
    """Signs a user in."""

    user: UserName
    password: Password = Field(repr=False)


class SignedIn(Message):
    """A new session; ``session`` is its text, for the cookie and nothing else."""

    session: str = Field(repr=False)
    id: str
    user: str
    role: RoleWord
    expires_at: datetime
    ends_at: datetime


class SessionProof(Request):
    """Asks whose session has this id, and notes its use unless ``quiet``."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    quiet: bool = False


class SessionProven(Message):
    """Whose session it is; ``expires_at`` if it is not used again, ``ends_at`` however it is used."""

    id: str
    user: str
    role: RoleWord
    expires_at: datetime
    ends_at: datetime
    server_time: datetime


class PasswordChange(Request):
    """Gives the caller another password, and a new session in the place of all that there are."""

    current_password: Password = Field(repr=False)
    new_password: Password = Field(repr=False)


class UserSessionFact(Message):
    """A session in short; never its text."""

    id: str
    user: str
    role: RoleWord
    since: datetime
    used_at: datetime
    expires_at: datetime
    origin: str


class UserSessionList(Message):
    """Sessions that are good, the latest first."""

    sessions: list[UserSessionFact]


class UserCreate(Request):
    """Makes a user who may sign in."""

    name: UserName
    role: RoleWord
    password: Password = Field(repr=False)


class UserUpdate(Request):
    """Changes what is given of a user."""

    role: RoleWord | None = None
    password: Password | None = Field(default=None, repr=False)
    disabled: bool | None = None


class UserFact(Message):
    """A user; never the password, nor the hash of it."""

    name: str
    role: RoleWord
    disabled: bool
    created_at: datetime
    changed_at: datetime
    signed_in_at: datetime | None


class UserList(Message):
    """Every user, by name."""

    users: list[UserFact]


class SessionsChanged(Message):
    """That sessions of a user may be over, or one of them: whoever believes them asks again."""

    user: str
    session: str | None
