"""A real broker and devices for the bridge's tests."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from tests.integration.bridge.devices import Device
from tests.integration.bridge.mosquitto import Mosquitto


@pytest.fixture
def mosquitto() -> Iterator[Mosquitto]:
    """A broker of the test's own."""
    binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    plugin = next(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"), None)
    if binary is None or plugin is None:
        pytest.skip("needs Mosquitto with its dynamic-security plugin: apt-get install mosquitto")
    # The path of a unix socket has at most 107 bytes, and pytest's folders are deep.
    folder = Path(tempfile.mkdtemp(prefix="hub-"))
    broker = Mosquitto(binary, plugin, folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(folder)


@pytest.fixture
def device(mosquitto: Mosquitto) -> Iterator[Callable[..., Device]]:
    """Makes devices; their connections are closed with the test."""
    made: list[Device] = []

    def make(common_name: str, client_id: str | None = None, *, protocol: int = 4) -> Device:
        certificate, key = mosquitto.authority.issue(common_name)
        version = MQTTProtocolVersion(protocol)
        made.append(Device(mosquitto, certificate, key, client_id or common_name, version))
        return made[-1]

    yield make
    for one in made:
        one.close()
