"""Subjects and headers of the bus.

Every token of a subject must have the form of a name
(``functions.domain.names.is_token``), so that no ``.``, ``*``, ``>`` or blank
of a caller ever reaches one. How a topic becomes a subject is the bridge's to
know.
"""

from functions.domain.faults import Malformed
from functions.domain.names import is_token

ROOT = "devicehub"
QUEUE = "functions"

CALLER = "Hub-Caller"
# What the gateway proved of a caller: the scopes of an application's token, blank separated; the role of a user.
SCOPES = "Hub-Scopes"
CALL = "Hub-Call"
# Where the caller is, as the edge saw it: an address, or the way in.
ORIGIN = "Hub-Origin"
# Wall-clock milliseconds since 1970 after which nothing may be begun for the call.
DEADLINE = "Hub-Deadline"
# Place of a device's message, see functions.domain.order.
ORDER = "Hub-Order"
# Which session a device's message came in, see functions.domain.sessions.SessionMark.
SESSION = "Hub-Session"
# Of a message in a stream: an event's type, and milliseconds since 1970 by the hub's and by the device's clock.
TYPE = "Hub-Type"
TIME = "Hub-Time"
DEVICE_TIME = "Hub-Device-Time"
# Written by the server itself for calls that come from another account.
REQUEST_INFO = "Nats-Request-Info"

MQTT_PREFIX = "$devicehub"


def subject(*tokens: str) -> str:
    """Join tokens below the hub's root: ``subject("twins", "D1", "get")`` is ``devicehub.twins.D1.get``.

    Raises:
        Malformed: a token does not have the form of a name.
    """
    for token in tokens:
        if not is_token(token):
            raise Malformed(detail="A name in the request has characters that no subject may carry.")
    return ".".join((ROOT, *tokens))
