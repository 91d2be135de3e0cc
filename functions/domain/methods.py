"""Direct methods: what a caller may ask of a device, and for how long it waits."""

from typing import Final

from functions.domain.faults import NotFound, Reason
from functions.domain.sessions import Presence

# Seconds that a call waits for the device's answer.
LEAST_TIMEOUT: Final = 0.1
DEFAULT_TIMEOUT: Final = 30.0
MOST_TIMEOUT: Final = 300.0
# What a call takes beside the device's own time: on its way to the device and back.
MARGIN_SECONDS: Final = 2.0


def require_online(presence: Presence | None) -> None:
    """Refuse to call a device that is known not to hear it.

    Raises:
        NotFound: it is offline, or was never seen (``device_offline``).
    """
    if presence is None:
        raise NotFound(Reason.DEVICE_OFFLINE, "The device has never connected. It can be called when it has.")
    if not presence.online:
        since = presence.at.isoformat(timespec="seconds").replace("+00:00", "Z")
        raise NotFound(
            Reason.DEVICE_OFFLINE,
            f"The device is not connected since {since} ({presence.evidence}). Call it when it is, or have the call"
            " queued.",
        )
