"""How often an address may ask for what needs no login but costs the hub something."""

import math
import time
from collections.abc import Callable

from starlette.types import Scope

from functions.domain.faults import Reason, Unavailable
from gateway.failures import Failures
from gateway.problems import Refusal

# A device fetches three files; a line of devices behind one address comes at once.
_AT_ONCE = 60
_EVERY_SECONDS = 1.0


class Strangers:
    """Counts requests without a login by client address: so many at once, then one every second.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._asked = Failures(at_once=_AT_ONCE, every_seconds=_EVERY_SECONDS)

    def admit(self, scope: Scope) -> None:
        """Count a request, and let it in.

        Raises:
            Refusal: ``rate_limited``: too many came from its address.
        """
        address = (scope.get("client") or ("",))[0] or ""
        now = self._now()
        seconds = self._asked.wait(address, now)
        if seconds > 0:
            raise Refusal(
                Unavailable(Reason.RATE_LIMITED, "Too many requests came from this address. Wait, then try again."),
                headers={"Retry-After": str(math.ceil(seconds))},
            )
        self._asked.note(address, now)
