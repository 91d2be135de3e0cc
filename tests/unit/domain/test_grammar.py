"""What a query says, and where one that cannot be read is wrong."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.domain.faults import Malformed
from functions.domain.grammar import MAX_CHARACTERS, MAX_CONDITIONS, MAX_DEPTH, parse_query
from functions.domain.query import All, AnyOf, Compare, Condition, Is, Not, Pattern, Sign, Tagged, Within, exactly
from functions.domain.versions import version_of

PATHS = ("temp", "network.rssi", "mode")


def text(*pieces: str) -> Within:
    return Within(Pattern(pieces))


def read(query: str) -> Condition:
    return parse_query(query, paths=PATHS)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", All()),
        ("  \t", All()),
        ("pump", text("pump")),
        ("pump north", All((text("pump"), text("north")))),
        ("pump AND north", All((text("pump"), text("north")))),
        ('"north hall"', text("north hall")),
        ('north" "hall', text("north hall")),
        (r'"a \"b\" \\ c"', text('a "b" \\ c')),
        ("pu*mp", text("pu", "mp")),
        ('"pu*mp"', text("pu*mp")),
        ("-pump", Not(text("pump"))),
        ("NOT pump", Not(text("pump"))),
        ("--pump", Not(Not(text("pump")))),
        ('"-pump"', text("-pump")),
        ("north-hall", text("north-hall")),
        ("10:30", text("10:30")),
        ("a OR b", AnyOf((text("a"), text("b")))),
        ("a b OR c", AnyOf((All((text("a"), text("b"))), text("c")))),
        ("a (b OR c)", All((text("a"), AnyOf((text("b"), text("c")))))),
        ("-(a b)", Not(All((text("a"), text("b"))))),
        ("( ( a ) )", text("a")),
        ('"OR"', text("OR")),
        ("ORder", text("ORder")),
        ("status:offline", Is("status", exactly("offline"))),
        ("STATUS=offline", Is("status", exactly("offline"))),
        ("status:o*line", Is("status", Pattern(("o", "line")))),
        ("status!=offline", Not(Is("status", exactly("offline")))),
        ("-status:offline", Not(Is("status", exactly("offline")))),
        ("group:north", Is("group", exactly("north"))),
        ('group:"north hall"', Is("group", exactly("north hall"))),
        ("deviceName:a", Is("id", exactly("a"))),
        ("displayName:a", Is("name", exactly("a"))),
        ("model:*", Is("model", Pattern(("", "")))),
        ('model:""', Is("model", exactly(""))),
        ("tag:lab", Tagged(exactly("lab"))),
        ("-tag:lab", Not(Tagged(exactly("lab")))),
        ("tag:site=A", Tagged(exactly("site"), exactly("A"))),
        ("tag=site=A", Tagged(exactly("site"), exactly("A"))),
        ('tag:site="North = Hall"', Tagged(exactly("site"), exactly("North = Hall"))),
        ('tag:"a=b"', Tagged(exactly("a=b"))),
        ("tag:site=", Tagged(exactly("site"), exactly(""))),
        ("tag:s*=A*", Tagged(Pattern(("s", "")), Pattern(("A", "")))),
        ("firmware:1.*", Is("firmware", Pattern(("1.", "")))),
        ("firmware<1.4", Compare("firmware", Sign.LESS, version_of("1.4"))),
        ("firmware>=2.0-rc.1", Compare("firmware", Sign.AT_LEAST, version_of("2.0-rc.1"))),
        ("lastSeen<7d", Compare("lastSeen", Sign.LESS, timedelta(days=7))),
        ("lastseen>=90m", Compare("lastSeen", Sign.AT_LEAST, timedelta(minutes=90))),
        ("lastSeen:*", Is("lastSeen", Pattern(("", "")))),
        ("outOfSync>1h", Compare("outOfSync", Sign.MORE, timedelta(hours=1))),
        ("createdAt<2026-01-31", Compare("createdAt", Sign.LESS, datetime(2026, 1, 31, tzinfo=UTC))),
        (
            "updatedAt>2026-01-31T12:00:00+01:00",
            Compare("updatedAt", Sign.MORE, datetime(2026, 1, 31, 11, tzinfo=UTC)),
        ),
        ("twinInSync:false", Is("twinInSync", exactly("false"))),
        ("twin.reported.temp>30", Compare("twin.reported.temp", Sign.MORE, 30.0)),
        ("twin.reported.network.rssi<=-70.5", Compare("twin.reported.network.rssi", Sign.AT_MOST, -70.5)),
        ("twin.reported.mode>auto", Compare("twin.reported.mode", Sign.MORE, "auto")),
        ('twin.reported.mode<"30"', Compare("twin.reported.mode", Sign.LESS, "30")),
        ("twin.reported.mode:auto", Is("twin.reported.mode", exactly("auto"))),
        ('twin.reported.mode:"30"', Is("twin.reported.mode", exactly("30"))),
        (
            "twin.reported.temp:30",
            AnyOf((Compare("twin.reported.temp", Sign.EQUAL, 30.0), Is("twin.reported.temp", exactly("30")))),
        ),
        (
            "twin.reported.mode:true",
            AnyOf((Compare("twin.reported.mode", Sign.EQUAL, True), Is("twin.reported.mode", exactly("true")))),
        ),
        ("twin.reported.temp:*", Is("twin.reported.temp", Pattern(("", "")))),
    ],
)
def test_a_query_says(query: str, said: Condition) -> None:
    assert read(query) == said
    assert read(f"  {query} ") == said


def test_the_example_of_the_written_interface_can_be_read() -> None:
    query = "tag:site=A group:north status:offline firmware<1.4 twin.reported.temp>30 lastSeen<7d -tag:lab"

    said = read(query)

    assert isinstance(said, All)
    assert len(said.parts) == 7


@pytest.mark.parametrize(
    ("query", "position", "told"),
    [
        ("pump colour:red", 5, "there is no field 'colour'"),
        ("status:up", 7, "status is one of online, offline, unknown, not 'up'"),
        ("pump status:", 12, "a value is expected after 'status:'"),
        ("status: online", 7, "a value is expected"),
        ("status>online", 0, "status is compared with ':'"),
        ("a (b OR c", 2, "this '(' is not closed"),
        ("a b)", 3, "')' closes nothing"),
        ("()", 1, "a condition is expected"),
        ("a OR", 4, "a condition is expected"),
        ("OR a", 0, "a condition is expected"),
        ("a AND", 5, "a condition is expected"),
        ("a OR OR b", 5, "a condition is expected"),
        ("a -", 3, "a condition is expected"),
        ("- a", 0, "'-' stands right before"),
        ('name:"north hall', 5, "this quote is not closed"),
        (r'"a\n"', 2, "stands before"),
        ("firmware<new!*", 9, "'*' stands for anything only after ':'"),
        ("firmware<???", 9, "no version"),
        ("lastSeen<7y", 9, "no time"),
        ("lastSeen<2026-02-30", 9, "no time"),
        ("lastSeen:7d", 9, "is compared with"),
        ("lastSeen>0001-01-01T00:00+23:00", 9, "outside of time"),
        ("tag:=a", 4, "a tag is 'key=value'"),
        ("tag>lab", 0, "tag is compared with ':'"),
        ("twin.reported.colour:red", 0, "HUB_QUERY_PATHS"),
        ("twin.desired.temp>3", 0, "there is no field"),
        ("twin.reported.temp>true", 19, "compare numbers and texts"),
        ("twin.reported.temp>3*", 19, "'*' stands for anything only after ':'"),
        ("a*b*c*d*e*f", 0, "at most 4 '*'"),
        ("x\x1b[31m:1", 0, ""),
    ],
)
def test_a_bad_query_says_where_it_is_bad(query: str, position: int, told: str) -> None:
    if query.startswith("x\x1b"):
        # A sign that steers a terminal is a text as any other; named in a refusal it is not shown.
        read(query)
        with pytest.raises(Malformed) as refused:
            read("status:\x1b[31m")
        assert "\x1b" not in refused.value.detail
        return
    with pytest.raises(Malformed) as refused:
        read(query)

    assert refused.value.position == position
    assert told in refused.value.fields["q"]
    assert refused.value.fields["q"].startswith(f"at character {position + 1}: ")


def test_the_refusal_names_the_field_that_had_the_query() -> None:
    with pytest.raises(Malformed) as refused:
        parse_query("a)", name="query")

    assert set(refused.value.fields) == {"query"}
    assert refused.value.detail.startswith("query: ")


def test_a_query_has_limits() -> None:
    read("a " * MAX_CONDITIONS)
    read("-" * MAX_DEPTH + "a")
    read("id:*a*b*c* -id:x*y*z*w* role:* model:* tag:*")
    for query, told in (
        ("a " * (MAX_CONDITIONS + 1), "at most 32 conditions"),
        ("-" * (MAX_DEPTH + 1) + "a", "at most 8 deep"),
        ("(" * 500, "at most 8 deep"),
        ("a" * (MAX_CHARACTERS + 1), "at most 1024 characters"),
        ("a*b*c* d*e*f* (id:g*h* OR i*)", "at character 27: a query has at most 8"),
    ):
        with pytest.raises(Malformed, match=told):
            read(query)


@given(
    st.text(alphabet=st.sampled_from(' ()-"\\*:=<>!ORANDT.a1status:lastSeen<7d'), max_size=40) | st.text(max_size=40)
)
def test_any_text_is_a_query_or_is_refused_at_one_of_its_characters(query: str) -> None:
    positions: list[int | None] = [0]
    try:
        read(query)
    except Malformed as refused:
        positions.append(refused.position)

    assert all(position is not None and 0 <= position <= len(query) for position in positions)


@given(st.text(max_size=40).filter(lambda told: told.strip() != ""))
def test_any_text_can_be_looked_for_in_quotes(told: str) -> None:
    quoted = told.replace("\\", "\\\\").replace('"', '\\"')

    assert read(f'"{quoted}"') == text(told)
