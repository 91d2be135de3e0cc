"""Server settings functions: where devices are told to connect, and how long certificates are good for.

What is set holds from the next call on, in every process: whoever needs it
reads it.

Subjects   devicehub.settings.server.get, .change
Writes     settings
Publishes  devicehub.broker.access.changed, when the broker needs another certificate
"""

from functions.contract.messages import (
    Nothing,
    ServerChange,
    ServerDefaults,
    ServerFixed,
    ServerView,
)
from functions.domain.audit import AuditEntry
from functions.domain.bundles import Site
from functions.domain.faults import Conflict, Malformed
from functions.domain.records import expect_version
from functions.domain.server_settings import ServerSettings, amend_settings
from functions.handlers.auditing import make, record_all
from functions.handlers.revoking import tell
from functions.handlers.rewriting import rewrite, value_of
from functions.ports import Call, Hub

SERVER = "server"


async def read(call: Call[Nothing], hub: Hub) -> ServerView:
    """The settings as they now hold, with what they would be if nothing were set."""
    kept = await hub.settings.get(SERVER)
    return _view(value_of(kept) or ServerSettings(), kept.revision if kept is not None else 0, hub)


async def change(call: Call[ServerChange], hub: Hub) -> ServerView:
    """Change some settings in one step; null sets one back, and what is not given stays.

    A change that changes nothing writes nothing, so a repeated call is
    harmless.

    Raises:
        Malformed: a name that no device could connect to, or nothing to change.
        Conflict: the settings are not of the expected version.
    """
    body = call.body
    wish = {name: getattr(body, name) for name in body.model_fields_set if name != "expected_version"}
    if not wish:
        raise Malformed(detail="Give 'mqttHost', 'mqttPort', 'hostnames', 'deviceDays' or 'claimDays'.")
    kept = await hub.settings.get(SERVER)
    version = kept.revision if kept is not None else 0
    expect_version(version, body.expected_version)
    if kept is None and amend_settings(ServerSettings(), wish) == ServerSettings():
        return _view(ServerSettings(), 0, hub)

    def decide(found: ServerSettings | None) -> ServerSettings:
        if body.expected_version is not None and found != value_of(kept):
            raise Conflict(detail="The settings changed at this moment. Read them again, then decide.")
        return amend_settings(found or ServerSettings(), wish)

    def told(found: ServerSettings | None, after: ServerSettings) -> AuditEntry:
        return make(hub, call, "settings.changed", SERVER, before=found or ServerSettings(), after=after)

    written = await rewrite(hub.settings, SERVER, decide, kept, tell=told)
    before = written.before or ServerSettings()
    await record_all(hub, written.entries)
    if written.value.broker_names != before.broker_names:
        await tell(hub)
    return _view(written.value, written.revision, hub)


async def server_settings(hub: Hub) -> ServerSettings:
    """What is set now."""
    return value_of(await hub.settings.get(SERVER)) or ServerSettings()


async def site_now(hub: Hub) -> Site:
    """Where devices are now told to connect."""
    return (await server_settings(hub)).site(hub.site)


def _view(settings: ServerSettings, version: int, hub: Hub) -> ServerView:
    site, default = settings.site(hub.site), ServerSettings()
    return ServerView(
        mqtt_host=site.mqtt_host,
        mqtt_port=site.mqtt_port,
        hostnames=list(settings.hostnames),
        device_days=settings.device_lifetime.days,
        claim_days=settings.claim_lifetime.days,
        version=version,
        defaults=ServerDefaults(
            mqtt_host=hub.site.mqtt_host,
            mqtt_port=hub.site.mqtt_port,
            hostnames=[],
            device_days=default.device_lifetime.days,
            claim_days=default.claim_lifetime.days,
        ),
        fixed=ServerFixed(
            topic_prefix=hub.site.topic_prefix, renewal_grace_seconds=int(hub.renewal_grace.total_seconds())
        ),
    )
