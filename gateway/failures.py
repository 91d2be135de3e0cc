"""How often a client may show tokens that the hub does not know."""

from collections import OrderedDict

from functions.domain.addresses import address_group

_ADDRESSES = 4096


class Failures:
    """Counts failed proofs by client address: so many at once, then one every few seconds.

    One number an address, and no more addresses than stated: the one that has
    been quiet longest is forgotten first.

    Args:
        at_once: failures that a quiet address may make in a row.
        every_seconds: how long one failure takes to be forgiven.
    """

    def __init__(self, *, at_once: int = 20, every_seconds: float = 3.0, addresses: int = _ADDRESSES) -> None:
        self._every = every_seconds
        self._patience = at_once * every_seconds
        self._most = addresses
        # When all failures of the address will be forgiven.
        self._clean_at: OrderedDict[str, float] = OrderedDict()

    def wait(self, address: str, now: float) -> float:
        """Seconds until the address may try again; 0 if it may now."""
        due = self._clean_at.get(address_group(address), now) + self._every - self._patience
        # A float's last digit is no reason to refuse.
        return due - now if due - now > 1e-6 else 0.0

    def note(self, address: str, now: float) -> None:
        """Count a failure; of those made at the same moment, no more than make the next one wait once."""
        group = address_group(address)
        clean_at = max(self._clean_at.get(group, now), now) + self._every
        self._clean_at[group] = min(clean_at, now + self._patience)
        self._clean_at.move_to_end(group)
        while len(self._clean_at) > self._most:
            self._clean_at.popitem(last=False)
