"""The inventory's index."""

import sqlite3

from functions.adapters.codec import Codec
from functions.adapters.tinydb_store import TinyStore
from functions.domain.devices import Device
from functions.domain.sessions import Presence

_SCHEMA = """
CREATE TABLE devices (id TEXT PRIMARY KEY, name TEXT, role TEXT, folded_id TEXT, record BLOB) WITHOUT ROWID
"""
_PUT = "INSERT OR REPLACE INTO devices VALUES (?, ?, ?, ?, ?)"
_MATCHES = r"WHERE folded_id LIKE ?1 ESCAPE '\' OR name LIKE ?1 ESCAPE '\' OR role LIKE ?1 ESCAPE '\'"


class Inventory:
    """Devices and their presence in memory: SQLite finds, sorts and counts."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect(":memory:", isolation_level=None)
        self._rows.execute(_SCHEMA)
        self._codec = Codec(Device)
        self._presence: dict[str, Presence] = {}

    def close(self) -> None:
        """Give the memory back."""
        self._rows.close()

    def put_device(self, device: Device) -> None:
        """Take in a device, new or changed; retired ones stay, as their record says so."""
        folded = (device.id.casefold(), device.name.casefold(), (device.role or "").casefold())
        self._rows.execute(_PUT, (device.id, folded[1], folded[2], folded[0], self._codec.encode(device)))

    def drop_device(self, key: str) -> None:
        """Forget a device whose record was removed."""
        self._rows.execute("DELETE FROM devices WHERE id = ?", (key,))

    def put_presence(self, key: str, presence: Presence | None) -> None:
        """Take in a device's presence; None forgets it."""
        if presence is None:
            self._presence.pop(key, None)
        else:
            self._presence[key] = presence

    def presence(self, device: str) -> Presence | None:
        """The presence last told of a device."""
        return self._presence.get(device)

    def query(self, text: str, *, limit: int, offset: int) -> tuple[list[Device], int]:
        """A page of devices whose id, name or role holds the text, by id, and how many there are in all.

        Letters match in either case, in every script.
        """
        where, pattern = (_MATCHES, (f"%{_escape(text.casefold())}%",)) if text else ("", ())
        total: int = self._rows.execute(f"SELECT count(*) FROM devices {where}", pattern).fetchone()[0]  # noqa: S608
        page = self._rows.execute(
            f"SELECT record FROM devices {where} ORDER BY id LIMIT {limit:d} OFFSET {offset:d}",  # noqa: S608
            pattern,
        )
        return [self._codec.decode(record) for (record,) in page], total


def _escape(text: str) -> str:
    """The text with LIKE's own signs made plain."""
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


class TinyIndex:
    """Answers from TinyDB stores, reading them whole for each question: for tests and small local files."""

    def __init__(self, devices: TinyStore[Device], presence: TinyStore[Presence]) -> None:
        self._devices = devices
        self._presence = presence

    async def query(self, text: str, *, limit: int, offset: int) -> tuple[list[Device], int]:
        """A page of devices whose id, name or role holds the text, by id, and how many there are in all."""
        inventory = Inventory()
        try:
            for kept in self._devices.snapshot().values():
                inventory.put_device(kept.value)
            return inventory.query(text, limit=limit, offset=offset)
        finally:
            inventory.close()

    def presence(self, device: str) -> Presence | None:
        """The presence last told of a device."""
        kept = self._presence.snapshot().get(device)
        return kept.value if kept else None
