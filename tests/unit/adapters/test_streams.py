"""The streams in memory do what streams must."""

from collections.abc import Mapping

import pytest

from functions.checks import Read, StreamsChecks
from functions.domain.names import DeviceId
from functions.testing import MemoryStreams


class TestInMemory(StreamsChecks):
    @pytest.fixture
    def streams(self) -> MemoryStreams:
        return MemoryStreams()

    @pytest.fixture
    def read(self, streams: MemoryStreams) -> Read:
        async def read(stream: str, device: DeviceId) -> list[tuple[bytes, Mapping[str, str]]]:
            return [(m.payload, m.headers) for m in streams.appended if (m.stream, m.device) == (stream, device)]

        return read
