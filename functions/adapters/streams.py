"""Append-only streams on NATS JetStream."""

from collections.abc import Mapping

from nats.aio.client import Client

from functions.adapters.durable import write
from functions.contract.stored import stored_subject
from functions.contract.subjects import TYPE
from functions.domain.names import DeviceId


class JetStreamStreams:
    """Appends devices' messages to the streams of the layout (``functions.ports.Streams``).

    A device's messages are all in one shard, which gives their order.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def append(self, stream: str, device: DeviceId, payload: bytes, headers: Mapping[str, str]) -> None:
        """Append a device's message; durable when it returns.

        Raises:
            Unavailable: it was not stored, or not said to be in time.
        """
        await write(self._client, stored_subject(stream, device, headers.get(TYPE, "")), payload, dict(headers))
