"""Which units the shim looks after, and what may be asked of each: pure, and asked before the host is."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from bridge.host.ports import Verb
from functions.domain.faults import Denied, Reason

_ALL = tuple(Verb)
_GOES_ON = (Verb.START, Verb.RESTART)


@dataclass(frozen=True, slots=True)
class Allowed:
    """The allow-list.

    Args:
        units: exact names, no patterns: what is not here is not looked after.
        essential: those without which nobody could take the next order; they are not stopped, and
            are restarted only after the answer has left, which they carry.
    """

    units: tuple[str, ...]
    essential: frozenset[str] = frozenset()

    @classmethod
    def of(cls, units: Iterable[str], essential: Iterable[str] = ()) -> Self:
        """The allow-list of names, each once and in this order."""
        return cls(tuple(dict.fromkeys(units)), frozenset(essential))

    def require(self, unit: str) -> None:
        """Refuse what is not on the list.

        Raises:
            Denied: ``unit_not_allowed``.
        """
        if unit not in self.units:
            raise Denied(
                Reason.UNIT_NOT_ALLOWED,
                f"The unit {unit} is not among those that this host lets the hub look after (HUB_HOST_UNITS).",
            )

    def require_verb(self, unit: str, verb: Verb) -> None:
        """Refuse what may not be asked of a unit.

        Raises:
            Denied: ``unit_not_allowed``, ``verb_not_allowed``.
        """
        self.require(unit)
        if verb not in self.verbs(unit):
            raise Denied(
                Reason.VERB_NOT_ALLOWED,
                f"Without {unit} nobody could take the order to start it again: restart it, or stop it on its host.",
            )

    def verbs(self, unit: str) -> tuple[Verb, ...]:
        """What may be asked of a unit on the list."""
        return _GOES_ON if unit in self.essential else _ALL

    def answers_first(self, unit: str, verb: Verb) -> bool:
        """Whether the answer must leave before the deed, which would cut it off."""
        return verb is Verb.RESTART and unit in self.essential
