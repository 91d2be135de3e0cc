"""Host names and IP addresses, as devices are told them and certificates name them."""

import ipaddress
import re

HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.(?!-)[A-Za-z0-9-]{1,63})*")


def is_host(text: str) -> bool:
    """Whether a text is a host name or an IP address, as a certificate can name it."""
    try:
        # An address with its interface is one only on the machine that has the interface.
        return not getattr(ipaddress.ip_address(text), "scope_id", None)
    except ValueError:
        # A name all of digits and dots is a mistyped address.
        return len(text) <= 253 and HOST_NAME.fullmatch(text) is not None and not text.replace(".", "").isdecimal()


def is_anywhere(host: str) -> bool:
    """Whether a host is the address that stands for every one, to which nobody can connect."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def canonical(host: str) -> str:
    """An IP address in its one spelling, as a certificate is read back; a name as it is."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host
