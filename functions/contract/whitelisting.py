"""A long list for the whitelist, sent in as many calls as it takes: how gateway and commands do it."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

import orjson

from functions.contract.messages import WhitelistBatch, WhitelistReport, WhitelistVerdict
from functions.domain.whitelist import Line, Result, Verdict, judge

# Of the text of one call, beside which the server's max_payload (1 MiB) has room for headers.
_CALL_BYTES = 768 * 1024

# Lines of one call: as many as the slowest disks keep durably in its time.
_CALL_LINES = 2_500

# Of one call, in seconds; a little longer than the function gives itself.
WITHIN_SECONDS = 30.5

Ask = Callable[[WhitelistBatch], Awaitable[WhitelistReport]]


async def send(lines: Iterable[Line], *, dry_run: bool, ask: Ask) -> WhitelistReport:
    """Have the lines added, and tell what became of each, in their order.

    They are judged here first, so that a UUID named twice is known for what
    it is also where the two lines travel in different calls. Safe to repeat
    after a fault, when some calls have been done.

    Args:
        lines: as they were read.
        dry_run: only tell what would become of them.
        ask: calls ``devicehub.whitelist.batch``.

    Raises:
        Fault: a call's.
    """
    judged = judge(lines)
    verdicts = list(judged.others)
    for call in _calls(judged.good):
        told = await ask(WhitelistBatch(lines=[line.cells for line in call], dry_run=dry_run))
        for line, verdict in zip(call, told.lines, strict=True):
            verdicts.append(Verdict(line.number, Result(verdict.result), verdict.reason))
    return report(verdicts, dry_run=dry_run)


def report(verdicts: Iterable[Verdict], *, dry_run: bool) -> WhitelistReport:
    """The verdicts in the order of their lines, counted."""
    told = sorted(verdicts, key=lambda verdict: verdict.number)
    counts = Counter(verdict.result for verdict in told)
    return WhitelistReport(
        dry_run=dry_run,
        added=counts[Result.ADDED],
        present=counts[Result.PRESENT],
        malformed=counts[Result.MALFORMED],
        duplicates=counts[Result.DUPLICATE],
        lines=[
            WhitelistVerdict(line=verdict.number, result=verdict.result.value, reason=verdict.reason)
            for verdict in told
        ],
    )


def _calls(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """The lines in as few calls as they fit into."""
    call: list[Line] = []
    size = 0
    for line in lines:
        own = len(orjson.dumps(line.cells)) + 1
        if call and (size + own > _CALL_BYTES or len(call) == _CALL_LINES):
            yield call
            call, size = [], 0
        call.append(line)
        size += own
    if call:
        yield call
