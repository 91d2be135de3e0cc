"""What a client wants to hear: topics, and of which devices."""

from dataclasses import dataclass, replace

ALL = "*"


@dataclass(frozen=True, slots=True)
class Selection:
    """Topics, and the devices and groups that were named; None where none was, which is not the same as none left.

    Args:
        topics: by name.
        devices: ids and roles; ``*`` for all.
        groups: by name.
    """

    topics: frozenset[str] = frozenset()
    devices: frozenset[str] | None = None
    groups: frozenset[str] | None = None

    @property
    def is_of_all(self) -> bool:
        """Whether every device is meant."""
        return (self.devices is None and self.groups is None) or ALL in (self.devices or ())

    def joined(
        self, topics: frozenset[str], devices: frozenset[str] | None, groups: frozenset[str] | None
    ) -> "Selection":
        """With more topics; devices or groups that are named take the place of those before."""
        return Selection(
            self.topics | topics,
            self.devices if devices is None else devices,
            self.groups if groups is None else groups,
        )

    def without(
        self, topics: frozenset[str] | None, devices: frozenset[str] | None, groups: frozenset[str] | None
    ) -> "Selection":
        """Without what is named; without anything, if nothing is."""
        if topics is None and devices is None and groups is None:
            return replace(self, topics=frozenset())
        return Selection(
            self.topics - (topics or frozenset()), _left(self.devices, devices), _left(self.groups, groups)
        )

    def told(self) -> dict[str, list[str]]:
        """As the client is told."""
        devices = [ALL] if self.is_of_all else sorted(self.devices or ())
        return {"topics": sorted(self.topics), "devices": devices, "groups": sorted(self.groups or ())}


def _left(before: frozenset[str] | None, named: frozenset[str] | None) -> frozenset[str] | None:
    return before if before is None or named is None else before - named
