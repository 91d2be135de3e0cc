"""Log lines are read as the broker meant them, whatever a client calls itself."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.broker.lines import (
    Connected,
    Dropping,
    Ended,
    ReloadFailed,
    Reloading,
    Running,
    Saving,
    SavingFailed,
    Unreadable,
    parse,
)

AT = datetime(2026, 11, 22, 5, 53, 15, tzinfo=UTC)
STAMP = str(int(AT.timestamp()))

# Mosquitto refuses ids with control characters and what is not UTF-8; all else is taken.
client_ids = st.one_of(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60),
    st.lists(
        st.sampled_from(
            [
                "EDGB-0002",
                " (p2, c1, k60, u'EDGB-0002').",
                " disconnected",
                " disconnected.",
                " closed its connection",
                ": ",
                " as ",
                "New client connected from 1.2.3.4:5 as ",
                "Client ",
                " been disconnected by administrative action",
                " has exceeded timeout, disconnecting",
                " disconnected due to protocol error",
                "\u2028",
                "u'",
                "')",
                "'",
            ]
        ),
        min_size=1,
        max_size=6,
    ).map("".join),
    st.text("x \N{LATIN SMALL LETTER U WITH DIAERESIS}", min_size=800, max_size=1100),
)
common_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{3,63}", fullmatch=True)
endings = st.sampled_from(
    [
        (" disconnected.", "disconnected"),
        (" closed its connection.", "disconnected"),
        (" has exceeded timeout, disconnecting.", "timeout"),
        (" been disconnected by administrative action.", "ended"),
        (" disconnected due to protocol error.", "disconnected"),
        (" disconnected due to QoS too high or retain not supported.", "disconnected"),
        (" disconnected, not authorised.", "disconnected"),
        (" disconnected: Protocol error.", "disconnected"),
        (" disconnected: The connection was lost..", "disconnected"),
    ]
)


def line(text: str) -> bytes:
    """As Mosquitto writes it: cut at 999 bytes, in the middle of a character if need be."""
    return f"{STAMP}: {text}".encode()[:999]


def notice(payload: bytes) -> object:
    return parse("N", payload)


@given(client_id=client_ids, common_name=common_names, kind=st.sampled_from(["client", "bridge"]))
@example("EDGB-0002 (p2, c1, k60, u'EDGB-0002').", "EDGB-0001", "client")
@example("x" * (999 - 55 - 29) + " (p2, c1, k60, u'EDGB-0002').", "EDGB-0001", "client")
@example("<unknown>", "EDGB-0001", "client")
def test_a_connect_line_gives_exactly_the_client_or_an_alarm(client_id: str, common_name: str, kind: str) -> None:
    text = f"New {kind} connected from 127.0.0.1:45711 as {client_id} (p2, c1, k60, u'{common_name}')."

    told = notice(line(text))

    if isinstance(told, Unreadable):
        assert len(line(text)) == 999 or client_id == "<unknown>"
    else:
        assert told == Connected(AT, client_id, common_name, "127.0.0.1:45711")


def test_a_forged_ending_that_stands_where_the_line_is_cut_is_an_alarm() -> None:
    begin = "New client connected from 127.0.0.1:45711 as "
    forged = " (p2, c1, k60, u'EDGB-0002')."
    room = 999 - len(f"{STAMP}: {begin}{forged}")

    cut = line(f"{begin}{'x' * room}{forged} (p2, c1, k60, u'EDGB-0001').")

    assert cut.endswith(b"u'EDGB-0002').")
    assert isinstance(notice(cut), Unreadable)


@given(client_id=client_ids, ending=endings)
@example("EDGB-0002 disconnected", (" disconnected.", "disconnected"))
@example("<unknown>", (" disconnected.", "disconnected"))
def test_an_end_is_that_of_exactly_the_client_or_of_none(client_id: str, ending: tuple[str, str]) -> None:
    suffix, evidence = ending

    told = notice(line(f"Client {client_id}{suffix}"))

    if told is None:
        assert len(line(f"Client {client_id}{suffix}")) == 999 or client_id == "<unknown>"
    else:
        assert told == Ended(AT, client_id, evidence)


@given(client_id=client_ids)
@example("EDGB-0002 disconnected:")
def test_no_other_line_about_a_client_is_an_end_or_a_beginning(client_id: str) -> None:
    assert notice(line(f"Bad client {client_id} sending multiple CONNECT messages.")) is None
    for level in "EI":
        assert parse(level, line(f"Client {client_id} already connected, closing old connection.")) is None
        assert parse(level, line(f"Client {client_id} disconnected.")) is None
    told = notice(line(f"Outgoing messages are being dropped for client {client_id}."))
    assert told is None or told == Dropping(AT, client_id)


@given(st.binary(max_size=1100))
def test_any_bytes_are_a_line_or_nothing(payload: bytes) -> None:
    for level in "NEIW":
        parse(level, payload)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("New connection from 127.0.0.1:45711 on port 8883.", None),
        ("Client connection from 127.0.0.1 failed: error:0A000086:SSL routines::certificate verify failed.", None),
        ("Client <unknown> disconnected: Protocol error.", None),
        ("Client <unknown> closed its connection.", None),
        ("OpenSSL Error[0]: error:0A000126:SSL routines::unexpected eof while reading", None),
        ("dynsec: 0123/@bridge | deleteClient | username=EDGB-0001", None),
        ("Bad socket read/write on client EDGB-0001: Invalid arguments", Ended(AT, "EDGB-0001", "disconnected")),
        ("mosquitto version 2.0.11 running", None),
        ("Reloading config.", None),
        ('Error: Unable to load certificate revocation file "/data/crl.pem". Check crlfile.', None),
    ],
)
def test_notices_that_are_not_of_a_client_are_nothing(text: str, told: object) -> None:
    assert notice(line(text)) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mosquitto version 2.0.11 running", Running(AT)),
        ("Reloading config.", Reloading(AT)),
        ("Saving in-memory database to /var/lib/mosquitto/mosquitto.db.", Saving(AT)),
        ("dynsec: 0123/@bridge | deleteClient | username=EDGB-0001", None),
    ],
)
def test_what_the_broker_does_is_told(text: str, told: object) -> None:
    assert parse("I", line(text)) == told


@pytest.mark.parametrize(
    "text",
    [
        'Error: Unable to load certificate revocation file "/data/crl.pem". Check crlfile.',
        "Error when reloading certificate '/data/server.crt' or key '/data/server.key'.",
    ],
)
def test_a_failed_reload_is_told(text: str) -> None:
    assert parse("E", line(text)) == ReloadFailed(AT, text)


def test_a_failed_save_is_told() -> None:
    text = "Error saving in-memory database, unable to open /data/mosquitto.db.new for writing."

    assert parse("I", line(text)) == SavingFailed(AT, text)


def test_a_socket_path_with_blanks_is_an_address() -> None:
    told = notice(line("New client connected from /my hub/bridge.sock:0 as 00ff (p5, c0, k0, u'@bridge')."))

    assert told == Connected(AT, "00ff", "@bridge", "/my hub/bridge.sock:0")


def test_a_client_without_a_name_is_an_alarm() -> None:
    assert isinstance(notice(line("New client connected from 127.0.0.1:4 as EDGB-0001 (p2, c1, k60).")), Unreadable)
