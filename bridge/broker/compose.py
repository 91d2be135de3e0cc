"""Puts a keeper together for a bridge that keeps a Mosquitto."""

from collections.abc import Sequence
from functools import partial

from bridge.broker.alarms import Alarms
from bridge.broker.follower import Own
from bridge.broker.keeper import Keeper
from bridge.broker.mosquitto import Files, Mosquitto
from bridge.broker.port import Functions, Lane, Link
from bridge.broker.sessions import Sessions
from bridge.broker.sockets import peers


def make_keeper(
    link: Link,
    lane: Lane,
    functions: Functions,
    *,
    broker: str,
    own: Own,
    prefixes: Sequence[str],
    files: Files,
    port: int,
    others: Sequence[Lane] = (),
) -> Keeper:
    """Make the keeper of one Mosquitto; the lane must ``listen`` to it before it runs.

    Args:
        link: the lane's session.
        lane: the lane that hears the broker's log.
        functions: the bus.
        broker: the broker's name.
        own: the bridge's user, and the client id of the lane's session.
        prefixes: the enabled topic prefixes.
        files: the CRL file and the broker's pid file.
        port: the broker's port for devices.
        others: the other lanes of this process, which the broker should keep as well.
    """
    alarms = Alarms(functions)
    sessions = Sessions(broker)
    admin = Mosquitto(link, sessions, prefixes=prefixes, files=files, lanes=(lane, *others), alarms=alarms)
    return Keeper(admin, sessions, link, lane, functions, own=own, alarms=alarms, peers=partial(peers, port))
