"""The server's settings: what operators set of a running hub, in place of what it was started with."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from functions.domain.bundles import Site
from functions.domain.certificates import CLAIM_CERTIFICATE_LIFETIME, DEVICE_LIFETIME
from functions.domain.faults import Malformed
from functions.domain.hosts import canonical, is_anywhere, is_host

# A certificate names them all, with those that the hub was started with.
MAX_HOSTNAMES = 20

_NO_HOST = "must be a host name or an IP address that devices can connect to"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What is set; None is the default: what the hub was started with, or a constant.

    ``mqtt_host`` and ``mqtt_port`` are where bundles tell devices to connect;
    ``hostnames`` stand in the broker's certificate besides those the hub was
    started with; the days are how long certificates are good for whose maker
    does not say.
    """

    mqtt_host: str | None = None
    mqtt_port: int | None = None
    hostnames: tuple[str, ...] = ()
    device_days: int | None = None
    claim_days: int | None = None

    @property
    def device_lifetime(self) -> timedelta:
        """How long a device's certificate is good for where its maker does not say."""
        return DEVICE_LIFETIME if self.device_days is None else timedelta(days=self.device_days)

    @property
    def claim_lifetime(self) -> timedelta:
        """How long a claim certificate is good for where its maker does not say."""
        return CLAIM_CERTIFICATE_LIFETIME if self.claim_days is None else timedelta(days=self.claim_days)

    @property
    def broker_names(self) -> tuple[str, ...]:
        """The names that the broker's certificate must have for them: also the one that devices are told."""
        told = () if self.mqtt_host is None else (self.mqtt_host,)
        return tuple(dict.fromkeys((*told, *self.hostnames)))

    def site(self, started: Site) -> Site:
        """Where devices reach the hub, given what it was started with."""
        return replace(
            started,
            mqtt_host=started.mqtt_host if self.mqtt_host is None else self.mqtt_host,
            mqtt_port=started.mqtt_port if self.mqtt_port is None else self.mqtt_port,
        )


def amend_settings(settings: ServerSettings, wish: Mapping[str, Any]) -> ServerSettings:
    """The settings with those fields that the wish has; None sets one back to its default.

    Raises:
        Malformed: a name that no device could connect to, with ``fields``.
    """
    changed = dict(wish)
    if changed.get("mqtt_host") is not None:
        changed["mqtt_host"] = canonical(changed["mqtt_host"])
    if "hostnames" in changed:
        changed["hostnames"] = tuple(dict.fromkeys(map(canonical, changed["hostnames"] or ())))
    settings = replace(settings, **changed)
    wrong = {}
    if settings.mqtt_host is not None and not _is_reachable(settings.mqtt_host):
        wrong["mqttHost"] = _NO_HOST
    if not all(map(_is_reachable, settings.hostnames)):
        wrong["hostnames"] = f"each {_NO_HOST}"
    elif len(settings.hostnames) > MAX_HOSTNAMES:
        wrong["hostnames"] = f"must be at most {MAX_HOSTNAMES}"
    if wrong:
        raise Malformed(detail="; ".join(f"{name}: {text}" for name, text in wrong.items()), fields=wrong)
    return settings


def _is_reachable(host: str) -> bool:
    return is_host(host) and not is_anywhere(host)
