"""Who may say and hear what on the bus: one user a part, each with no more than its work needs.

Devices' operations and operators' operations have different subjects, so
these lists keep the bridge from acting as an operator and the gateway from
acting as a device, whatever caller either of them writes into its messages.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from bridge.mqtt import topics
from functions.adapters import layout
from functions.contract.subjects import ROOT
from functions.domain.callers import APP
from functions.domain.tokens import Scope, allows
from functions.route import Route

HUB = "HUB"
INTEGRATIONS = "INTEGRATIONS"

# What applications in the other account reach, by service imports that carry
# the caller's name as the server knows it. Which of these an application may
# call, its route says.
FOR_INTEGRATIONS = (
    f"{ROOT}.registry.>",
    f"{ROOT}.twins.>",
    f"{ROOT}.telemetry.>",
    f"{ROOT}.events.query",
    f"{ROOT}.devices.*.methods.*.call",
    f"{ROOT}.live.*.follow",
    f"{ROOT}.devices.*.messages.send",
    f"{ROOT}.certificates.query",
    f"{ROOT}.certificates.*.get",
    f"{ROOT}.certificates.*.revoke",
    f"{ROOT}.jobs.create.*",
    f"{ROOT}.jobs.list",
    f"{ROOT}.jobs.*.get",
    f"{ROOT}.jobs.*.cancel",
    f"{ROOT}.jobs.*.retry",
    f"{ROOT}.alarms.list",
    f"{ROOT}.alarms.*.ack",
    f"{ROOT}.audit.query",
    f"{ROOT}.audit.export",
)

# What they may hear as it happens, and the scope that each needs. Nobody can
# tell a subscriber which devices to leave out, so credentials that are limited
# to groups hear none of it.
HEARD_BY_INTEGRATIONS: Mapping[str, Scope] = {
    f"{ROOT}.devices.*.presence": Scope.DEVICES_READ,
    f"{ROOT}.devices.*.swapped": Scope.DEVICES_READ,
    f"{ROOT}.jobs.*.progress": Scope.DEVICES_READ,
    f"{ROOT}.devices.*.twin.update.delta": Scope.TWINS_READ,
    f"{ROOT}.devices.*.twin.update.documents": Scope.TWINS_READ,
    f"{ROOT}.devices.*.twin.update.reached": Scope.TWINS_READ,
    # What devices said, as it is stored: shard, device, and of an event its type.
    f"{ROOT}.stored.telemetry.*.*": Scope.TELEMETRY_READ,
    f"{ROOT}.stored.events.*.*.*": Scope.TELEMETRY_READ,
    # What they answer, also to a call that waited for them.
    f"{ROOT}.devices.*.methods.*.response": Scope.METHODS_CALL,
    f"{ROOT}.alarms.changed": Scope.ADMIN,
    f"{ROOT}.audit.recorded": Scope.ADMIN,
    f"{ROOT}.onboarding.*": Scope.ADMIN,
    f"{ROOT}.broker.changed": Scope.ADMIN,
}


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects a user may publish to and subscribe to, besides answering what it is asked."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


_STAFF = (
    "registry.>",
    "twins.>",
    "live.*.follow",
    # Leaf by leaf: beside it stands what devices say.
    "devices.*.methods.*.call",
    "devices.*.messages.send",
    "enrolment.*",
    "settings.server.*",
    "whitelist.>",
    "claims.*",
    "ca.*",
    # Leaf by leaf: beside them stands what holders of a claim certificate ask.
    "certificates.query",
    "certificates.*.get",
    "certificates.*.revoke",
    "crl.get",
    "alarms.list",
    "audit.query",
    "audit.export",
    "telemetry.>",
    "events.query",
    "checks.list",
    "alarms.*.ack",
    "bridge.*.counters",
    "services.*",
    "logs.*",
    "metrics.*",
    # Leaf by leaf: beside them stands what the functions tell of jobs.
    "jobs.create.*",
    "jobs.list",
    "jobs.*.get",
    "jobs.*.cancel",
    "jobs.*.retry",
    "users.>",
    "sessions.list",
    "sessions.*.end",
)


def _hub(*subjects: str) -> tuple[str, ...]:
    return tuple(f"{ROOT}.{subject}" for subject in subjects)


# ``admin`` is not here: it may do all in its account, and only
# ``devicehub up`` is it, to make buckets and streams.
USERS: Mapping[str, Permissions] = {
    "functions": Permissions(
        publish=(
            # Keys and streams: no stream can be made, changed or deleted.
            *layout.PUBLISH,
            *_hub(
                "devices.*.twin.update.delta",
                "devices.*.twin.update.documents",
                "devices.*.twin.update.reached",
                "devices.*.presence",
                "devices.*.swapped",
                # What goes to a device itself.
                "devices.*.methods.*.request",
                "devices.*.messages.devicebound",
                "broker.access.changed",
                "broker.changed",
                "audit.recorded",
                "alarms.changed",
                "jobs.*.progress",
                "onboarding.*",
                "sessions.changed",
                # What hosts are asked.
                "hosts.wanted",
                "host.*.units.list",
                "host.*.unit.*",
                "host.*.logs.read",
                "host.*.logs.follow",
                "host.*.metrics",
                "host.*.metrics.history",
            ),
        ),
        subscribe=(f"{ROOT}.>", "$SRV.>", *layout.SUBSCRIBE),
    ),
    "bridge": Permissions(
        publish=_hub(
            # What devices may say: the topic table, and no more.
            *(row.path.replace("/", ".").replace("+", "*") for row in topics.ROWS),
            "broker.access.get",
            "broker.sessions.opened",
            "broker.sessions.closed",
            "broker.sessions.list",
            "broker.restarted",
            "broker.heard",
            "broker.bridges.start",
            "broker.certificate.sign",
            "broker.trust.taken",
            "alarms.raise",
            "alarms.clear",
        ),
        subscribe=(
            *_hub(*(told.subject for told in topics.OUTBOUND), "broker.access.changed", "bridge.*.counters"),
            "$SRV.>",
            "_INBOX_bridge.>",
        ),
    ),
    "host": Permissions(
        publish=_hub(
            "host.*.here",
            "host.*.units.changed",
            "host.*.logs.of.*",
            "host.*.metrics.sampled",
            # What programs of its machine may ask; the routes admit such callers alone.
            "local.devices.query",
            "local.devices.*.get",
            "local.twins.*.get",
            "local.twins.*.desire",
        ),
        subscribe=(
            *_hub(
                "hosts.wanted",
                "host.*.units.list",
                "host.*.unit.*",
                "host.*.logs.read",
                "host.*.logs.follow",
                "host.*.metrics",
                "host.*.metrics.history",
                # That a device changed, for the programs of its machine.
                "devices.*.presence",
                "devices.*.twin.update.documents",
            ),
            "$SRV.>",
            "_INBOX_host.>",
        ),
    ),
    "gateway": Permissions(
        publish=(
            *_hub(*_STAFF, "tokens.prove", "setup.get", "setup.complete", "sessions.create", "sessions.prove"),
            *_hub("audit.refused"),
            "$SRV.>",
            # These tell figures of this account, and change nothing.
            "$SYS.REQ.ACCOUNT.PING.STATZ",
            "$JS.API.INFO",
        ),
        subscribe=(
            *_hub("http.event"),
            *_hub(
                "devices.*.twin.update.delta",
                "devices.*.twin.update.documents",
                "devices.*.twin.update.reached",
                "devices.*.presence",
                "devices.*.swapped",
                "jobs.*.progress",
                "alarms.changed",
                "audit.recorded",
                "onboarding.*",
                "sessions.changed",
                "host.*.units.changed",
                "host.*.logs.of.*",
                "host.*.metrics.sampled",
                # What devices said, as soon as it is durable.
                "stored.telemetry.>",
                "stored.events.>",
            ),
            "$SRV.>",
            "_INBOX_gateway.>",
        ),
    ),
    "cli": Permissions(
        publish=(
            *_hub(*_STAFF, "tokens.create", "tokens.list", "tokens.revoke", "setup.get", "setup.open", "http.event"),
            *_hub("credentials.*"),
            "$SRV.>",
        ),
        subscribe=("_INBOX_cli.>",),
    ),
}

# Who may call what other packages add; who of them is admitted, the route says.
_CALLERS = ("gateway", "cli")


def users_with(added: Iterable[Route]) -> dict[str, Permissions]:
    """Every user, with the functions that other packages add open to those who call for operators and commands."""
    subjects = tuple(route.full_subject for route in added)
    opened = {name: replace(USERS[name], publish=(*USERS[name].publish, *subjects)) for name in _CALLERS}
    return {**USERS, **opened}


def integrator(
    name: str, scopes: Iterable[str], groups: Collection[str], routes: Iterable[Route], added: Iterable[Route] = ()
) -> Permissions:
    """What a program with credentials may say and hear: each function that its scopes allow, by its own subject.

    It hears answers on an inbox of its own, and answers nobody: what it asks
    for is the hub's to answer, and its events are the hub's to tell.

    Args:
        name: of the credentials.
        scopes: theirs.
        groups: that they are limited to, if any.
        routes: the hub's own functions.
        added: those of other packages.
    """
    scopes = tuple(scopes)
    added = tuple(added)
    reached = [route for route in routes if _is_reached(route.full_subject)] + list(added)
    publish = [
        route.full_subject
        for route in reached
        if route.allow & APP
        and route.scope is not None
        and allows(scopes, route.scope)
        and (not groups or (route.by_role and not route.beyond))
    ]
    heard = [] if groups else [subject for subject, scope in HEARD_BY_INTEGRATIONS.items() if allows(scopes, scope)]
    return Permissions(tuple(dict.fromkeys(publish)), (*heard, f"_INBOX_{name}.>"))


def _is_reached(subject: str) -> bool:
    """Whether what applications in the other account reach covers a function's subject."""
    tokens = subject.split(".")
    for pattern in FOR_INTEGRATIONS:
        wanted = pattern.split(".")
        if wanted[-1] == ">" and tokens[: len(wanted) - 1] == wanted[:-1]:
            return True
        if len(wanted) == len(tokens) and all(want in ("*", has) for want, has in zip(wanted, tokens, strict=True)):
            return True
    return False


def for_integrations(added: Iterable[Route]) -> tuple[str, ...]:
    """What applications in the other account reach, with the functions that other packages add for them."""
    return (*FOR_INTEGRATIONS, *(route.full_subject for route in added if route.allow & APP))
