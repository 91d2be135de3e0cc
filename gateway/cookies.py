"""The cookie that holds a session, and how a request shows that a page of this hub made it.

``SameSite=Lax`` keeps the cookie out of what other sites send, but for links,
which only read. It does not know ports and sibling names apart, so a change
must also come with a header that no page of another origin can send unless it
is allowed to, and nobody is; and it must not say that it comes from elsewhere.
"""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from functions.domain.faults import Denied, Reason

MARK: Final = "X-Device-Hub"

# Over HTTPS the name itself has browsers refuse what another host of the domain set.
_NAME: Final = "devicehub-session"
_SECURE_NAME: Final = f"__Host-{_NAME}"
_ENCRYPTED: Final = ("https", "wss")
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_OWN: Final = ("same-origin", "none")


def session_text(scope: Scope) -> str | None:
    """The session that a request shows; None for none, and for several, of which one was put there by somebody."""
    name = _name(scope)
    found = [
        value.strip()
        for header in Headers(scope=scope).getlist("cookie")
        for given, _, value in (one.partition("=") for one in header.split(";"))
        if given.strip() == name
    ]
    return found[0] if len(found) == 1 and found[0] else None


def kept(scope: Scope, text: str, ends_at: datetime) -> str:
    """``Set-Cookie`` for a session, until it is over in any case."""
    seconds = max(0, int((ends_at - datetime.now(UTC)).total_seconds()))
    return f"{_name(scope)}={text}; Max-Age={seconds}; {_attributes(scope)}"


def cleared(scope: Scope) -> str:
    """``Set-Cookie`` that has the browser forget the session."""
    return f"{_name(scope)}=; Max-Age=0; {_attributes(scope)}"


def refuse_foreign(scope: Scope) -> None:
    """Refuse what a page of another origin sends.

    Raises:
        Denied: ``foreign_request``.
    """
    headers = Headers(scope=scope)
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        is_own = site in _OWN
    else:
        # Browsers tell the site only where they trust the connection.
        is_own = origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
    if not is_own:
        raise Denied(Reason.FOREIGN_REQUEST, "The request comes from a page of another site.")


def refuse_forged(scope: Scope) -> None:
    """Refuse a change in the name of a session that no page of this hub asks for.

    Raises:
        Denied: ``foreign_request``.
    """
    if scope["method"] in _SAFE:
        return
    refuse_foreign(scope)
    if Headers(scope=scope).get(MARK) != "1":
        raise Denied(Reason.FOREIGN_REQUEST, f"With a session, a change needs the header '{MARK}: 1'.")


def _name(scope: Scope) -> str:
    return _SECURE_NAME if _is_encrypted(scope) else _NAME


def _attributes(scope: Scope) -> str:
    return "Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if _is_encrypted(scope) else "")


def _is_encrypted(scope: Scope) -> bool:
    return scope.get("scheme") in _ENCRYPTED
