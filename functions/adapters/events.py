"""Events on the bus."""

from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client
from pydantic_core import to_json

from functions.contract.messages import Encoded, Message

log = structlog.get_logger("functions")


class NatsEvents:
    """Publishes events on the bus (``functions.ports.Events``); nothing keeps them there.

    What cannot be published is logged and lost. It is told after the durable
    write, so a fault would say of a change that stands that it had failed.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def publish(self, subject: str, body: Any) -> None:
        """Publish a message, or anything else that JSON can hold."""
        payload = body.encode() if isinstance(body, Message | Encoded) else to_json(body)
        try:
            await self._client.publish(subject, payload)
        except (nats.errors.Error, OSError) as problem:
            log.warning("event lost", subject=subject, problem=repr(problem))
