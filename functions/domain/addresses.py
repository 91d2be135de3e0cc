"""Which addresses of clients are counted together."""

import ipaddress
from typing import Final

_CHARACTERS: Final = 64


def address_group(address: str) -> str:
    """What is counted together: an IPv4 address, or the /64 that one holder of IPv6 addresses has."""
    try:
        number = int(ipaddress.IPv6Address(address.partition("%")[0]))
    except ValueError:
        # A proxy may pass on whatever it was told.
        return address[:_CHARACTERS]
    return f"{number >> 64:x}"
