"""The time of day."""

from datetime import UTC, datetime


class SystemClock:
    """The system's clock (``functions.ports.Clock``)."""

    def now(self) -> datetime:
        """The time now, in UTC."""
        return datetime.now(UTC)
