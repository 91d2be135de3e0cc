"""The running hub: its parts, its broker as a device meets it, and its NATS server."""

import asyncio
import uuid

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import StreamState

from functions.adapters.layout import BUCKETS, STREAMS, TRAILS
from functions.domain.faults import Unavailable
from infra.doctor.finding import Finding, Patient
from infra.problem import Problem
from infra.settings import Address
from infra.simulator.joining import Broker
from infra.simulator.session import Session
from infra.stack import readiness

_START = "Start it with 'devicehub up'."
_LOOK = "'devicehub logs {part}' may say why; 'devicehub down' and 'devicehub up' start everything again."
_SECONDS = 5.0


async def parts(patient: Patient) -> list[Finding]:
    """Whether every part runs and answers."""
    if patient.node is None:
        return [Finding.wrong(f"There is no hub in {patient.paths.data} yet.", _START)]
    if patient.report is None:
        return [Finding.wrong(f"The hub in {patient.paths.data} is not running.", _START)]
    found = [
        Finding.wrong(f"{one.name} is {one.state}, but not ready.", _LOOK.format(part=one.part))
        for one in patient.report.processes
        if one.name not in patient.report.ready
    ]
    if found:
        return found
    names = ", ".join(one.name for one in patient.report.processes)
    return [Finding(f"Ready: {names}")]


async def broker(patient: Patient) -> list[Finding]:
    """Whether a claim certificate opens a session: handshake, revocation list and user name all hold."""
    if patient.report is None or patient.node is None:
        return []
    folder = patient.paths.default_claim
    if not folder.exists():
        # Whoever took the bundle away knows why.
        return []
    address = Address.parse(patient.node.mqtt_listen).reach
    try:
        asked = Broker.of_bundle(folder, host=patient.node.mqtt_host, port=address.port)
        # On a thread of its own: the handshakes before, in which the broker refused who showed no certificate,
        # can leave an error in this thread's OpenSSL queue, which the next reader would take for its own.
        await asyncio.to_thread(asyncio.run, _open_session(asked))
    except Problem as problem:
        return [Finding.of(problem)]
    except Unavailable as fault:
        what = f"A device cannot connect to {patient.node.mqtt_host}:{address.port}. {fault.detail}"
        return [Finding.wrong(what, "'devicehub logs mosquitto' says how the broker saw it.")]
    return [Finding(f"A claim certificate opens a session at {patient.node.mqtt_host}:{address.port}")]


async def storage(patient: Patient) -> list[Finding]:
    """Whether the NATS server takes the hub's users, and has its buckets and streams."""
    if patient.report is None or patient.node is None:
        return []
    if patient.report.trouble:
        return [Finding.wrong(patient.report.trouble, "'devicehub logs nats' may say why.")]
    wanted = {f"KV_{name}" for bucket in BUCKETS.values() for name in bucket.names}
    wanted |= {f"{stream.name}-{number}" for stream in STREAMS.values() for number in range(stream.shards)}
    wanted |= {trail.name for trail in TRAILS.values()}
    try:
        password = patient.paths.nats_password("admin").read_text(encoding="ascii").strip()
        async with readiness.bus_connection(patient.node.nats_url, "admin", password) as client:
            streams = await _streams(client)
    except Problem as problem:
        return [Finding.wrong(problem.what, problem.mend or "'devicehub logs nats' may say why.")]
    except (TimeoutError, OSError, UnicodeDecodeError, nats.errors.Error, nats.js.errors.APIError) as problem:
        mend = "'devicehub logs nats' may say why."
        return [Finding.wrong(f"The NATS server does not tell of its storage: {problem!r}.", mend)]
    if missing := sorted(wanted - streams.keys()):
        mend = "Start the hub again with 'devicehub up', which makes what is missing, or restore a backup."
        return [Finding.wrong(f"The NATS server lacks {', '.join(missing)}.", mend)]
    size = sum(state.bytes for name, state in streams.items() if name in wanted)
    return [
        Finding(f"NATS at {patient.node.nats_url} takes the hub's users"),
        Finding(f"{len(wanted)} buckets and streams hold {size / 2**20:.1f} MiB"),
    ]


async def _open_session(broker: Broker) -> None:
    session = await Session.open(broker.for_claimers, str(uuid.uuid4()), _ignore)
    await session.close()


async def _streams(client: Client) -> dict[str, StreamState]:
    """Every stream by its name; the server lists them in pages."""
    context = client.jetstream(timeout=_SECONDS)
    found: dict[str, StreamState] = {}
    while page := await context.streams_info(offset=len(found)):
        found |= {str(info.config.name): info.state for info in page}
    return found


def _ignore(_topic: str, _payload: bytes) -> None:
    """Nothing is subscribed to."""
