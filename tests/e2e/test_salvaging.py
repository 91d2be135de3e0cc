"""A record that cannot be read, on the whole stack: others are revoked as ever, and it is told until it is mended."""

import asyncio
import time
from pathlib import Path

from cryptography import x509

from tests.e2e.rig import RunningHub
from tests.e2e.test_ca import connects
from tests.e2e.test_claims import wait_for

CUT_SECONDS = 2.0


def put(hub: RunningHub, subject: str, value: bytes) -> None:
    """Write into a bucket past the hub."""

    async def write() -> None:
        _, client = await hub.bus("admin")
        await client.jetstream().publish(subject, value)
        await client.close()

    asyncio.run(write())


def alarms(hub: RunningHub) -> list[str]:
    return [one["subject"] for one in hub.json("alarms") if one["kind"] == "record-unreadable"]


def serial_of(certificate: Path) -> str:
    return f"{x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number:x}"


def test_a_spoiled_revocation_holds_stops_no_other_and_is_mended_by_revoking_again(
    own_hub: RunningHub, tmp_path: Path
) -> None:
    hub = own_hub
    first, second = (hub.device(name, tmp_path / name) for name in ("pump-0001", "pump-0002"))
    serial = serial_of(first.certificate)
    hub.cli("device", "revoke", first.name)
    wait_for(lambda: not connects(hub, first), seconds=5)

    put(hub, f"$KV.hub-revoked.{serial}", b'{"common_name": 7')
    listener = hub.listen(second, f"$devicehub/devices/{second.name}/twin/update/delta", wait=30)
    try:
        hub.cli("device", "revoke", second.name)
        revoked = time.monotonic()

        assert listener.next() is None, "the session goes on"
    finally:
        listener.close()
    assert time.monotonic() - revoked < CUT_SECONDS
    assert not connects(hub, second)
    assert not connects(hub, first), "what cannot be read has been let in again"
    wait_for(lambda: alarms(hub) == ["revocations"], seconds=10)

    hub.cli("certificate", "revoke", serial)

    wait_for(lambda: alarms(hub) == [], seconds=10)
    assert not connects(hub, first)
