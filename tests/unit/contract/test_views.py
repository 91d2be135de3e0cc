"""Devices as everyone sees them, whole and in parts, and pages joined and split again."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.contract.messages import DevicePage
from functions.contract.views import (
    join_page,
    presence_part,
    presence_values,
    record_part,
    record_values,
    split_page,
    traits_part,
    twin_part,
    view,
)
from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Unavailable
from functions.domain.sessions import Presence

NOW = datetime(2035, 1, 1, 12, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
TIMES = st.integers(0, 10**15).map(lambda microseconds: NOW + timedelta(microseconds=microseconds))
DEVICES = st.builds(
    Device,
    id=st.just("EDGB-0001"),
    created_at=TIMES,
    updated_at=TIMES,
    lifecycle=st.sampled_from(Lifecycle),
    certificate=st.none() | st.just("0a1b"),
    fingerprint=st.none() | st.just("ff" * 32),
    not_after=st.none() | TIMES,
    name=TEXT,
    role=st.none() | TEXT,
    groups=st.lists(TEXT, max_size=3).map(tuple),
    tags=st.dictionaries(TEXT, TEXT, max_size=3),
    model=TEXT,
    firmware=TEXT,
    metadata=st.dictionaries(TEXT, JSON, max_size=3),
)
PRESENCES = st.none() | st.builds(
    Presence, online=st.booleans(), at=TIMES, evidence=st.sampled_from(["connected", "timeout"]), address=TEXT
)


def whole(device: Device, presence: Presence | None, *, in_sync: bool = True) -> bytes:
    metadata = json.dumps(device.metadata).encode()
    traits = traits_part(device.model, device.firmware, metadata)
    record = record_part(record_values(device))
    seen = presence_part(b"" if presence is None else presence_values(presence))
    return record + traits + seen + twin_part(in_sync)


@given(DEVICES, PRESENCES)
def test_the_parts_are_the_whole_view(device: Device, presence: Presence | None) -> None:
    for in_sync in (True, False):
        parts = whole(device, presence, in_sync=in_sync)

        assert json.loads(parts) == json.loads(view(device, presence, in_sync=in_sync).encode())


@given(st.lists(st.tuples(DEVICES, PRESENCES), max_size=3), st.integers(0, 10**9))
def test_a_page_of_parts_is_read_as_the_message(found: list[tuple[Device, Presence | None]], total: int) -> None:
    page = join_page([whole(device, presence) for device, presence in found], total)

    read = DevicePage.model_validate_json(page)

    assert read.total == total
    assert [json.loads(one.encode()) for one in read.devices] == [
        json.loads(view(device, presence).encode()) for device, presence in found
    ]


@given(st.lists(st.tuples(DEVICES, PRESENCES), max_size=3), st.integers(0, 10**9))
def test_a_page_is_split_without_being_read(found: list[tuple[Device, Presence | None]], total: int) -> None:
    page = join_page([whole(device, presence) for device, presence in found], total)

    many, devices = split_page(page)

    assert many == total
    assert json.loads(devices) == json.loads(page)["devices"]


@pytest.mark.parametrize(
    "page", [b"", b"{}", b"[]", b'{"total":1}', b'{"devices":[],"total":1}', b'{"total":x,"devices":[]}',
             b'{"total":1,"devices":[', b'{"total":,"devices":[]}', b'{"total":-1,"devices":[]}']
)  # fmt: skip
def test_what_is_no_page_is_not_split(page: bytes) -> None:
    with pytest.raises(Unavailable):
        split_page(page)


def test_a_device_without_certificate_shows_none_whatever_its_record_had() -> None:
    device = Device("EDGB-0001", NOW, NOW, fingerprint="ff" * 32, not_after=NOW)

    assert view(device, None).certificate is None
