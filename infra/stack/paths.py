"""Where everything of one hub lies: the data directory, and the directory of its sockets."""

from dataclasses import dataclass
from pathlib import Path

# The names are those of the files in secrets/.
NATS_USERS = ("admin", "functions", "bridge", "host", "gateway", "cli")


@dataclass(frozen=True, slots=True)
class Paths:
    """The files of a hub by name.

    Args:
        data: the data directory, absolute.
        run: sockets and pid files; ``data/run`` unless that path is too long for a socket.
    """

    data: Path
    run: Path

    @property
    def node(self) -> Path:
        """The node file."""
        return self.data / "node.json"

    @property
    def lock(self) -> Path:
        """Held by the one ``devicehub up`` that may work here."""
        return self.data / "up.lock"

    @property
    def secrets(self) -> Path:
        """Directory of passwords and keys."""
        return self.data / "secrets"

    def secret(self, name: str) -> Path:
        """The file of one secret."""
        return self.secrets / name

    def nats_password(self, user: str) -> Path:
        """The password of a NATS user."""
        return self.secret(f"nats-{user}")

    @property
    def ca(self) -> Path:
        """Directory of the root CA."""
        return self.data / "ca"

    @property
    def ca_certificate(self) -> Path:
        """What the hub trusts, public: the certificate of its CA, and those above it."""
        return self.ca / "root.crt"

    @property
    def ca_key(self) -> Path:
        """The CA's private key, and after it the certificates that it is of."""
        return self.ca / "root.key"

    @property
    def broker(self) -> Path:
        """Directory of the broker: its configuration, certificate and sessions."""
        return self.data / "broker"

    @property
    def broker_config(self) -> Path:
        """The broker's configuration."""
        return self.broker / "mosquitto.conf"

    @property
    def broker_crl(self) -> Path:
        """The revocation list the broker reads; the bridge replaces it."""
        return self.broker / "crl.pem"

    @property
    def broker_trust(self) -> Path:
        """What the broker trusts; the bridge replaces it with what the hub trusts."""
        return self.broker / "ca.crt"

    @property
    def broker_server(self) -> Path:
        """The broker's certificate with its key, in one file, so that a power cut never mixes two; as above."""
        return self.broker / "server.pem"

    @property
    def broker_log(self) -> Path:
        """What the broker writes of its clients; the bridge follows it, and puts it aside when it is large."""
        return self.broker / "broker.log"

    @property
    def broker_socket(self) -> Path:
        """Where the bridge meets the broker."""
        return self.run / "bridge.sock"

    @property
    def broker_pid(self) -> Path:
        """The broker's process id."""
        return self.run / "mosquitto.pid"

    @property
    def nats(self) -> Path:
        """Directory of the NATS server."""
        return self.data / "nats"

    @property
    def nats_config(self) -> Path:
        """The NATS server's configuration."""
        return self.nats / "nats.conf"

    @property
    def nats_integrations(self) -> Path:
        """The users of programs with credentials, a part of the NATS server's configuration beside it."""
        return self.nats / "integrations.conf"

    @property
    def nats_pid(self) -> Path:
        """The NATS server's process id."""
        return self.run / "nats.pid"

    @property
    def supervisor_config(self) -> Path:
        """The supervisor's configuration."""
        return self.data / "supervisord.conf"

    @property
    def supervisor_socket(self) -> Path:
        """Where the supervisor takes orders."""
        return self.run / "supervisor.sock"

    @property
    def supervisor_pid(self) -> Path:
        """The supervisor's process id."""
        return self.run / "supervisor.pid"

    @property
    def index(self) -> Path:
        """What is made from the storage to be asked, and can be made again."""
        return self.data / "index"

    @property
    def telemetry(self) -> Path:
        """The telemetry store: it keeps more than the streams that it is filled from."""
        return self.data / "telemetry"

    @property
    def asyncapi(self) -> Path:
        """What describes the hub's messages, for the gateway to hand out."""
        return self.data / "asyncapi.json"

    @property
    def logs(self) -> Path:
        """Directory of one log a part."""
        return self.data / "log"

    def log(self, part: str) -> Path:
        """The log of one part."""
        return self.logs / f"{part}.log"

    @property
    def default_claim(self) -> Path:
        """The bundle of the claim certificate made at the first start."""
        return self.data / "claims" / "default"
