"""Settings read from the environment, with every fault found before any is reported.

Names start with ``HUB_`` and carry their unit; secrets come as paths of files.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from functions.domain.enrolment import RENEWAL_GRACE
from functions.domain.logins import SessionLifetime

_LEAST_PASSPHRASE_BYTES = 16
_MOST_PASSPHRASE_BYTES = 1023


class SettingsError(Exception):
    """One or more settings are missing or wrong; the message names each, a line apiece."""


class Environment:
    """Reads settings one by one and collects what is wrong with them.

    Call ``done()`` after the last one: it raises if anything was wrong. Until
    then a faulty setting reads as a harmless value of its type.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._faults: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        """A setting as it is; required where there is no default."""
        value = self._environ.get(name, "").strip()
        if value:
            return value
        if default is None:
            self._faults.append(f"{name} is not set")
            return ""
        return default

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        """One of the allowed words."""
        value = self.text(name, default)
        if value not in allowed:
            self._faults.append(f"{name} is '{value}'; it must be one of: {', '.join(allowed)}")
            return default
        return value

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number within bounds."""
        value = self.text(name, str(default))
        if not value.isdecimal() or not least <= int(value) <= most:
            self._faults.append(f"{name} is '{value}'; it must be a number from {least} to {most}")
            return default
        return int(value)

    def path(self, name: str, default: str | None = None) -> Path:
        """A path; whether it exists is not asked."""
        return Path(self.text(name, default))

    def secret(self, name: str) -> str:
        """The content of the file that the setting names, without the newline at its end."""
        path = self.text(name)
        if not path:
            return ""
        try:
            secret = Path(path).read_text(encoding="utf-8").rstrip("\n")
        except (OSError, UnicodeDecodeError) as problem:
            self._faults.append(f"{name} names a file that cannot be read: {problem}")
            return ""
        if not secret:
            self._faults.append(f"{name} names an empty file: {path}")
        return secret

    def passphrase(self, name: str, credential: str) -> bytes | None:
        """The content of the file that the setting names, or of the service's credential (systemd) of a name; or None.

        At least 16 bytes: the key derivation that PKCS #8 has costs a guess next to nothing.
        """
        path = self.passphrase_file(name, credential)
        if path is None:
            return None
        try:
            secret = path.read_bytes().rstrip(b"\r\n")
        except OSError as problem:
            self._faults.append(f"{name} names a file that cannot be read: {problem}")
            return None
        if not _LEAST_PASSPHRASE_BYTES <= len(secret) <= _MOST_PASSPHRASE_BYTES:
            self._faults.append(
                f"{name} names a file with {len(secret)} bytes; a passphrase has {_LEAST_PASSPHRASE_BYTES} to"
                f" {_MOST_PASSPHRASE_BYTES}, as 'openssl rand -base64 32' makes one"
            )
            return None
        return secret

    def passphrase_file(self, name: str, credential: str) -> Path | None:
        """Where that passphrase is, if one is given."""
        if named := self.text(name, "-").removeprefix("-"):
            return Path(named)
        folder = self._environ.get("CREDENTIALS_DIRECTORY", "").strip()
        found = Path(folder, credential)
        return found if folder and found.exists() else None

    def fault(self, text: str) -> None:
        """Add a fault that the caller found by itself."""
        self._faults.append(text)

    def done(self) -> None:
        """Finish reading.

        Raises:
            SettingsError: something was missing or wrong.
        """
        if self._faults:
            raise SettingsError("\n".join(self._faults))


def grace_seconds(env: Environment) -> int:
    """How long a device that was given a new certificate may keep the old one without confirming: 7 days if not set."""
    default = int(RENEWAL_GRACE.total_seconds())
    return env.number("HUB_RENEWAL_GRACE_SECONDS", default, least=10, most=365 * 24 * 3600)


def session_lifetime(env: Environment) -> SessionLifetime:
    """How long a user stays signed in: 60 minutes unused, 12 hours in all, if not set."""
    default = SessionLifetime()
    idle = env.number("HUB_SESSION_IDLE_MINUTES", int(default.idle.total_seconds()) // 60, least=2, most=7 * 24 * 60)
    most = env.number("HUB_SESSION_HOURS", int(default.most.total_seconds()) // 3600, least=1, most=30 * 24)
    return SessionLifetime(timedelta(minutes=idle), timedelta(hours=most))
