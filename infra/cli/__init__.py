"""The ``devicehub`` command."""
