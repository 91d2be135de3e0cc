"""The logs of units as topics: ``logs:gateway``, or ``logs:node-1/gateway`` where several hosts have such a unit."""

import re
from typing import Final

from functions.contract.messages import LogFollow, LogLease
from functions.contract.subjects import ROOT
from gateway.live.topics import Told, Topic

# Logs that one client can hear at once.
MOST: Final = 16

PATTERN: Final = r"logs:(?:[A-Za-z0-9_-]{1,64}/)?[A-Za-z0-9:_.\\@-]{1,255}"
_TOPIC: Final = re.compile(r"logs:(?:([A-Za-z0-9_-]{1,64})/)?([A-Za-z0-9:_.\\@-]{1,255})", re.ASCII)


def asked(topic: str) -> LogFollow | None:
    """What is to be asked to hear a topic; None for one that is of no log."""
    match = _TOPIC.fullmatch(topic)
    if match is None:
        return None
    return LogFollow(unit=match[2]) if match[1] is None else LogFollow(unit=match[2], node=match[1])


def subject_of(lease: LogLease) -> str:
    """Where a host tells what is written to a log."""
    return f"{ROOT}.host.{lease.node}.logs.of.{lease.token}"


def name_of(lease: LogLease) -> str:
    """The name of a log as a topic, with its host's."""
    return f"logs:{lease.node}/{lease.unit}"


def topic_of(name: str, subject: str) -> Topic:
    """A log as a topic. Its messages are not kept for who comes again: it would put out all others."""
    return Topic(name, (subject,), lambda message: Told(None, message.data.decode()), is_kept=False)
