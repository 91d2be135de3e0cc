"""The trail in a file answers as reading all of it would."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from functions.adapters.trail_table import TrailTable
from functions.audit_checks import audit_entry
from functions.domain.audit import AuditEntry, AuditWanted, Outcome, Trail
from functions.testing import START

ACTIONS = ("device.suspended", "device.resumed", "twin.desired", "token.created", "access.refused")
MOMENTS = st.integers(0, 20).map(lambda number: START + timedelta(milliseconds=number * 250))


@st.composite
def entries(draw: st.DrawFn) -> list[AuditEntry]:
    made = []
    for number in range(draw(st.integers(0, 30))):
        at = draw(MOMENTS)
        action = draw(st.sampled_from(ACTIONS))
        made.append(
            replace(
                audit_entry(number),
                id=f"{int(at.timestamp() * 1000):012x}-{number:04x}",
                at=at,
                action=action,
                kind=action.partition(".")[0],
                actor=draw(st.sampled_from(["user:anna", "app:page"])),
                target=draw(st.sampled_from(["a", "b"])),
            )
        )
    return made


WANTED = st.builds(
    AuditWanted,
    actor=st.none() | st.sampled_from(["user:anna", "nobody"]),
    action=st.none() | st.sampled_from([*ACTIONS, "device", "dev", "%"]),
    kind=st.none() | st.just("device"),
    target=st.none() | st.sampled_from(["a", "' OR 1=1 --"]),
    after=st.none() | MOMENTS,
    before=st.none() | MOMENTS,
    outcome=st.none() | st.sampled_from(Outcome),
    past=st.just("") | MOMENTS.map(lambda at: f"{int(at.timestamp() * 1000):012x}-0007"),
    oldest_first=st.booleans(),
    limit=st.integers(1, 10),
    offset=st.integers(0, 10),
)


@contextmanager
def table_of(made: list[AuditEntry]) -> Iterator[TrailTable]:
    with TemporaryDirectory() as folder:
        table = TrailTable(Path(folder) / "audit.sqlite")
        for number, one in enumerate(made, 1):
            table.put(Trail.CHANGES, number, [one])
        table.commit()
        yield table
        table.close()


@given(entries(), st.lists(WANTED, max_size=8))
def test_the_answers_are_those_of_reading_everything(made: list[AuditEntry], asked: list[AuditWanted]) -> None:
    with table_of(made) as table:
        reader = table.reader()
        for wanted in asked:
            expected = sorted(filter(wanted.matches, made), key=lambda one: one.id, reverse=not wanted.oldest_first)
            assert reader.find(wanted) == expected[wanted.offset : wanted.offset + wanted.limit]
            assert reader.count(wanted, most=None) == len(expected)
            assert reader.count(wanted, most=3) == min(len(expected), 3)
        reader.close()


def test_a_message_that_comes_again_changes_nothing() -> None:
    with table_of([audit_entry(1)]) as table:
        table.put(Trail.CHANGES, 1, [audit_entry(1)])
        table.commit()
        reader = table.reader()

        assert reader.count(AuditWanted(), most=None) == 1
        assert table.place(Trail.CHANGES) == (1, audit_entry(1).id)
        assert table.place(Trail.TWINS) is None
        reader.close()
