"""A long list travels in as many calls as it takes."""

from functions.contract.messages import WhitelistBatch, WhitelistReport
from functions.contract.whitelisting import report, send
from functions.domain.whitelist import MAX_LINES, Line, Result, Verdict, judge, line_of

MOST_BYTES = 1024 * 1024 - 64 * 1024


class Hub:
    """Says of each line that it is added, as the function would."""

    def __init__(self) -> None:
        self.calls: list[WhitelistBatch] = []

    async def __call__(self, batch: WhitelistBatch) -> WhitelistReport:
        self.calls.append(WhitelistBatch.model_validate_json(batch.encode()))
        judged = judge(line_of(number, cells) for number, cells in enumerate(batch.lines, start=1))
        assert not judged.others
        return report([Verdict(line.number, Result.ADDED) for line in judged.good], dry_run=batch.dry_run)


async def test_a_list_of_usual_lines_is_a_few_calls() -> None:
    hub = Hub()
    lines = [Line(n, f"9205fa1c-7e57-4bad-8c0d-{n:012}") for n in range(1, MAX_LINES + 1)]

    told = await send(lines, dry_run=True, ask=hub)

    assert len(hub.calls) == 4
    assert all(call.dry_run for call in hub.calls)
    assert (told.added, told.dry_run, len(told.lines)) == (MAX_LINES, True, MAX_LINES)


async def test_the_longest_lines_are_split_and_each_call_fits() -> None:
    hub = Hub()
    lines = [Line(n, f"{n:064}", "\U0001f600" * 256, '"' * 64, "\\" * 128) for n in range(1, MAX_LINES + 1)]

    told = await send(lines, dry_run=False, ask=hub)

    assert len(hub.calls) > 10
    assert max(len(call.encode()) for call in hub.calls) < MOST_BYTES
    assert [one.line for one in told.lines] == list(range(1, MAX_LINES + 1))


async def test_more_lines_than_a_call_takes_are_several() -> None:
    hub = Hub()

    told = await send([Line(n, f"board-{n}") for n in range(1, 25_001)], dry_run=False, ask=hub)

    assert [len(call.lines) for call in hub.calls] == [2_500] * 10
    assert told.added == 25_000


async def test_a_duplicate_in_another_call_is_one() -> None:
    hub = Hub()
    lines = [Line(n, f"{n:064}", "x" * 256) for n in range(1, 5_001)]

    told = await send([*lines, Line(9_000, f"{1:064}"), Line(9_001, "?")], dry_run=True, ask=hub)

    assert len(hub.calls) > 1
    assert (told.added, told.duplicates, told.malformed) == (5_000, 1, 1)
    assert [(one.line, one.result, one.reason) for one in told.lines[-2:]] == [
        (9_000, "duplicate", "of line 1"),
        (9_001, "malformed", "not 4 to 64 letters, digits, '_' or '-'"),
    ]


async def test_where_no_line_is_good_nothing_is_asked() -> None:
    hub = Hub()

    told = await send([Line(1, "?"), Line(2, wrong="no JSON")], dry_run=False, ask=hub)

    assert hub.calls == []
    assert told.malformed == 2
