"""The route table: read this first. Each line is a function of the hub and the terms of calling it.

Subjects stand below ``devicehub.``; each ``*`` is one of the call's names.
Devices' operations and those of operators have subjects of their own, so that
the bus's permissions keep the bridge and the gateway apart.
"""

from functools import partial

from functions.contract import messages as m
from functions.domain.callers import APP, CLAIM, DEVICE, OPERATOR, SYSTEM
from functions.domain.methods import MARGIN_SECONDS, MOST_TIMEOUT
from functions.domain.roles import UserRole
from functions.domain.tokens import Scope
from functions.handlers import (
    access,
    alarms,
    audit,
    batches,
    bridges,
    broker,
    bundles,
    ca,
    certificates,
    checks,
    claims,
    credentials,
    enrolment,
    exporting,
    groups,
    history,
    importing,
    inventory,
    jobs,
    live,
    logins,
    logs,
    measurements,
    messages,
    methods,
    metrics,
    presence,
    provisioning,
    records,
    register,
    registry,
    renewing,
    server_settings,
    services,
    setup,
    suspending,
    telemetry,
    tokens,
    twins,
    users,
    whitelist,
)
from functions.route import Role, Route

_STAFF = OPERATOR | SYSTEM
_READERS = OPERATOR | APP | SYSTEM
_READ, _WRITE, _TOLD = Scope.DEVICES_READ, Scope.DEVICES_WRITE, Scope.TELEMETRY_READ

# Seconds from arrival to reply. A device's call fits into the time that the
# bridge waits before it tries again (5 s).
_QUICK = 2.0
_SLOW = 4.0
# Making a job over 100,000 devices is a thousand writes.
_MAKING = 30.0
# What any user may look at, though applications need the scope 'admin' for it.
_SEEN = UserRole.VIEWER
# A unit's job may take the time that systemd gives it to stop.
_JOB = 60.0
# Users of a host's machine, by their number: ``system:dbus/1000``.
_LOCAL = "dbus/"
_LIST_BYTES = 4 * 1024 * 1024
# The same terms for tending the hosts that the hub lives on.
_tending = partial(Route, allow=_READERS, scope=Scope.ADMIN, least=UserRole.OPERATOR)
# The same terms for making any kind of job.
_making = partial(Route, allow=_READERS, within=_MAKING, limit_bytes=_LIST_BYTES, role=Role.INDEX)

ROUTES = (
    # Onboarding: what holders of a claim certificate may ask.
    Route(
        "certificates.create-from-csr",
        certificates.create_from_csr,
        m.CreateFromCsr,
        CLAIM,
        _SLOW,
        ("requestId",),
        tells=False,
    ),
    Route(
        "devices.*.provision.request",
        provisioning.request,
        m.ProvisionRequest,
        CLAIM | DEVICE,
        _SLOW,
        own=False,
        tells=False,
    ),
    # A device's newer certificate.
    Route("devices.*.certificates.renew", renewing.renew, m.Renew, DEVICE, _SLOW, ("requestId",)),
    Route("devices.*.certificates.renew.confirm", renewing.confirm, m.RenewConfirm, DEVICE, _SLOW),
    # What a device says of itself.
    Route("devices.*.twin.get", twins.get, m.TwinGet, DEVICE, _QUICK, ("clientToken",)),
    Route("devices.*.twin.update", twins.update, m.TwinReport, DEVICE, _QUICK, ("clientToken",)),
    Route("devices.*.telemetry", telemetry.telemetry, m.Telemetry, DEVICE, _QUICK, any_bytes=True),
    Route("devices.*.events.*", telemetry.event, m.DeviceEvent, DEVICE, _QUICK, any_bytes=True),
    Route("devices.*.messages.events", telemetry.message_event, m.DeviceEvent, DEVICE, _QUICK, any_bytes=True),
    Route("devices.*.heartbeat", telemetry.heartbeat, m.Heartbeat, DEVICE, _QUICK),
    Route("devices.*.status", telemetry.status, m.DeviceEvent, DEVICE, _QUICK),
    # What operators and applications ask and wish.
    Route("twins.*.get", twins.view, m.Nothing, _READERS, _QUICK, scope=Scope.TWINS_READ, by_role=True),
    Route("twins.*.desire", twins.desire, m.TwinDesire, _READERS, _QUICK, scope=Scope.TWINS_WRITE, by_role=True),
    Route("twins.*.history", history.list_, m.TwinHistoryQuery, _READERS, _SLOW, scope=Scope.TWINS_READ, by_role=True),
    Route("twins.*.at", history.at, m.TwinMoment, _READERS, _SLOW, scope=Scope.TWINS_READ, by_role=True),
    Route("twins.*.compare", history.compare, m.TwinCompare, _READERS, _SLOW, scope=Scope.TWINS_READ, by_role=True),
    # What is asked of a device itself: its answer may take its time.
    Route(
        "devices.*.methods.*.call",
        methods.call,
        m.MethodCall,
        _READERS,
        MOST_TIMEOUT + MARGIN_SECONDS,
        scope=Scope.METHODS_CALL,
        by_role=True,
        waits=True,
    ),
    Route(
        "devices.*.messages.send",
        messages.send,
        m.MessageSend,
        _READERS,
        _SLOW,
        scope=Scope.METHODS_CALL,
        by_role=True,
    ),
    Route("registry.query", inventory.query, m.RegistryQuery, _READERS, _SLOW, role=Role.INDEX, scope=_READ),
    Route("registry.ids", inventory.ids, m.IdQuery, _READERS, _SLOW, role=Role.INDEX, scope=_READ),
    Route("registry.facets", inventory.facets, m.FacetQuery, _READERS, _SLOW, role=Role.INDEX, scope=_READ),
    Route("registry.stats", inventory.stats, m.FleetQuery, _READERS, _QUICK, role=Role.INDEX, scope=_READ),
    Route("registry.groups.list", groups.list_, m.GroupQuery, _READERS, _SLOW, role=Role.INDEX, scope=_READ),
    Route("registry.groups.create", groups.create, m.GroupCreate, _READERS, _SLOW, role=Role.INDEX, scope=_WRITE),
    Route("registry.groups.*.update", groups.update, m.GroupUpdate, _READERS, _SLOW, role=Role.INDEX, scope=_WRITE),
    Route("registry.groups.*.delete", groups.delete, m.Nothing, _READERS, _SLOW, role=Role.INDEX, scope=_WRITE),
    Route("registry.devices.*.get", registry.read, m.Nothing, _READERS, _QUICK, scope=Scope.DEVICES_READ, by_role=True),
    Route(
        "registry.devices.*.connections",
        presence.connections,
        m.Nothing,
        _READERS,
        _QUICK,
        scope=Scope.DEVICES_READ,
        by_role=True,
    ),
    Route("registry.devices.*.create", certificates.create_device, m.DeviceCreate, _STAFF, _SLOW),
    Route(
        "registry.devices.*.suspend",
        suspending.suspend,
        m.Nothing,
        _READERS,
        _SLOW,
        scope=Scope.DEVICES_WRITE,
        by_role=True,
    ),
    Route(
        "registry.devices.*.resume",
        suspending.resume,
        m.Nothing,
        _READERS,
        _SLOW,
        scope=Scope.DEVICES_WRITE,
        by_role=True,
    ),
    Route(
        "certificates.query",
        register.query,
        m.CertificateQuery,
        _READERS,
        _SLOW,
        role=Role.INDEX,
        least=_SEEN,
        scope=Scope.ADMIN,
    ),
    Route("certificates.*.get", register.read, m.Nothing, _READERS, _QUICK, scope=Scope.ADMIN, least=_SEEN),
    Route("certificates.*.revoke", register.revoke, m.CertificateRevoke, _READERS, _SLOW, scope=Scope.ADMIN),
    Route("crl.get", register.read_crl, m.Nothing, _STAFF, _SLOW),
    Route("registry.create", bundles.register_device, m.DeviceRegister, _READERS, _SLOW, scope=Scope.DEVICES_WRITE),
    Route("enrolment.get", enrolment.read, m.Nothing, _READERS, _QUICK, scope=Scope.ADMIN, least=_SEEN),
    Route("enrolment.open", enrolment.open_, m.EnrolmentOpen, _READERS, _QUICK, scope=Scope.ADMIN),
    Route("enrolment.close", enrolment.close, m.Nothing, _READERS, _QUICK, scope=Scope.ADMIN),
    Route("enrolment.change", enrolment.change, m.EnrolmentChange, _READERS, _QUICK, scope=Scope.ADMIN),
    Route("enrolment.enforce", enrolment.enforce, m.WhitelistEnforce, _READERS, _QUICK, scope=Scope.ADMIN),
    Route("settings.server.get", server_settings.read, m.Nothing, _READERS, _QUICK, scope=Scope.ADMIN, least=_SEEN),
    Route("settings.server.change", server_settings.change, m.ServerChange, _READERS, _QUICK, scope=Scope.ADMIN),
    Route(
        "registry.devices.*.update",
        records.update,
        m.DeviceUpdate,
        _READERS,
        _SLOW,
        scope=Scope.DEVICES_WRITE,
        by_role=True,
    ),
    Route(
        "registry.devices.*.retire",
        records.retire,
        m.DeviceRetire,
        _READERS,
        _SLOW,
        scope=Scope.DEVICES_WRITE,
        by_role=True,
    ),
    Route("registry.devices.*.revoke", records.revoke, m.DeviceRevoke, _STAFF, _SLOW, by_role=True),
    Route(
        "registry.devices.*.swap",
        records.swap,
        m.DeviceSwap,
        _READERS,
        _SLOW,
        scope=Scope.DEVICES_WRITE,
        by_role=True,
        beyond=True,
    ),
    Route("whitelist.create", whitelist.create, m.WhitelistCreate, _READERS, _QUICK, scope=Scope.ADMIN),
    Route(
        "whitelist.batch",
        whitelist.batch,
        m.WhitelistBatch,
        _READERS,
        30.0,
        limit_bytes=1024 * 1024,
        scope=Scope.ADMIN,
    ),
    Route("whitelist.list", whitelist.list_, m.WhitelistQuery, _READERS, _SLOW, role=Role.INDEX, scope=Scope.ADMIN),
    Route("whitelist.entries.*.update", whitelist.update, m.WhitelistUpdate, _READERS, _QUICK, scope=Scope.ADMIN),
    Route("whitelist.entries.*.remove", whitelist.remove, m.Nothing, _READERS, _QUICK, scope=Scope.ADMIN),
    Route("claims.create", claims.create, m.ClaimCreate, _STAFF, _SLOW),
    Route("claims.issue", claims.issue, m.ClaimIssue, _READERS, _SLOW, scope=Scope.ADMIN),
    Route("claims.list", claims.list_, m.ClaimQuery, _READERS, _SLOW, scope=Scope.ADMIN, least=_SEEN),
    Route("claims.get", claims.read, m.ClaimNamed, _READERS, _QUICK, scope=Scope.ADMIN, least=_SEEN),
    Route("claims.bundle", bundles.claim, m.ClaimNamed, _READERS, _QUICK, scope=Scope.ADMIN),
    Route("claims.revoke", claims.revoke, m.ClaimRevoke, _READERS, _SLOW, scope=Scope.ADMIN),
    # What devices measured and what happened to them.
    Route("telemetry.query", measurements.query, m.TelemetryQuery, _READERS, _SLOW, role=Role.INDEX, scope=_TOLD),
    Route("telemetry.export", measurements.export, m.TelemetryExport, _READERS, _SLOW, role=Role.INDEX, scope=_TOLD),
    Route(
        "telemetry.*.latest",
        measurements.latest,
        m.Nothing,
        _READERS,
        _SLOW,
        role=Role.INDEX,
        by_role=True,
        scope=_TOLD,
    ),
    Route("telemetry.report", measurements.report, m.TelemetryReport, _READERS, _SLOW, scope=_WRITE),
    Route("events.query", measurements.events, m.EventQuery, _READERS, _SLOW, role=Role.INDEX, scope=_TOLD),
    # The same done to many devices. Those meant by a query are known to the index alone.
    _making("jobs.create.methods", batches.methods, m.MethodJob, scope=Scope.METHODS_CALL),
    _making("jobs.create.twins", batches.twins, m.TwinJob, scope=Scope.TWINS_WRITE),
    _making("jobs.create.tags", batches.tags, m.TagJob, scope=_WRITE),
    Route("jobs.list", jobs.list_, m.JobQuery, _READERS, _SLOW, scope=_READ),
    Route("jobs.*.get", jobs.read, m.JobItemQuery, _READERS, _SLOW, scope=_READ),
    Route("jobs.*.cancel", jobs.cancel_, m.Nothing, _READERS, _QUICK, scope=_READ),
    Route("jobs.*.retry", jobs.retry, m.Nothing, _READERS, _MAKING, scope=_READ),
    # Who may hear what devices say and do, as it happens.
    Route("live.status.follow", live.follow, m.Follow, _READERS, _QUICK, scope=_READ),
    Route("live.jobs.follow", live.follow, m.Follow, _READERS, _QUICK, scope=_READ),
    Route("live.swap.follow", live.follow, m.Follow, _READERS, _QUICK, scope=_READ),
    Route("live.presence.follow", live.follow, m.Follow, _READERS, _QUICK, scope=_READ),
    Route("live.devices.follow", live.follow, m.Follow, _READERS, _QUICK, scope=_READ),
    Route("live.twin.follow", live.follow, m.Follow, _READERS, _QUICK, scope=Scope.TWINS_READ),
    Route("live.telemetry.follow", live.follow, m.Follow, _READERS, _QUICK, scope=Scope.TELEMETRY_READ),
    Route("live.events.follow", live.follow, m.Follow, _READERS, _QUICK, scope=Scope.TELEMETRY_READ),
    Route("tokens.create", tokens.create, m.TokenCreate, _STAFF, _QUICK),
    Route("tokens.list", tokens.list_, m.Nothing, _STAFF, _SLOW),
    Route("tokens.revoke", tokens.revoke, m.TokenRevoke, _STAFF, _QUICK),
    Route("credentials.create", credentials.create, m.CredentialsCreate, _STAFF, _QUICK),
    Route("credentials.list", credentials.list_, m.Nothing, _STAFF, _SLOW),
    Route("credentials.revoke", credentials.revoke, m.CredentialsRevoke, _STAFF, _QUICK),
    Route("ca.get", ca.read, m.Nothing, _STAFF | APP, _QUICK, scope=Scope.ADMIN, least=_SEEN),
    # An RSA key takes its time.
    Route("ca.create", ca.create, m.CaCreate, _STAFF | APP, 30.0, scope=Scope.ADMIN),
    Route("ca.import", ca.import_, m.CaImport, _STAFF | APP, _SLOW, scope=Scope.ADMIN),
    # The hosts that the hub lives on.
    Route("services.list", services.list_, m.ServiceQuery, _READERS, _SLOW, scope=Scope.ADMIN, least=_SEEN),
    Route("services.get", services.read, m.ServiceNamed, _READERS, _SLOW, scope=Scope.ADMIN, least=_SEEN),
    _tending("services.start", services.start, m.ServiceNamed, within=_JOB, waits=True),
    _tending("services.stop", services.stop, m.ServiceNamed, within=_JOB, waits=True),
    _tending("services.restart", services.restart, m.ServiceNamed, within=_JOB, waits=True),
    _tending("logs.read", logs.read, m.LogQuery, within=_SLOW),
    _tending("logs.follow", logs.follow, m.LogFollow, within=_SLOW),
    Route("metrics.get", metrics.read, m.MetricsQuery, _READERS, _SLOW, scope=Scope.ADMIN, least=_SEEN),
    Route("metrics.history", metrics.history, m.MetricsHistoryQuery, _READERS, _SLOW, scope=Scope.ADMIN, least=_SEEN),
    Route("live.metrics.follow", live.follow, m.Follow, _READERS, _QUICK, scope=Scope.ADMIN, least=_SEEN),
    Route("live.services.follow", live.follow, m.Follow, _READERS, _QUICK, scope=Scope.ADMIN, least=_SEEN),
    Route("live.alarms.follow", live.follow, m.Follow, _READERS, _QUICK, scope=Scope.ADMIN, least=_SEEN),
    Route("live.certificates.follow", live.follow, m.Follow, _READERS, _QUICK, scope=Scope.ADMIN, least=_SEEN),
    _tending("live.onboarding.follow", live.follow, m.Follow, within=_QUICK),
    Route("live.audit.follow", live.follow, m.Follow, _READERS, _QUICK, scope=Scope.ADMIN),
    # What the gateway asks for devices that have shown nothing of themselves yet.
    Route("alarms.list", alarms.list_, m.AlarmQuery, _READERS, _SLOW, scope=Scope.ADMIN, least=_SEEN),
    Route("alarms.*.ack", alarms.ack, m.Nothing, _READERS, _QUICK, scope=Scope.ADMIN, least=UserRole.OPERATOR),
    Route("audit.export", audit.export, m.AuditExport, _READERS, _SLOW, role=Role.INDEX, scope=Scope.ADMIN),
    # What the gateway refuses itself.
    Route("audit.refused", audit.refused, m.RefusalReport, SYSTEM, _QUICK, tells=False),
    Route("audit.query", audit.query, m.AuditQuery, _READERS, _SLOW, role=Role.INDEX, scope=Scope.ADMIN),
    Route("checks.list", checks.list_, m.Nothing, _READERS, 10.0, role=Role.INDEX, scope=Scope.ADMIN, least=_SEEN),
    # What any part of the hub tells of what a person must look at.
    Route("alarms.raise", alarms.raise_, m.AlarmRaise, SYSTEM, _QUICK),
    Route("alarms.clear", alarms.clear, m.AlarmClear, SYSTEM, _QUICK),
    Route("enrolment.files", bundles.served, m.FileWanted, SYSTEM, _QUICK),
    Route("registry.export", exporting.export, m.DeviceExport, _READERS, _SLOW, scope=Scope.DEVICES_READ),
    Route("twins.export", exporting.export_twins, m.TwinExport, _READERS, _SLOW, scope=Scope.TWINS_READ),
    Route(
        "registry.import",
        importing.import_,
        m.DeviceImport,
        _READERS,
        30.0,
        limit_bytes=1024 * 1024,
        scope=Scope.ADMIN,
    ),
    # Users, and their sessions. What the gateway asks for who is nobody yet comes from itself.
    Route("setup.get", setup.read, m.Nothing, SYSTEM, _QUICK),
    Route("setup.open", setup.open_, m.Nothing, SYSTEM, _QUICK),
    Route("setup.complete", setup.complete, m.SetupComplete, SYSTEM, _SLOW),
    Route("sessions.create", logins.sign_in, m.SignIn, SYSTEM, _SLOW),
    Route("sessions.prove", logins.prove, m.SessionProof, SYSTEM, _QUICK, tells=False),
    Route("sessions.list", logins.list_, m.Nothing, _STAFF, _SLOW, least=_SEEN),
    Route("sessions.*.end", logins.end, m.Nothing, _STAFF, _QUICK, least=_SEEN),
    Route("users.list", users.list_, m.Nothing, _STAFF, _SLOW),
    Route("users.create", users.create, m.UserCreate, _STAFF, _SLOW),
    Route("users.*.update", users.update, m.UserUpdate, _STAFF, _SLOW),
    Route("users.*.delete", users.delete, m.Nothing, _STAFF, _QUICK),
    Route("users.change-password", users.change_password, m.PasswordChange, OPERATOR, _SLOW, least=_SEEN),
    # What programs on a host ask over its D-Bus: subjects of their own, so that its shim can speak for nobody else.
    Route("local.devices.query", inventory.query, m.RegistryQuery, SYSTEM, _SLOW, role=Role.INDEX, part=_LOCAL),
    Route("local.devices.*.get", registry.read, m.Nothing, SYSTEM, _QUICK, by_role=True, part=_LOCAL),
    Route("local.twins.*.get", twins.view, m.Nothing, SYSTEM, _QUICK, by_role=True, part=_LOCAL),
    Route("local.twins.*.desire", twins.desire, m.TwinDesire, SYSTEM, _QUICK, by_role=True, part=_LOCAL),
    # What the gateway asks of an application's token.
    Route("tokens.prove", tokens.prove, m.TokenProof, SYSTEM, _QUICK, tells=False),
    # What the broker's keeper tells and asks.
    Route("broker.access.get", access.read, m.Nothing, SYSTEM, _SLOW),
    Route("broker.sessions.opened", presence.opened, m.SessionOpened, SYSTEM, _SLOW),
    Route("broker.sessions.closed", presence.closed, m.SessionClosed, SYSTEM, _SLOW),
    Route("broker.sessions.list", presence.sessions, m.BrokerName, SYSTEM, _SLOW),
    Route("broker.restarted", presence.broker_restarted, m.BrokerRestarted, SYSTEM, 30.0),
    Route("broker.certificate.sign", broker.certify, m.BrokerCertify, SYSTEM, _SLOW),
    Route("broker.trust.taken", broker.trust_taken, m.TrustTaken, SYSTEM, _SLOW),
    Route("broker.bridges.start", bridges.start, m.BridgeName, SYSTEM, _QUICK),
)
