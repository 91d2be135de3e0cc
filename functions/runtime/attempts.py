"""One attempt at what is done again and again: whatever becomes of it, the next comes."""

from collections.abc import Awaitable, Callable

import structlog

from functions.domain.faults import Fault
from functions.ports import Hub

log = structlog.get_logger("functions")


async def attempt(chore: Callable[[Hub], Awaitable[None]], hub: Hub) -> None:
    """Do a chore, and tell the log if it came to nothing.

    A timer that ended with what nobody foresaw (a record that cannot be read,
    a disk that refuses) would renew no revocation list from then on, and
    nobody would see it before every device is locked out.
    """
    try:
        await chore(hub)
    except Fault as fault:
        log.warning("chore put off", chore=chore.__name__, reason=fault.reason, cause=repr(fault.__cause__))
    except Exception:
        log.exception("chore failed", chore=chore.__name__)
