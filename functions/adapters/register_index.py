"""The register's index: what the certificates' buckets hold, in memory, where it can be asked."""

from dataclasses import dataclass
from datetime import datetime

from nats.aio.client import Client

from functions.adapters.codec import Codec
from functions.adapters.feed import Change
from functions.adapters.following import Following
from functions.adapters.layout import BUCKETS, Bucket
from functions.adapters.register import CertificateTable
from functions.adapters.tinydb_store import TinyStore
from functions.domain.certificates import Certificate
from functions.domain.devices import Device
from functions.domain.faults import Unavailable
from functions.domain.register import CertificatesWanted, Entry
from functions.storage import Page


@dataclass(frozen=True, slots=True)
class _Named:
    """What matters here of a device's record."""

    certificate: str | None = None


class SqliteRegister:
    """A register that follows the buckets on the server (``functions.ports.Register``).

    It holds what was written up to a moment ago; after a restart of the
    server it is behind for up to two seconds, and then has missed nothing.

    Args:
        client: the connection.
        certificates: the bucket of the certificates.
        devices: the bucket of the devices, whose records name their certificates.
    """

    def __init__(
        self, client: Client, *, certificates: Bucket = BUCKETS["certificates"], devices: Bucket = BUCKETS["devices"]
    ) -> None:
        self._table = CertificateTable()
        self._certificates: Codec[Certificate] = certificates.codec()
        self._devices = Codec(_Named)
        self._following = Following(
            client,
            [(name, self._take_certificate) for name in certificates.names]
            + [(name, self._take_device) for name in devices.names],
            lost="The register cannot be read now.",
        )

    async def start(self) -> None:
        """Begin to follow; ``ready`` tells when everything has been read."""
        self._following.start()

    async def ready(self) -> None:
        """Wait until it holds all that was in the buckets when it began.

        Raises:
            Unavailable: it can follow no longer.
        """
        await self._following.ready()

    async def stop(self) -> None:
        """Follow no longer and give the memory back."""
        await self._following.stop()
        self._table.close()

    async def find(self, wanted: CertificatesWanted, now: datetime) -> Page[Entry]:
        """A page of the certificates that are wanted at this time, and how many there are in all.

        Raises:
            Unavailable: it has not been read yet, or it can follow no
                longer, so that what it holds grows old.
        """
        self._following.check()
        if not self._following.is_filled:
            raise Unavailable(detail="The register is still being read. Ask again in a moment.")
        return self._table.find(wanted, now)

    def _take_certificate(self, change: Change) -> None:
        if change.data is None:
            self._table.drop(change.key)
        else:
            self._table.put(self._certificates.decode(change.data))

    def _take_device(self, change: Change) -> None:
        named = None if change.data is None else self._devices.decode(change.data).certificate
        self._table.name(change.key, named)


class TinyRegister:
    """A register over TinyDB stores, which it reads whole for each question (``functions.ports.Register``).

    For tests, and for small local files.
    """

    def __init__(self, certificates: TinyStore[Certificate], devices: TinyStore[Device]) -> None:
        self._certificates = certificates
        self._devices = devices

    async def find(self, wanted: CertificatesWanted, now: datetime) -> Page[Entry]:
        """A page of the certificates that are wanted at this time, and how many there are in all."""
        table = CertificateTable()
        try:
            for kept in self._certificates.snapshot().values():
                table.put(kept.value)
            for key, device in self._devices.snapshot().items():
                table.name(key, device.value.certificate)
            return table.find(wanted, now)
        finally:
            table.close()
