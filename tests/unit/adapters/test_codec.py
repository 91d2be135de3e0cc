"""Every value that a store keeps survives being stored."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticSerializationError

from functions.adapters.codec import Codec, Undecodable, check_key, shard_of
from functions.adapters.layout import BUCKETS
from functions.domain.alarms import Alarm, Severity
from functions.domain.ca import Trust, Trusted
from functions.domain.certificates import Certificate, Purpose
from functions.domain.credentials import Credentials
from functions.domain.devices import Device, Lifecycle, Suspension
from functions.domain.enrolment import Claim, ClaimCertificate, Enrolment, Reservation, Whitelisted
from functions.domain.faults import Malformed, Reason
from functions.domain.groups import Group
from functions.domain.intents import Intent, Moved, Operation, Phase
from functions.domain.jobs import Asker, Item, ItemState, Job, JobKind, JobState, Part, Place, Tally
from functions.domain.logins import LoginFailures, SetupCode, UserSession
from functions.domain.marks import BridgeStart, Mark, Revocations, Revoked
from functions.domain.methods import CallQueue, QueuedCall
from functions.domain.order import Order
from functions.domain.presence import BrokerRestart, Darkness, Doubt, Flapping
from functions.domain.records import RecordPatch
from functions.domain.roles import UserRole
from functions.domain.server_settings import ServerSettings
from functions.domain.sessions import Presence, Session, Takeover
from functions.domain.tokens import Token
from functions.domain.twins import Half
from functions.domain.users import User

AT = datetime(2026, 11, 23, 10, 42, 12, 123456, tzinfo=UTC)

EVERY_TYPE: tuple[Any, ...] = (
    Alarm("clock-skew", "local", Severity.WARNING, "2 s ahead", AT, AT, 3, 2, AT, "user:anna"),
    Device("EDGB-0001", AT, AT),
    Device(
        "EDGB-0001", AT, AT, Lifecycle.RETIRED, "ab" * 32, "0f", "Tür 1", "gate", ("a", "b"), {"k": "v"}, "n", "m", "f",
        {"deep": [1, {"x": None}]}, "ab" * 32, AT, "EDGB-0002", "EDGB-0003", "00ff",
    ),
    Half(),
    Half(2**53, {"a": {"b": [1, 1.0, -0.0, 1e300, 2**70, "\x00\u2028😀", None, True, {}, []]}}, {"a": {"b": 1}}, AT,
         "device:EDGB-0001", Order("local-control", 1, 2), "00"),
    Presence(True, AT, "connected", "127.0.0.1:1"),
    Suspension(AT, "user:anna", holds=True),
    Session("client / 1", "EDGB-0001", "127.0.0.1:1", AT, "local", (Takeover(AT, from_elsewhere=True),)),
    Reservation("EDGB-0001", None),
    Reservation("EDGB-0001", None, "gate", "00ff"),
    Intent(Operation.RETIRE, "EDGB-0001", AT, "user:anna"),
    Intent(
        Operation.SWAP, "EDGB-0001", AT, "user:anna", "call", "http:192.0.2.7", "07-ab", Phase.DECIDED,
        RecordPatch("Tür", "", ("a",), {"k": None, "l": "v"}, True, "n"), 7, "EDGB-0002", Device("EDGB-0001", AT, AT),
        Device("EDGB-0002", AT, AT), Moved("gate", ("a",), {"k": "v"}, {"x": {"y": [1, None]}}, {"x": {"y": 1}}),
    ),
    Claim("ab", "EDGB-0001", "first", AT, "csr", "0f", ("0e", "0d")),
    Certificate("0f", Purpose.DEVICE, "EDGB-0001", "ab", AT, AT, AT, "provision", "claim:first", "cd", "PEM\n", AT),
    ClaimCertificate("first", "0f", AT, AT, None, "v1:AAAA"),
    Whitelisted("ab", "4711", AT, "note", "rev B", "ACME", True, AT, None),
    Enrolment(True, AT, True, "first", "0f"),
    ServerSettings(),
    ServerSettings("hub.example", 8883, ("hub.lan", "::1"), 30, 40),
    Revoked("EDGB-0001", AT, AT),
    Revocations(3, "-----BEGIN X509 CRL-----\n", AT, AT),
    Trust("ab" * 32, (Trusted("ab" * 32, "PEM\n"), Trusted("cd" * 32, "PEM\n")), AT, "user:anna", True, False),
    BridgeStart(7),
    Mark(AT),
    Alarm("clock-skew", "the broker", Severity.WARNING, "By 3 s.", AT, AT, 2, 3, AT, "user:anna", AT),
    Token("dashboard", ("devices:read", "admin"), AT, AT, AT, None),
    User("Anna", UserRole.OPERATOR, "$argon2id$v=19$…", "ab", AT, AT, True, AT),
    UserSession("anna", "ab", AT, AT, "http:192.0.2.7"),
    LoginFailures(AT),
    SetupCode("ab" * 32, AT, True),
    Credentials("reports", ("devices:read", "admin"), ("north",), AT, AT, AT),
    Group("pumps", AT, AT, "model:P-200"),
    CallQueue((QueuedCall("r1", "open", {"deep": [1, None]}, "user:anna", AT, AT, AT),)),
    Flapping(AT),
    BrokerRestart(AT),
    Job("0a-01", JobKind.METHODS, {"payload": {"x": [1, None]}, "timeout": 30.0}, 250, Asker("app:a", "c", "x", ("s",)),
        AT, "reboot", 0.5, "0a-00", JobState.CANCELLING, Tally(1, 2, 3), AT, "user:anna", "ab", AT,
        "revoked"),
    Part((Item("gate"), Item("gate", ItemState.FAILED, "timeout", "Tür", 500, {"x": [None, 1.5]}, True, AT))),
    Place("0a-01", 3),
    Darkness(AT),
    Doubt(AT),
)  # fmt: skip


@pytest.mark.parametrize("value", EVERY_TYPE, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    codec = Codec(type(value))

    again = codec.decode(codec.encode(value))

    assert again == value
    assert type(again) is type(value)


def test_every_stored_type_is_among_those_tried() -> None:
    assert {bucket.kind for bucket in BUCKETS.values()} == {type(value) for value in EVERY_TYPE}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(doc=st.dictionaries(st.text(), JSON, max_size=5), at=st.datetimes(timezones=st.just(UTC)))
def test_any_document_comes_back_as_it_was(doc: dict[str, Any], at: datetime) -> None:
    half = Half(1, doc, doc, at)

    again = Codec(Half).decode(Codec(Half).encode(half))

    assert again == half
    # Equality alone would take 1 for 1.0 and for True.
    assert repr(again.doc) == repr(doc)


def test_a_time_keeps_its_instant_in_another_zone() -> None:
    at = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert Codec(Half).decode(Codec(Half).encode(Half(at=at))).at == AT


def test_a_value_over_the_limit_is_refused() -> None:
    codec = Codec(Half, limit_bytes=1000)

    with pytest.raises(Malformed) as refused:
        codec.encode(Half(doc={"text": "x" * 1000}))

    assert refused.value.reason is Reason.TOO_LARGE


def test_a_value_that_is_not_what_it_says_is_never_stored() -> None:
    with pytest.raises(PydanticSerializationError):
        Codec(Enrolment).encode(Enrolment(is_open="perhaps"))  # type: ignore[arg-type]


def test_a_record_of_an_older_or_newer_form_is_read() -> None:
    assert Codec(Enrolment).decode(b'{"is_open":true,"new_in_a_later_version":1}') == Enrolment(is_open=True)
    # From before a device's record told of its certificate more than the serial.
    first = b'{"id":"EDGB-0001","created_at":"2026-11-23T10:42:12.123456Z","updated_at":"2026-11-23T10:42:12.123456Z"'
    assert Codec(Device).decode(first + b',"certificate":"0f"}') == Device("EDGB-0001", AT, AT, certificate="0f")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"is_open":"perhaps"}', b'{"is_open":true,"open_until":"x"}'])
def test_what_is_no_value_is_told_without_its_content(data: bytes) -> None:
    with pytest.raises(Undecodable) as told:
        Codec(Enrolment).decode(data)

    assert "stored Enrolment" in str(told.value)
    assert "perhaps" not in str(told.value)
    assert told.value.__cause__ is None


def test_a_key_is_given_back() -> None:
    assert check_key("EDGB-0001") == "EDGB-0001"


@given(key=st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True), shards=st.integers(1, 64))
def test_a_key_has_one_shard(key: str, shards: int) -> None:
    assert 0 <= shard_of(key, shards) < shards
    assert shard_of(key, shards) == shard_of(key, shards)


def test_the_shard_of_a_key_never_changes() -> None:
    """Another function would look for what is stored where it is not: CRC-32, by its published check value."""
    assert shard_of("123456789", 2**32) == 0xCBF43926
    assert shard_of("123456789", 8) == 6
