"""Buckets and streams are made once, as the layout says, and never reshaped behind anyone's back."""

from dataclasses import replace

import pytest
from nats.aio.client import Client
from nats.js.api import RetentionPolicy, StorageType, StreamConfig, StreamInfo

from functions.adapters import layout, preparing
from functions.adapters.layout import BUCKETS, STREAMS, TRAILS, Bucket, Stream
from functions.adapters.preparing import LayoutError
from functions.checks import half
from functions.domain.devices import Device
from functions.domain.faults import Unavailable
from functions.domain.twins import Half
from functions.testing import START, refused
from tests.integration.nats_server import NatsServer, until_disconnected

SMALL = Bucket("small", Half, shards=2, history=4)
LOG = Stream("log", shards=2, max_age_seconds=600.0, max_bytes=1_000_000)


async def streams_of(admin: Client) -> dict[str | None, StreamInfo]:
    return {info.config.name: info for info in await admin.jetstream().streams_info()}


async def test_everything_the_hub_keeps_is_made(admin: Client, functions: Client) -> None:
    await preparing.prepare(admin)

    made = await streams_of(admin)
    buckets = sum(bucket.shards for bucket in BUCKETS.values())
    streams = sum(stream.shards for stream in STREAMS.values())
    assert len(made) == buckets + streams + len(TRAILS)
    desired, devices, telemetry = (
        made[name].config for name in ("KV_hub-desired-7", "KV_hub-devices-3", "telemetry-3")
    )
    assert (desired.max_msgs_per_subject, devices.max_msgs_per_subject) == (80, 1)
    assert (telemetry.max_age, telemetry.max_bytes) == (7 * 24 * 3600, 2 * 1024**3)
    for info in made.values():
        assert (info.config.storage, info.config.retention) == (StorageType.FILE, RetentionPolicy.LIMITS)
        assert info.config.allow_direct
    assert {info.config.max_age for name, info in made.items() if str(name).startswith("KV_")} == {0}
    stores = layout.open_stores(functions)
    assert set(stores) == set(BUCKETS)
    await stores["devices"].create("EDGB-0001", Device("EDGB-0001", START, START))


async def test_preparing_again_leaves_everything_as_it_was(admin: Client, functions: Client) -> None:
    await preparing.prepare(admin)
    store = layout.open_stores(functions)["desired"]
    await store.create("D1", half(1))
    before = await streams_of(admin)

    await preparing.prepare(admin)

    kept = await store.get("D1")
    assert kept is not None
    assert kept.value == half(1)
    assert {name: info.config for name, info in before.items()} == {
        name: info.config for name, info in (await streams_of(admin)).items()
    }


async def test_what_is_missing_is_added_to_what_is_there(admin: Client) -> None:
    await preparing.prepare(admin, buckets=(SMALL,), streams=())

    await preparing.prepare(admin, buckets=(SMALL, replace(SMALL, name="other")), streams=(LOG,))

    assert set(await streams_of(admin)) == {
        "KV_small-0", "KV_small-1", "KV_other-0", "KV_other-1", "log-0", "log-1",
    }  # fmt: skip


async def test_wider_limits_are_set_on_what_is_there(admin: Client) -> None:
    await preparing.prepare(admin, buckets=(SMALL,), streams=(LOG,))

    await preparing.prepare(
        admin,
        buckets=(replace(SMALL, history=8, limit_bytes=500_000),),
        streams=(replace(LOG, max_bytes=2_000_000, max_age_seconds=1200.0),),
    )

    made = await streams_of(admin)
    assert made["KV_small-1"].config.max_msgs_per_subject == 8
    assert (made["KV_small-1"].config.max_msg_size or 0) > 500_000
    assert (made["log-1"].config.max_bytes, made["log-1"].config.max_age) == (2_000_000, 1200)


@pytest.mark.parametrize("shards", [1, 3, 4])
async def test_another_number_of_shards_is_refused(admin: Client, shards: int) -> None:
    await preparing.prepare(admin, buckets=(SMALL,), streams=())
    before = set(await streams_of(admin))

    with pytest.raises(LayoutError, match=rf"had 2 shards; this version has {shards}"):
        await preparing.prepare(admin, buckets=(replace(SMALL, shards=shards),), streams=())

    assert set(await streams_of(admin)) == before


async def test_a_shorter_history_is_refused(admin: Client) -> None:
    """It would be cut at once."""
    await preparing.prepare(admin, buckets=(SMALL,), streams=())

    with pytest.raises(LayoutError, match="keeps 4 revisions of a key; this version would drop all but 2"):
        await preparing.prepare(admin, buckets=(replace(SMALL, history=2),), streams=())


async def test_a_stream_of_somebody_else_is_left_alone(admin: Client) -> None:
    await admin.jetstream().add_stream(StreamConfig(name="KV_small-0", subjects=["theirs.>"]))

    with pytest.raises(LayoutError, match="'KV_small-0' that this hub did not make"):
        await preparing.prepare(admin, buckets=(SMALL,), streams=())


async def test_subjects_taken_by_another_stream_are_told(admin: Client) -> None:
    await admin.jetstream().add_stream(StreamConfig(name="theirs", subjects=["devicehub.stored.>"]))

    with pytest.raises(LayoutError, match="subjects overlap"):
        await preparing.prepare(admin, buckets=(), streams=(LOG,))


async def test_a_server_without_room_is_told(admin: Client) -> None:
    with pytest.raises(LayoutError, match="insufficient storage"):
        await preparing.prepare(admin, buckets=(), streams=(replace(LOG, max_bytes=2**50),))


async def test_a_server_that_is_away_is_unavailable(admin: Client, nats_server: NatsServer) -> None:
    nats_server.kill()
    await until_disconnected(admin)

    with refused(Unavailable):
        await preparing.prepare(admin)


def test_the_room_the_streams_take_is_what_the_layout_says() -> None:
    assert sum(stream.shards * stream.max_bytes for stream in STREAMS.values()) == 9 * 1024**3
    assert sum(trail.max_bytes for trail in TRAILS.values()) == 3 * 1024**3 + 128 * 1024**2
