"""A real Mosquitto for a test, with mutual TLS and the bridge's unix socket, which it may kill."""

import datetime
import getpass
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bridge.mqtt.wire import BrokerAddress, Tls
from tests.ports import free_port

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
pid_file {folder}/mosquitto.pid
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
log_dest file {folder}/broker.log
log_type error
log_type warning
log_type notice
log_type information
listener 0 {folder}/bridge.sock
listener {port} 127.0.0.1
cafile {folder}/ca.crt
certfile {folder}/server.pem
keyfile {folder}/server.pem
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
        self.port: int = free_port()
        certificate, key = self.authority.issue("localhost", "localhost")
        (folder / "server.pem").write_text(key.read_text() + certificate.read_text())
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
    def remote_address(self) -> BrokerAddress:
        """Where a bridge on another host connects; its certificate names ``USER``."""
        certificate, key = self.authority.issue(USER)
        tls = Tls(self.folder / "ca.crt", certificate, key)
        return BrokerAddress(host="localhost", port=self.port, tls=tls)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it has logged."""
        return (self.folder / "mosquitto.log").read_text()

    def configure(self, line: str, another: str) -> None:
        """Replace a line of the configuration, for the next start."""
        path = self.folder / "mosquitto.conf"
        path.write_text(path.read_text().replace(line, another))

    def start(self) -> None:
        """Start and wait until it listens, and has logged that it runs."""
        lives = self._lives()
        (self.folder / "bridge.sock").unlink(missing_ok=True)
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, "-c", str(self.folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._listens() or self._lives() == lives:
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

    def _lives(self) -> int:
        """How often it has started, by its log."""
        log = self.folder / "broker.log"
        return log.read_text(errors="replace").count(" running\n") if log.exists() else 0

    def _listens(self) -> bool:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                return False
        return (self.folder / "bridge.sock").exists()
