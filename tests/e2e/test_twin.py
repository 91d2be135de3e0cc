"""A device and an operator meet in the twin, over the real path."""

import asyncio
import json
import uuid
from pathlib import Path

import httpx

from tests.e2e.devices import Device
from tests.e2e.rig import Identity, RunningHub


def topic(device: Identity, rest: str) -> str:
    return f"$devicehub/devices/{device.name}/{rest}"


def report(hub: RunningHub, device: Identity, body: object, answer: str = "accepted") -> dict[str, object]:
    return hub.ask(device, topic(device, "twin/update"), json.dumps(body), topic(device, f"twin/update/{answer}"))


def test_what_a_device_reports_the_operator_reads(hub: RunningHub, tmp_path: Path) -> None:
    device = hub.device(f"twin-{uuid.uuid4().hex[:8]}", tmp_path)

    accepted = report(hub, device, {"reported": {"led": "off", "temp": {"cpu": 41.5}}, "clientToken": "t1"})

    assert accepted["operation"] == "update"
    assert accepted["clientToken"] == "t1"
    assert accepted["reported"] == {"version": 1, "doc": {"led": "off", "temp": {"cpu": 41.5}}}
    kept = hub.json("twin", "get", device.name)
    assert kept["reported"] == {"led": "off", "temp": {"cpu": 41.5}}
    assert kept["reportedVersion"] == 1


def test_what_an_operator_wishes_the_device_hears(hub: RunningHub, tmp_path: Path) -> None:
    device = hub.device(f"twin-{uuid.uuid4().hex[:8]}", tmp_path)
    listener = hub.listen(device, topic(device, "twin/update/delta"))
    try:
        hub.cli("twin", "set", device.name, '{"led":"on","blink":{"ms":250}}')
        heard = listener.next()
    finally:
        listener.close()

    assert heard is not None
    assert heard[0] == topic(device, "twin/update/delta")
    assert heard[1]["delta"] == {"led": "on", "blink": {"ms": 250}}
    assert heard[1]["desiredVersion"] == 1
    assert set(heard[1]["metadata"]["blink"]["ms"]) == {"timestamp"}


def test_a_wish_made_while_the_device_was_away_reaches_it_when_it_connects(hub: RunningHub, tmp_path: Path) -> None:
    device = hub.device(f"twin-{uuid.uuid4().hex[:8]}", tmp_path)
    hub.cli("twin", "set", device.name, '{"led":"on"}')

    listener = hub.listen(device, topic(device, "twin/update/delta"))
    try:
        heard = listener.next()
    finally:
        listener.close()

    assert heard is not None
    assert heard[1]["delta"] == {"led": "on"}


async def test_a_device_that_subscribes_after_the_hub_knew_of_its_session_hears_its_open_delta(
    hub: RunningHub, tmp_path: Path
) -> None:
    who = await asyncio.to_thread(hub.device, f"twin-{uuid.uuid4().hex[:8]}", tmp_path)
    await asyncio.to_thread(hub.cli, "twin", "set", who.name, '{"led":"on"}')
    _, client = await hub.bus("gateway")
    device = Device(hub, who, clean=True)
    try:
        presence = await client.subscribe(f"devicehub.devices.{who.name}.presence")
        await client.flush()
        await asyncio.to_thread(device.start)
        assert json.loads((await presence.next_msg(timeout=15)).data)["online"]
        device.subscribe("twin/update/delta")

        heard, payload = await asyncio.to_thread(device.messages.get, timeout=15)
        assert heard == device.topic("twin/update/delta")
        assert json.loads(payload)["delta"] == {"led": "on"}
    finally:
        device.stop()
        await client.close()


def test_a_device_that_does_as_wished_has_no_delta_left(hub: RunningHub, tmp_path: Path) -> None:
    device = hub.device(f"twin-{uuid.uuid4().hex[:8]}", tmp_path)
    hub.cli("twin", "set", device.name, '{"led":"on"}')

    report(hub, device, {"reported": {"led": "on"}})

    assert hub.json("twin", "get", device.name)["delta"] == {}


def test_refusals_carry_the_contracts_codes(hub: RunningHub, tmp_path: Path) -> None:
    device = hub.device(f"twin-{uuid.uuid4().hex[:8]}", tmp_path)
    refused = {
        "not json": report_raw(hub, device, "{"),
        "wrong type": report(hub, device, {"reported": [1]}, "rejected"),
        "desired": report(hub, device, {"desired": {"a": 1}, "clientToken": "t9"}, "rejected"),
        "stale": report(hub, device, {"reported": {"a": 1}, "expectedVersion": 7}, "rejected"),
        "large": report(hub, device, {"reported": {"a": "x" * 40_000}}, "rejected"),
        "deep": report(hub, device, {"reported": nested(11)}, "rejected"),
        "integer": report(hub, device, {"reported": {"a": 2**60}}, "rejected"),
    }

    assert {name: (body["error"], body["code"]) for name, body in refused.items()} == {
        "not json": ("bad_request", 400),
        "wrong type": ("bad_request", 400),
        "desired": ("desired_is_read_only", 403),
        "stale": ("version_conflict", 409),
        "large": ("too_large", 413),
        "deep": ("too_deep", 400),
        "integer": ("bad_request", 400),
    }
    assert refused["desired"]["clientToken"] == "t9"
    assert hub.json("twin", "get", device.name)["reportedVersion"] == 0


def report_raw(hub: RunningHub, device: Identity, payload: str) -> dict[str, object]:
    return hub.ask(device, topic(device, "twin/update"), payload, topic(device, "twin/update/rejected"))


def nested(depth: int) -> dict[str, object]:
    document: dict[str, object] = {"leaf": 1}
    for _ in range(depth):
        document = {"a": document}
    return document


async def test_the_history_tells_what_was_wished_and_reported_by_whom(hub: RunningHub, tmp_path: Path) -> None:
    device = hub.device(f"twin-{uuid.uuid4().hex[:8]}", tmp_path)
    _, client = await hub.bus("gateway")
    try:
        reached = await client.subscribe(f"devicehub.devices.{device.name}.twin.update.reached")
        await client.flush()
        await asyncio.to_thread(hub.cli, "twin", "set", device.name, '{"led":"on","rate":5}')
        await asyncio.to_thread(report, hub, device, {"reported": {"led": "on", "rate": 5}})
        told = json.loads((await reached.next_msg(timeout=10)).data)
        await asyncio.to_thread(hub.cli, "twin", "set", device.name, '{"rate":7,"led":null}')
    finally:
        await client.close()

    assert (told["desiredVersion"], told["reportedVersion"]) == (1, 1)
    page = hub.json("twin", "history", device.name)
    assert [(each["half"], each["version"], each["change"], each["by"]) for each in page["changes"]] == [
        ("desired", 2, {"led": None, "rate": 7}, "system:cli"),
        ("reported", 1, {"led": "on", "rate": 5}, f"device:{device.name}"),
        ("desired", 1, {"led": "on", "rate": 5}, "system:cli"),
    ]
    for each in page["changes"]:
        then = hub.json("twin", "at", device.name, "--time", each["timestamp"])
        assert then[f"{each['half']}Version"] == each["version"]
    found = hub.json("twin", "diff", device.name, "d1.r1")
    assert [(each["path"], each.get("before"), each.get("after")) for each in found["differences"]] == [
        ("/led", "on", None),
        ("/rate", 5, 7),
    ]
    shown = hub.cli("twin", "history", device.name).stdout
    assert "system:cli" in shown
    assert hub.cli("twin", "diff", device.name, "d2.r1", "d2.r1").stdout == "The two are the same.\n"


async def test_fifty_writers_on_one_twin_and_each_accepted_change_is_in_history_once(
    own_hub: RunningHub, tmp_path: Path
) -> None:
    """Over HTTP and two function processes: versions without a gap, and the replay of all is the twin."""
    device = own_hub.device("busy-1", tmp_path)
    token = own_hub.cli("token", "create", "writer", "--scope", "twins:read", "--scope", "twins:write").stdout.strip()
    path = f"/api/devices/{device.name}/twin"
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{own_hub.http_port}", headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as client:
        answers = await asyncio.gather(
            *(client.patch(path, json={"desired": {f"w{number}": number, "last": number}}) for number in range(50))
        )
        changes = (await client.get(f"{path}/history", params={"limit": 1000})).json()
        twin = (await client.get(path)).json()

    accepted = {number: each.json() for number, each in enumerate(answers) if each.status_code == 200}
    refused = {each.json()["error"] for each in answers if each.status_code != 200}
    assert accepted
    assert refused <= {"version_conflict"}
    assert [each["version"] for each in reversed(changes)] == list(range(1, len(accepted) + 1))
    replayed: dict[str, object] = {}
    for each in reversed(changes):
        (writer,) = [key for key in each["change"] if key != "last"]
        number = int(writer[1:])
        assert accepted.pop(number)["desiredVersion"] == each["version"]
        assert each["change"]["last"] == number
        replayed |= each["change"]
    assert not accepted
    assert twin["desired"] == replayed


async def test_wishes_that_are_no_longer_kept_are_told_from_the_audit_trail(hub: RunningHub, tmp_path: Path) -> None:
    device = hub.device(f"twin-{uuid.uuid4().hex[:8]}", tmp_path)
    token = hub.cli("token", "create", device.name, "--scope", "twins:read", "--scope", "twins:write").stdout.strip()
    path = f"/api/devices/{device.name}/twin"
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{hub.http_port}", headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as client:
        for number in range(1, 121):
            patch = {"n": number, f"k{number % 5}": None if number % 2 else {"at": number}}
            assert (await client.patch(path, json={"desired": patch})).status_code == 200
        changes = (await client.get(f"{path}/history", params={"limit": 1000})).json()
        then = (await client.get(f"{path}/at", params={"desired": 2, "reported": 0})).json()
        by_time = (await client.get(f"{path}/at", params={"time": changes[-2]["timestamp"]})).json()

    assert [each["version"] for each in changes] == list(range(120, 0, -1))
    assert (then["desired"], then["desiredVersion"]) == ({"n": 2, "k2": {"at": 2}}, 2)
    assert then == by_time


def test_the_hub_comes_back_from_a_restart_with_everything(own_hub: RunningHub, tmp_path: Path) -> None:
    device = own_hub.device("keeps-1", tmp_path)
    report(own_hub, device, {"reported": {"n": 1}})
    own_hub.cli("twin", "set", "keeps-1", '{"led":"on"}')

    own_hub.down()
    own_hub.up()

    kept = own_hub.json("twin", "get", "keeps-1")
    assert (kept["reported"], kept["desired"]) == ({"n": 1}, {"led": "on"})
    assert report(own_hub, device, {"reported": {"n": 2}})["reported"] == {"version": 2, "doc": {"n": 2}}
