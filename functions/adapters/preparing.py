"""Making the hub's buckets and streams on a server, or setting their limits, as the admin user."""

from collections.abc import Iterable, Mapping

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import StreamConfig

from functions.adapters.durable import require_connection
from functions.adapters.layout import BUCKETS, MADE_AS, SHARDS_OF, STREAMS, TRAILS, AuditTrail, Bucket, Stream
from functions.domain.faults import Unavailable

_PREPARE_SECONDS = 10.0

# What may be set anew on an existing stream.
_SETTINGS = (
    "max_msgs_per_subject",
    "max_msg_size",
    "max_age",
    "max_bytes",
    "max_msgs",
    "discard",
    "allow_rollup_hdrs",
    "allow_direct",
    "allow_atomic",
    "deny_delete",
    "deny_purge",
    "duplicate_window",
    "num_replicas",
)


class LayoutError(Exception):
    """The server's buckets or streams are not, and cannot become, what this version works on."""


async def prepare(
    client: Client,
    *,
    replicas: int = 1,
    buckets: Iterable[Bucket] = tuple(BUCKETS.values()),
    streams: Iterable[Stream | AuditTrail] = (*STREAMS.values(), *TRAILS.values()),
) -> None:
    """Make the buckets and streams that are missing, and set the limits of those that are there.

    What they hold stays as it is; a second run changes nothing.

    Args:
        client: a connection of the admin user.
        replicas: 1 on one server, 3 in a cluster.
        buckets: what to keep, the hub's own unless a test has less.
        streams: likewise.

    Raises:
        LayoutError: something there has another shape, or the server has no room.
        Unavailable: the server did not answer.
    """
    wanted = [config for bucket in buckets for config in bucket.configs(replicas)]
    wanted += [config for stream in streams for config in stream.configs(replicas)]
    require_connection(client)
    context = client.jetstream(timeout=_PREPARE_SECONDS)
    try:
        found = await _existing(context)
        _check_shards(wanted, found)
        for config in wanted:
            await _make(context, config, found.get(str(config.name)))
    except nats.js.errors.APIError as problem:
        raise LayoutError(f"The NATS server refused to make the hub's storage: {problem.description}.") from problem
    except (nats.errors.Error, OSError) as problem:
        raise Unavailable(detail="The NATS server did not answer while its storage was prepared.") from problem


async def _existing(context: JetStreamContext) -> dict[str, StreamConfig]:
    found: dict[str, StreamConfig] = {}
    while page := await context.streams_info(offset=len(found)):
        found |= {str(info.config.name): info.config for info in page}
    return found


def _check_shards(wanted: Iterable[StreamConfig], found: Mapping[str, StreamConfig]) -> None:
    """Refuse shards of another number: keys would be looked for where they are not."""
    shards = {(config.metadata or {})[MADE_AS]: (config.metadata or {})[SHARDS_OF] for config in wanted}
    for name, config in found.items():
        told = config.metadata or {}
        base = told.get(MADE_AS)
        if base in shards and told.get(SHARDS_OF) != shards[base]:
            raise LayoutError(
                f"'{name}' was made when '{base}' had {told.get(SHARDS_OF)} shards; this version has {shards[base]}."
                " Run the version that made it, or move its data first."
            )


async def _make(context: JetStreamContext, wanted: StreamConfig, found: StreamConfig | None) -> None:
    if found is None:
        await context.add_stream(wanted)
        return
    if (found.metadata or {}).get(MADE_AS) != (wanted.metadata or {})[MADE_AS]:
        raise LayoutError(f"The server has a stream '{wanted.name}' that this hub did not make.")
    if (found.storage, found.retention, found.subjects) != (wanted.storage, wanted.retention, wanted.subjects):
        raise LayoutError(f"The stream '{wanted.name}' keeps other subjects, or keeps them otherwise, than the hub's.")
    if found.max_msgs_per_subject > wanted.max_msgs_per_subject > 0:
        raise LayoutError(
            f"'{wanted.name}' keeps {found.max_msgs_per_subject} revisions of a key; this version would drop all but"
            f" {wanted.max_msgs_per_subject}."
        )
    merged = found.evolve(**{name: getattr(wanted, name) for name in _SETTINGS})
    if merged != found:
        await context.update_stream(merged)
