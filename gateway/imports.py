"""An import of devices as it comes over HTTP: cut into lines, handed to the functions in batches, answered at the end.

The answer begins when the body has ended, as most clients read nothing before
they have sent everything. Until then what became of each line is kept in a
file of no name; in memory there is one batch.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from tempfile import SpooledTemporaryFile
from typing import Any, Final

import orjson
from pydantic_core import to_json

from functions.contract.faults import CATALOGUE
from functions.contract.lines import Lines
from functions.domain.faults import Fault, Malformed, Unavailable

# A batch: the function takes 100 lines and 1 MiB, and the longest line has a quarter of that.
_BATCH_LINES: Final = 100
_BATCH_BYTES: Final = 256 * 1024
_IN_MEMORY_BYTES: Final = 1024 * 1024
_PIECE_BYTES: Final = 64 * 1024
# A line shown on: ids are checked only by the function.
_SHOWN_CHARACTERS: Final = 64
# Between attempts when the functions cannot answer: a restart of theirs takes a second or two.
_PAUSES_SECONDS: Final = (0.5, 1.0, 2.0)

Send = Callable[[bytes], Awaitable[bytes]]


class Import:
    """One import.

    Args:
        media_type: of the body: ``NDJSON`` or ``CSV``.
        send: calls the function that imports a batch.
        dry_run: whether it is only to say what it would do.
        pauses: seconds between attempts while the functions cannot answer.
    """

    def __init__(
        self, media_type: str, send: Send, *, dry_run: bool, pauses: Sequence[float] = _PAUSES_SECONDS
    ) -> None:
        self._lines = Lines(media_type)
        self._send = send
        self._dry_run = dry_run
        self._pauses = (*pauses, None)
        self._counts: Counter[str] = Counter()
        self._told = SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115  # Closed by ``close``.
        self._batch: list[tuple[int, bytes]] = []
        self._bytes = 0

    async def take(self, body: AsyncIterator[bytes]) -> None:
        """Import a body to its end.

        Raises:
            Malformed: its heading is none, or a line is too long; the lines before it are done.
            Unavailable: the functions cannot be reached; so many lines are done as it says.
        """
        async for piece in body:
            for number, device in self._lines.feed(piece):
                await self._add(number, device)
        for number, device in self._lines.end():
            await self._add(number, device)
        await self._flush()

    async def answer(self) -> AsyncIterator[bytes]:
        """The report as JSON: counts, and what became of each line; in pieces."""
        counts = {name: self._counts[name] for name in ("created", "updated", "unchanged", "failed")}
        head = orjson.dumps({"dryRun": self._dry_run, "total": self._counts.total(), **counts})
        yield head[:-1] + b',"lines":['
        self._told.seek(0)
        while piece := self._told.read(_PIECE_BYTES):
            yield piece
        yield b"]}"

    def close(self) -> None:
        """Forget what was kept."""
        self._told.close()

    async def _add(self, number: int, device: dict[str, Any] | Malformed) -> None:
        if isinstance(device, Malformed):
            # What comes before it is told before it.
            await self._flush()
            self._tell(number, "", device)
            return
        # Numbers of any size, so that the function can refuse them by name.
        line = to_json(device)
        if len(self._batch) == _BATCH_LINES or (self._batch and self._bytes + len(line) > _BATCH_BYTES):
            await self._flush()
        self._batch.append((number, line))
        self._bytes += len(line)

    async def _flush(self) -> None:
        batch, self._batch, self._bytes = self._batch, [], 0
        if batch:
            await self._import(batch)

    async def _import(self, batch: list[tuple[int, bytes]]) -> None:
        try:
            results = await self._ask([line for _, line in batch])
        except Malformed as fault:
            # The function takes none of a call that it cannot read: find the line that it is about.
            if len(batch) == 1:
                self._tell(batch[0][0], "", fault)
                return
            for one in batch:
                await self._import([one])
            return
        for (number, _), result in zip(batch, results, strict=True):
            self._put({"line": number, **result})

    async def _ask(self, lines: list[bytes]) -> list[dict[str, Any]]:
        asked = b'{"dryRun":%s,"devices":[%s]}' % (b"true" if self._dry_run else b"false", b",".join(lines))
        for pause in self._pauses:
            try:
                results: list[dict[str, Any]] = orjson.loads(await self._send(asked))["results"]
            except Unavailable as fault:
                if pause is None:
                    done = self._counts.total()
                    told = f"{fault.detail or CATALOGUE[fault.reason].sentence} {done} lines are done; send all again."
                    raise Unavailable(fault.reason, told) from fault
                await asyncio.sleep(pause)
            else:
                return results
        raise Unavailable

    def _tell(self, number: int, device: str, fault: Fault) -> None:
        told = {"error": str(fault.reason), "message": fault.detail or CATALOGUE[fault.reason].sentence}
        fields = {"fields": fault.fields} if fault.fields else {}
        self._put({"line": number, "deviceId": device[:_SHOWN_CHARACTERS], "result": "failed", **told, **fields})

    def _put(self, result: dict[str, Any]) -> None:
        if self._counts:
            self._told.write(b",")
        self._counts[result["result"]] += 1
        self._told.write(orjson.dumps(result))
