"""What is set of a running hub holds at once: in bundles, in certificates, and in what the broker shows."""

import json
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.e2e.rig import RunningHub
from tests.e2e.test_claims import wait_for
from tests.e2e.test_http import client_of, make_token


def shown(hub: RunningHub) -> x509.Certificate:
    """The certificate that the broker shows."""
    return x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", hub.mqtt_port)).encode())


def names(hub: RunningHub) -> set[str]:
    alternatives = shown(hub).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in alternatives}


def trusts(hub: RunningHub, ca: Path, host: str) -> bool:
    """Whether openssl, told to connect to a host, takes the broker for it."""
    done = subprocess.run(
        [
            *("openssl", "s_client", "-connect", f"127.0.0.1:{hub.mqtt_port}", "-CAfile", str(ca)),
            *("-verify_hostname", host, "-verify_return_error"),
        ],
        input="",
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return "Verify return code: 0 (ok)" in done.stdout


def test_a_running_hub_is_given_another_name_while_its_devices_stay(own_hub: RunningHub, tmp_path: Path) -> None:
    hub = own_hub
    before = hub.device("pump-0001", tmp_path / "before")
    topic = f"$devicehub/devices/{before.name}/twin/update/delta"
    stays = hub.listen(before, topic, wait=60)
    assert not trusts(hub, before.ca, "hub.example.com")

    view = hub.json(
        "settings", "set", "--mqtt-host", "hub.example.com", "--hostname", "10.1.2.3", "--device-days", "30"
    )

    assert (view["mqttHost"], view["hostnames"], view["deviceDays"]) == ("hub.example.com", ["10.1.2.3"], 30)
    wait_for(lambda: names(hub) == {"localhost", "127.0.0.1", "hub.example.com", "10.1.2.3"}, seconds=5)
    assert trusts(hub, before.ca, "hub.example.com")
    assert hub.json("status")["mqtt"] == f"mqtts://hub.example.com:{hub.mqtt_port}"
    after = hub.device("pump-0002", tmp_path / "after")
    config = json.loads((tmp_path / "after" / "config.json").read_text())
    assert (config["host"], config["port"]) == ("hub.example.com", hub.mqtt_port)
    ends = x509.load_pem_x509_certificate(after.certificate.read_bytes()).not_valid_after_utc
    assert abs(ends - datetime.now(UTC) - timedelta(days=30)) < timedelta(hours=1)
    hub.cli("twin", "set", before.name, '{"led": "on"}')
    assert stays.next() is not None, "the session of a device was ended"
    stays.close()

    serial = shown(hub).serial_number
    hub.down()
    greeting = hub.cli("up", "--detach", timeout=90).stdout
    assert f"mqtts://hub.example.com:{hub.mqtt_port}" in greeting
    assert shown(hub).serial_number == serial
    assert hub.json("settings", "show") == view

    with client_of(hub, make_token(hub, "admin")) as client:
        tag = client.get("/api/settings/server").headers["ETag"]
        wish: dict[str, Any] = {"mqttHost": None, "hostnames": []}
        assert client.put("/api/settings/server", json=wish, headers={"If-Match": '"r0"'}).status_code == 412
        told = client.put("/api/settings/server", json=wish, headers={"If-Match": tag})
        assert (told.status_code, told.json()["mqttHost"], told.json()["deviceDays"]) == (200, "localhost", 30)
        wait_for(lambda: names(hub) == {"localhost", "127.0.0.1"}, seconds=5)
        (last, *_) = client.get("/api/audit", params={"action": "settings.changed"}).json()
        assert last["after"]["mqtt_host"] is None
