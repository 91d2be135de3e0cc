"""The order in which a bridge took a device's messages, and what comes too late.

A bridge sends one message of a device at a time. When it is killed in the
middle, its successor sends the unacknowledged ones again, while an attempt of
the dead one may still wait in a slow worker. Landing late, that attempt would
put an old report over a newer one. So each message carries the bridge, the
bridge's epoch (higher at each of its starts) and a running number, and what is
older than the last applied message of the same bridge is refused.
"""

import re
from dataclasses import dataclass
from typing import Self

from functions.domain.faults import Malformed

# Bounded, because Python refuses to read a number of more than 4,300 digits.
_FORM = re.compile(r"([^/]{1,128})/([0-9]{1,19})/([0-9]{1,19})")


@dataclass(frozen=True, slots=True)
class Order:
    """Place of one message: ``bridge/epoch/number``."""

    bridge: str
    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.bridge}/{self.epoch}/{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``bridge/epoch/number``.

        Raises:
            Malformed: the text has another form.
        """
        form = _FORM.fullmatch(text)
        if form is None:
            raise Malformed(detail="The order of the call is not 'bridge/epoch/number'.")
        return cls(form[1], int(form[2]), int(form[3]))

    def is_before(self, other: Self | None) -> bool:
        """Whether this message was taken before ``other``, by the same bridge.

        Messages through different bridges have no order among them: the
        device itself moved from one broker to another.
        """
        if other is None or other.bridge != self.bridge:
            return False
        return (self.epoch, self.number) < (other.epoch, other.number)
