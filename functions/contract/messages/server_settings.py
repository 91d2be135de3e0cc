"""Messages of the server's settings."""

from typing import Annotated

from pydantic import Field

from functions.contract.messages.base import Message, Request

_Host = Annotated[str, Field(max_length=253)]
_Days = Annotated[int, Field(ge=1, le=36500)]


class ServerChange(Request):
    """Changes some of the server's settings in one step; what is not given stays, and null sets one back.

    ``mqttHost`` and ``mqttPort`` are where bundles tell devices to connect,
    ``hostnames`` all further names in the broker's certificate, and the days
    how long certificates are good for whose maker does not say.
    """

    mqtt_host: _Host | None = None
    mqtt_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    hostnames: Annotated[list[_Host], Field(max_length=100)] | None = None
    device_days: _Days | None = None
    claim_days: _Days | None = None
    expected_version: Annotated[int, Field(ge=0)] | None = None


class ServerDefaults(Message):
    """What the settings are where nothing is set."""

    mqtt_host: str
    mqtt_port: int
    hostnames: list[str]
    device_days: int
    claim_days: int


class ServerFixed(Message):
    """What only another start of the hub can change: ``HUB_TOPIC_PREFIXES`` and ``HUB_RENEWAL_GRACE_SECONDS``."""

    topic_prefix: str
    renewal_grace_seconds: int


class ServerView(Message):
    """The server's settings as they hold.

    ``version`` grows with every change, and is what ``expectedVersion`` and
    ``If-Match`` name.
    """

    mqtt_host: str
    mqtt_port: int
    hostnames: list[str]
    device_days: int
    claim_days: int
    version: int
    defaults: ServerDefaults
    fixed: ServerFixed
