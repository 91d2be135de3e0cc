"""One device cannot speak or listen for another, whatever it calls itself."""

import asyncio
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.devices import Device
from tests.e2e.rig import Identity, RunningHub, make_csr, until

WRITTEN = (
    "twin/get",
    "twin/update",
    "twin/update/accepted",
    "twin/update/delta",
    "telemetry",
    "events/alarm",
    "messages/events",
    "messages/devicebound",
    "heartbeat",
    "status",
    "methods/reboot/request",
    "methods/reboot/response",
    "certificates/renew",
    "provision/request",
    "provision/accepted",
)


@pytest.fixture
def pair(hub: RunningHub, tmp_path: Path) -> tuple[Identity, Identity]:
    one, other = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("thief", "victim"))
    return hub.device(one, tmp_path / one), hub.device(other, tmp_path / other)


async def overheard(hub: RunningHub, victim: str, deeds: Any) -> list[str]:
    """The subjects of the victim that carried anything while the deeds were done, but for its presence."""
    heard: list[str] = []
    _, client = await hub.bus("admin")

    async def note(message: Any) -> None:
        heard.append(message.subject)

    await client.subscribe(f"devicehub.devices.{victim}.>", cb=note)
    await client.flush()
    await asyncio.to_thread(deeds)
    await client.flush()
    await client.close()
    return [subject for subject in heard if not subject.endswith(".presence")]


async def test_no_topic_of_another_can_be_written(hub: RunningHub, pair: tuple[Identity, Identity]) -> None:
    thief, victim = pair
    device = Device(hub, thief).start("twin/update/accepted")

    def deeds() -> None:
        for rest in WRITTEN:
            device.send(f"$devicehub/devices/{victim.name}/{rest}", {"reported": {"stolen": True}})
        # An answer to a message sent after them: the bridge has seen all that the broker let through.
        device.update({"done": True}, "last")

    try:
        assert await overheard(hub, victim.name, deeds) == []
    finally:
        device.stop()
    assert hub.json("twin", "get", victim.name)["reported"] == {}


async def test_no_topic_of_another_can_be_read(hub: RunningHub, pair: tuple[Identity, Identity]) -> None:
    thief, victim = pair
    spy = Device(hub, thief, clean=True).start(
        f"$devicehub/devices/{victim.name}/#",
        "$devicehub/devices/+/twin/update/accepted",
        "$devicehub/#",
        "#",
        "$SYS/#",
    )
    device = Device(hub, victim, clean=True).start("twin/update/accepted")
    try:
        await asyncio.to_thread(device.update, {"secret": 1}, "t1")
        own = await asyncio.to_thread(spy.update, {"own": 1}, "t2")
        assert own["clientToken"] == "t2"
        seen = [topic for topic, _ in list(spy.messages.queue) if victim.name in topic or topic.startswith("$SYS")]
        assert seen == []
    finally:
        spy.stop()
        device.stop()


@pytest.mark.parametrize("client_id", ["+", "#", "a+b", "$SYS/#"])
def test_no_client_id_kills_the_broker(hub: RunningHub, pair: tuple[Identity, Identity], client_id: str) -> None:
    """Mosquitto 2.0.11 logs each delivery that it denies to such a client, and died where the log was a topic."""
    before = [process.pid for process in hub.processes("mosquitto")]

    for who in (pair[0], hub.claim):
        listener = hub.listen(who, "$SYS/#", "$SYS/broker/log/N", "#", client_id=client_id, wait=2)
        hub.publish(pair[1], f"$devicehub/devices/{pair[1].name}/status", "{}")
        assert listener.next() is None
        listener.close()

    assert [process.pid for process in hub.processes("mosquitto")] == before


async def test_a_session_under_anothers_client_id_is_ended(hub: RunningHub, pair: tuple[Identity, Identity]) -> None:
    thief, victim = pair
    imposter = Device(hub, thief, client_id=victim.name, clean=True)
    try:
        imposter.start()
        assert await asyncio.to_thread(imposter.ended.wait, 10), "the session was not ended"

        async def told() -> dict[str, Any] | None:
            listed = await asyncio.to_thread(hub.json, "alarms")
            about = [one for one in listed if (one["kind"], one["subject"]) == ("foreign-client-id", thief.name)]
            return about[0] if about else None

        alarm = await until(told)
    finally:
        imposter.stop()
    assert alarm is not None
    assert f"The client id is '{victim.name}'." in alarm["text"]


async def test_a_device_cannot_ask_for_the_certificate_of_another(
    hub: RunningHub, pair: tuple[Identity, Identity], tmp_path: Path
) -> None:
    thief, victim = pair
    hub.cli("enrolment", "open", "--minutes", "5")
    before = hub.json("device", "show", victim.name)["certificate"]["serial"]
    _, csr = make_csr(tmp_path, victim.name)
    imposter = Device(hub, thief, client_id=victim.name, clean=True)

    def deeds() -> None:
        imposter.start()
        imposter.send(f"$devicehub/devices/{victim.name}/provision/request", {"csrPem": csr})
        imposter.ended.wait(10)

    try:
        heard = await overheard(hub, victim.name, deeds)
    finally:
        imposter.stop()
    assert not [subject for subject in heard if "provision" in subject]
    assert hub.json("device", "show", victim.name)["certificate"]["serial"] == before


def test_a_foreign_certificate_is_not_let_in(hub: RunningHub, tmp_path: Path) -> None:
    key, csr = make_csr(tmp_path, "foreign-1")
    done = subprocess.run(
        ["openssl", "req", "-x509", "-key", str(key), "-subj", "/CN=foreign-1", "-days", "2"],
        capture_output=True,
        text=True,
        check=True,
    )
    certificate = tmp_path / "foreign-1.crt"
    certificate.write_text(done.stdout)
    assert csr

    status = hub.publish(
        Identity("foreign-1", hub.claim.ca, certificate, key), "$devicehub/devices/foreign-1/status", "{}"
    )

    assert status != 0


def test_a_revoked_device_is_cut_off_and_stays_out(hub: RunningHub, tmp_path: Path) -> None:
    who = hub.device(f"revoked-{uuid.uuid4().hex[:8]}", tmp_path)
    device = Device(hub, who, clean=True).start("twin/update/accepted")
    try:
        hub.cli("device", "revoke", who.name)
        assert device.ended.wait(5), "the open session was not ended"
    finally:
        device.stop()

    assert hub.publish(who, f"$devicehub/devices/{who.name}/status", "{}") != 0
