"""An import goes on when the functions come back, and says how far it came when they do not."""

from collections.abc import AsyncIterator

import orjson
import pytest

from functions.contract.lines import NDJSON
from functions.domain.faults import Unavailable
from gateway.imports import Import

LINES = b"".join(b'{"deviceId":"new-%04d"}\n' % number for number in range(150))


async def body() -> AsyncIterator[bytes]:
    for begin in range(0, len(LINES), 1000):
        yield LINES[begin : begin + 1000]


class Functions:
    """What imports; away for the calls that are said."""

    def __init__(self, *away: int) -> None:
        self.calls = 0
        self.sizes: list[int] = []
        self._away = away

    async def send(self, batch: bytes) -> bytes:
        self.calls += 1
        if self.calls in self._away:
            raise Unavailable(detail="Nobody is there.")
        devices = orjson.loads(batch)["devices"]
        self.sizes.append(len(devices))
        return orjson.dumps({"results": [{"deviceId": one["deviceId"], "result": "created"} for one in devices]})


async def test_functions_that_come_back_are_asked_again() -> None:
    functions = Functions(1, 3, 4)
    importing = Import(NDJSON, functions.send, dry_run=False, pauses=(0, 0))

    await importing.take(body())

    assert functions.sizes == [100, 50]
    report = orjson.loads(b"".join([piece async for piece in importing.answer()]))
    assert (report["total"], report["created"]) == (150, 150)
    assert [line["line"] for line in report["lines"]] == list(range(1, 151))
    importing.close()


async def test_functions_that_stay_away_end_it_with_how_far_it_came() -> None:
    importing = Import(NDJSON, Functions(2, 3, 4).send, dry_run=False, pauses=(0, 0))

    with pytest.raises(Unavailable, match="100 lines are done"):
        await importing.take(body())
    importing.close()


async def test_a_number_of_any_size_reaches_the_function_which_refuses_it() -> None:
    functions = Functions()
    importing = Import(NDJSON, functions.send, dry_run=False, pauses=(0, 0))

    async def huge() -> AsyncIterator[bytes]:
        yield b'{"deviceId":"new-0001","desired":{"rate":%d}}\n{"deviceId":"new-0002"}\n' % 10**30

    await importing.take(huge())

    assert functions.sizes == [2]
    importing.close()
