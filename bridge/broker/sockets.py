"""The connections of a port as this host's kernel knows them (Linux, ``/proc/net/tcp`` and ``tcp6``).

It tells, on one host, which sessions outlived the time in which nobody read
the broker's log.
"""

import ipaddress
import sys
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"
_LISTENING = "0A"


def peers(port: int, tables: tuple[Path, ...] = _TABLES) -> frozenset[str] | None:
    """Remote ``host:port`` of each established connection to a port, spelled as the broker spells it.

    None if nothing listens on the port here: then the broker runs elsewhere,
    or in a network namespace of its own, and this host cannot tell.
    """
    found: set[str] = set()
    listens = False
    for table in tables:
        for line in _rows(table):
            local, remote, state = line.split(maxsplit=4)[1:4]
            if int(local.rpartition(":")[2], 16) != port:
                continue
            if state == _LISTENING:
                listens = True
            elif state == _ESTABLISHED:
                found.add(_address(remote))
    return frozenset(found) if listens else None


def canonical(address: str) -> str:
    """A broker's ``host:port`` in the one spelling that ``peers`` uses."""
    host, _, port = address.rpartition(":")
    try:
        return f"{_unmapped(ipaddress.ip_address(host))}:{port}"
    except ValueError:
        return address


def _rows(table: Path) -> list[str]:
    try:
        return table.read_text(encoding="ascii").splitlines()[1:]
    except FileNotFoundError:
        # A kernel without IPv6 has no second table.
        return []


def _address(field: str) -> str:
    """``0100007F:1F90`` is 127.0.0.1:8080: words of 32 bits, each in the host's byte order."""
    host, _, port = field.partition(":")
    words = [int(host[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(host), 8)]
    return f"{_unmapped(ipaddress.ip_address(b''.join(words)))}:{int(port, 16)}"


def _unmapped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
