"""Under which names and addresses devices may find this host."""

import ipaddress
import socket
from collections.abc import Iterable

import psutil

from functions.domain.hosts import canonical, is_host
from infra.settings import Settings

# Always in the broker's certificate: tools on the hub itself use them.
HERE = ("localhost", "127.0.0.1")

# Documentation address (RFC 5737): asking for the way there sends nothing.
_SOMEWHERE = ("192.0.2.1", 9)


def certificate_names(settings: Settings) -> tuple[str, ...]:
    """The names that the broker's certificate must carry: those set, else all of this host's."""
    told = settings.hostnames or this_host()
    return tuple(dict.fromkeys(map(canonical, (*told, *HERE))))


def this_host() -> tuple[str, ...]:
    """This host's name, and its addresses other than loopback and link-local ones, in a stable order."""
    found = (address.address for addresses in psutil.net_if_addrs().values() for address in addresses)
    name = socket.gethostname()
    return (*((name,) if is_host(name) else ()), *usable_addresses(found))


def usable_addresses(found: Iterable[str]) -> tuple[str, ...]:
    """The IP addresses among the found ones that another machine could use."""
    usable = set()
    for text in found:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            # A hardware address, or a link-local one with its interface.
            continue
        if not (address.is_loopback or address.is_link_local or address.is_unspecified):
            usable.add(address)
    return tuple(str(address) for address in sorted(usable, key=lambda address: (address.version, int(address))))


def device_host(settings: Settings) -> str:
    """What bundles tell devices to connect to.

    The first name that is set; else the one address listened on; else the
    address that leads out of this host, because a bare host name is often
    not known to the network.
    """
    if settings.hostnames:
        return settings.hostnames[0]
    if not settings.mqtt_listen.is_anywhere:
        return settings.mqtt_listen.host
    return outward_address() or next(iter(this_host()), HERE[0])


def outward_address() -> str | None:
    """The address of this host on the way to others, or None where there is no way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_SOMEWHERE)
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return address if usable_addresses((address,)) else None
