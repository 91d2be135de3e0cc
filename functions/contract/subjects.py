"""Subjects and headers of the bus, and the rule between MQTT topics and subjects.

A topic becomes a subject by dropping the leading ``$`` and turning ``/`` into
``.``: ``$devicehub/devices/EDGB-9205/twin/update`` is
``devicehub.devices.EDGB-9205.twin.update``. Every level must have the form of
a name (``functions.domain.names.is_token``), so that no ``.``, ``*``, ``>``
or blank ever reaches a subject.
"""

from functions.domain.faults import Malformed
from functions.domain.names import is_token

ROOT = "devicehub"
QUEUE = "functions"

CALLER = "Hub-Caller"
# What an application's token allows, as the gateway proved it: scopes, blank separated.
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


def topic_to_subject(topic: str, prefixes: tuple[str, ...] = (MQTT_PREFIX,)) -> str:
    """The subject of a topic under any of the prefixes, which all mean the same subject root.

    Raises:
        Malformed: another prefix, or a level that is no name.
    """
    prefix, _, rest = topic.partition("/")
    if prefix not in prefixes or not rest:
        raise Malformed(detail="The topic is not the hub's.")
    return subject(*rest.split("/"))


def subject_to_topic(name: str, prefix: str = MQTT_PREFIX) -> str:
    """The topic of a subject, under one prefix.

    Raises:
        Malformed: the subject is not the hub's.
    """
    root, _, rest = name.partition(".")
    if root != ROOT or not rest:
        raise Malformed(detail="The subject is not the hub's.")
    return f"{prefix}/{rest.replace('.', '/')}"
