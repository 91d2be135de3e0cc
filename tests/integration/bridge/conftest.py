"""A real Mosquitto for a test, with mutual TLS and the bridge's unix socket, which it may kill; and devices for it."""

import asyncio
import datetime
import getpass
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from bridge.mqtt.wire import BrokerAddress

_START_SECONDS = 10.0
USER = "@bridge"
PASSWORD = "the bridge's"

# The bridge's own lines, and what each certificate may do under its name (%u) and its client id (%c).
_ACL = """user @bridge
topic readwrite {prefix}/#
topic read $SYS/#
topic readwrite $CONTROL/dynamic-security/#
pattern write {prefix}/devices/%u/twin/get
pattern write {prefix}/devices/%u/twin/update
pattern write {prefix}/devices/%u/telemetry
pattern write {prefix}/devices/%u/events/+
pattern write {prefix}/devices/%u/messages/events
pattern write {prefix}/devices/%u/heartbeat
pattern write {prefix}/devices/%u/status
pattern write {prefix}/devices/%u/methods/+/response
pattern read {prefix}/devices/%u/#
pattern write {prefix}/devices/%c/provision/request
pattern read {prefix}/devices/%c/provision/+
"""

_CONFIG = """user {owner}
allow_anonymous false
password_file {folder}/passwd
acl_file {folder}/acl
plugin {plugin}
plugin_opt_config_file {folder}/dynsec.json
persistence true
persistence_location {folder}/
autosave_interval 0
persistent_client_expiration 30d
max_inflight_messages 0
max_queued_messages 20000
max_packet_size 1048576
set_tcp_nodelay true
connection_messages true
log_dest stdout
log_dest topic
log_type error
log_type warning
log_type notice
log_type information
listener 0 {folder}/bridge.sock
listener {port} 127.0.0.1
cafile {folder}/ca.crt
certfile {folder}/server.crt
keyfile {folder}/server.key
crlfile {folder}/crl.pem
require_certificate true
use_identity_as_username true
"""


class Authority:
    """A certificate authority of the test's own, its files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test root")])
        self._now = datetime.datetime.now(datetime.UTC)
        root = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        (folder / "ca.crt").write_bytes(root.public_bytes(serialization.Encoding.PEM))
        self.revoke([])

    def issue(self, common_name: str, *hosts: str) -> tuple[Path, Path]:
        """Sign a certificate and give the paths of it and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]), key.public_key())
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(h) for h in hosts]), False)
        signed = builder.sign(self._key, hashes.SHA256())
        name = f"{signed.serial_number:x}"
        paths = (self.folder / f"{name}.crt", self.folder / f"{name}.key")
        paths[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths

    def revoke(self, certificates: list[Path]) -> str:
        """Write a revocation list of these certificates, and give it in PEM."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(self._now - datetime.timedelta(hours=1))
            .next_update(self._now + datetime.timedelta(days=1))
        )
        for path in certificates:
            serial = x509.load_pem_x509_certificate(path.read_bytes()).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(self._now).build()
            builder = builder.add_revoked_certificate(entry)
        pem = builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
        (self.folder / "crl.pem").write_text(pem)
        return pem

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - datetime.timedelta(hours=1))
            .not_valid_after(self._now + datetime.timedelta(days=1))
        )


class Mosquitto:
    """A Mosquitto on a free loopback port and a unix socket, configured as a hub's.

    The bridge's user is ``USER`` with ``PASSWORD``; everyone else comes over
    TLS with a certificate of ``authority``.
    """

    def __init__(self, binary: str, plugin: Path, folder: Path, prefixes: tuple[str, ...] = ("$devicehub",)) -> None:
        self._binary = binary
        self.folder = folder
        self.authority = Authority(folder)
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        certificate, key = self.authority.issue("localhost", "localhost")
        certificate.rename(folder / "server.crt")
        key.rename(folder / "server.key")
        subprocess.run(["mosquitto_passwd", "-c", "-b", folder / "passwd", USER, PASSWORD], check=True)
        (folder / "dynsec.json").write_text("{}")
        (folder / "acl").write_text("".join(_ACL.format(prefix=prefix) for prefix in prefixes))
        config = _CONFIG.format(folder=folder, plugin=plugin, port=self.port, owner=getpass.getuser())
        (folder / "mosquitto.conf").write_text(config)

    @property
    def address(self) -> BrokerAddress:
        """Where the bridge connects."""
        return BrokerAddress(path=str(self.folder / "bridge.sock"))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it has logged."""
        return (self.folder / "mosquitto.log").read_text()

    def start(self) -> None:
        """Start and wait until it listens."""
        (self.folder / "bridge.sock").unlink(missing_ok=True)
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, "-c", str(self.folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"mosquitto did not start:\n{self.log}")
            time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal: SIGHUP reloads, SIGUSR1 saves."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in order, so that it saves; harmless when it has ended."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()

    def device(self, common_name: str, client_id: str | None = None, *, protocol: int = 4) -> "Device":
        """A client with a certificate of this name; its client id is the name, unless another is given."""
        certificate, key = self.authority.issue(common_name)
        return Device(self, certificate, key, client_id or common_name, MQTTProtocolVersion(protocol))

    def _listens(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                return False
        return (self.folder / "bridge.sock").exists()


class Device:
    """An MQTT client of the test's own, on paho's thread, its messages in a queue."""

    def __init__(
        self, broker: Mosquitto, certificate: Path, key: Path, client_id: str, protocol: MQTTProtocolVersion
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._port = broker.port
        self.id = client_id
        self.certificate = certificate
        self.heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._connected = asyncio.Event()
        self._subscribed = asyncio.Event()
        clean = None if protocol is MQTTProtocolVersion.MQTTv5 else False
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id, clean, protocol=protocol)
        self.client.tls_set(str(broker.folder / "ca.crt"), str(certificate), str(key))
        self.client.max_inflight_messages_set(0)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda *_: self._call(self._connected.set)
        self.client.on_subscribe = lambda *_: self._call(self._subscribed.set)
        self.client.on_message = lambda _c, _d, m: self._call(self.heard.put_nowait, (m.topic, bytes(m.payload)))

    async def connect(self, *filters: str) -> "Device":
        """Connect, and subscribe to the filters below the device's own topics, or to all of them."""
        await asyncio.to_thread(self.client.connect, "localhost", self._port, 240)
        self.client.loop_start()
        await asyncio.wait_for(self._connected.wait(), 5)
        self.client.subscribe([(name, 1) for name in filters or (f"$devicehub/devices/{self.id}/#",)])
        await asyncio.wait_for(self._subscribed.wait(), 5)
        return self

    def publish(self, path: str, payload: bytes | str, *, qos: int = 1, retain: bool = False) -> paho.MQTTMessageInfo:
        """Publish below the device's own topics, or on a whole topic where the path begins with ``$``."""
        topic = path if path.startswith("$") else f"$devicehub/devices/{self.id}/{path}"
        return self.client.publish(topic, payload, qos=qos, retain=retain)

    async def hear(self, within: float = 5.0) -> tuple[str, bytes]:
        """The next message: its topic without the device's own beginning, and its payload."""
        topic, payload = await asyncio.wait_for(self.heard.get(), within)
        return topic.removeprefix(f"$devicehub/devices/{self.id}/"), payload

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)


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
        made.append(mosquitto.device(common_name, client_id, protocol=protocol))
        return made[-1]

    yield make
    for one in made:
        one.close()
