"""Messages: the payloads of every function, both ways.

JSON with camelCase names, ISO 8601 UTC times. What a device sends may hold
fields that the hub does not know (published clients send some) and they are
ignored; what operators, applications and the hub's own parts send may not.
Replies leave out what was not set; ``null`` means that it is known to be none.
"""

from functions.contract.messages.alarms import (
    AlarmChanged,
    AlarmClear,
    AlarmKind,
    AlarmPage,
    AlarmQuery,
    AlarmRaise,
    AlarmView,
    AlarmWord,
    SeverityWord,
)
from functions.contract.messages.audit import AuditList, AuditQuery, AuditRecorded, AuditView
from functions.contract.messages.authority import CaCreate, CaFact, CaFingerprint, CaImport, CaName, CaReplaced, CaView
from functions.contract.messages.base import (
    ClientToken,
    Done,
    Encoded,
    FromDevice,
    GroupName,
    M,
    Message,
    Nothing,
    Pem,
    Request,
    RequestId,
    ShownName,
    Text,
    Texts,
    Time,
)
from functions.contract.messages.broker import (
    Access,
    AccessChanged,
    BridgeEpoch,
    BridgeName,
    BrokerCertify,
    BrokerChanged,
    BrokerHeard,
    BrokerName,
    BrokerRestarted,
    ConnectionFact,
    ConnectionList,
    Cut,
    HeardFact,
    PresenceChanged,
    SessionClosed,
    SessionFact,
    SessionList,
    SessionOpened,
    TrustTaken,
)
from functions.contract.messages.bundles import BundleView, DeviceRegister, FileContent, FileWanted
from functions.contract.messages.certificates import (
    CertificateDetail,
    CertificatePage,
    CertificateQuery,
    CertificateRevoke,
    CertificateRevoked,
    CertificateView,
    CrlView,
    Kind,
    Why,
)
from functions.contract.messages.checks import CheckList, CheckView, FindingView
from functions.contract.messages.claims import (
    ClaimCreate,
    ClaimFact,
    ClaimIssue,
    ClaimList,
    ClaimNamed,
    ClaimQuery,
    ClaimRevoke,
    ClaimView,
)
from functions.contract.messages.credentials import (
    CredentialsCreate,
    CredentialsFact,
    CredentialsList,
    CredentialsRevoke,
)
from functions.contract.messages.devices import (
    CertificateFact,
    DeviceCreate,
    DeviceRecord,
    DeviceRetire,
    DeviceRevoke,
    DeviceSwap,
    DeviceSwapped,
    DeviceUpdate,
    DeviceView,
    Issued,
    TagKey,
    TagValue,
)
from functions.contract.messages.enrolment import (
    ClaimNameText,
    EnrolmentChange,
    EnrolmentOpen,
    EnrolmentView,
    Minutes,
    WhitelistEnforce,
)
from functions.contract.messages.history import (
    HalfName,
    TwinChange,
    TwinCompare,
    TwinComparison,
    TwinDifference,
    TwinHistory,
    TwinHistoryQuery,
    TwinMoment,
    TwinVersions,
    Version,
)
from functions.contract.messages.inventory import (
    DeviceFilter,
    DevicePage,
    FacetQuery,
    Facets,
    FleetQuery,
    FleetStats,
    GroupCreate,
    GroupFact,
    GroupList,
    GroupQuery,
    GroupUpdate,
    IdPage,
    IdQuery,
    RegistryQuery,
)
from functions.contract.messages.jobs import (
    JobDetail,
    JobItem,
    JobItemQuery,
    JobPage,
    JobProgress,
    JobQuery,
    JobView,
    MethodJob,
    TagJob,
    TwinJob,
)
from functions.contract.messages.live import Follow, Followed
from functions.contract.messages.logs import (
    LogCursor,
    LogEntry,
    LogFollow,
    LogLease,
    LogLines,
    LogNode,
    LogPage,
    LogPriority,
    LogQuery,
    LogUnit,
)
from functions.contract.messages.methods import (
    MessageSend,
    MessageSent,
    MethodAnswer,
    MethodCall,
    MethodRequest,
    MethodResponse,
)
from functions.contract.messages.metrics import (
    CpuUse,
    DiskUse,
    HostMetrics,
    HostSample,
    MemoryUse,
    MetricsHistory,
    MetricsHistoryQuery,
    MetricsList,
    MetricsQuery,
    MetricsSeries,
    NetworkUse,
    PartUse,
    StepSeconds,
    Temperature,
)
from functions.contract.messages.onboarding import (
    CertificateCreated,
    CreateFromCsr,
    OnboardingStep,
    Provisioned,
    ProvisionRequest,
    Renew,
    RenewConfirm,
    RenewConfirmed,
)
from functions.contract.messages.server_settings import ServerChange, ServerDefaults, ServerFixed, ServerView
from functions.contract.messages.services import (
    HostHere,
    HostView,
    NodeName,
    ServiceActed,
    ServiceList,
    ServiceNamed,
    ServiceQuery,
    ServiceView,
    SourceWord,
    UnitName,
    UnitNamed,
    UnitState,
    VerbWord,
)
from functions.contract.messages.telemetry import (
    DeviceEvent,
    EventPage,
    EventQuery,
    EventView,
    Heartbeat,
    LatestValue,
    Telemetry,
    TelemetryExport,
    TelemetryFilter,
    TelemetryLatest,
    TelemetryLines,
    TelemetryPage,
    TelemetryQuery,
    TelemetryReport,
    TelemetryView,
)
from functions.contract.messages.tokens import (
    TokenCreate,
    TokenCreated,
    TokenFact,
    TokenList,
    TokenName,
    TokenProof,
    TokenProven,
    TokenRevoke,
)
from functions.contract.messages.transfer import (
    DeviceExport,
    DeviceImport,
    DeviceImported,
    DeviceLine,
    DeviceLines,
    ImportResult,
    TwinExport,
    TwinLine,
    TwinLines,
)
from functions.contract.messages.twins import (
    TwinAccepted,
    TwinDelta,
    TwinDesire,
    TwinDocuments,
    TwinGet,
    TwinHalf,
    TwinReached,
    TwinReport,
    TwinUpdated,
    TwinView,
)
from functions.contract.messages.users import (
    PasswordChange,
    SessionProof,
    SessionProven,
    SessionsChanged,
    SetupCodeGiven,
    SetupComplete,
    SetupState,
    SignedIn,
    SignIn,
    UserCreate,
    UserFact,
    UserList,
    UserSessionFact,
    UserSessionList,
    UserUpdate,
)
from functions.contract.messages.whitelist import (
    HardwareVersion,
    Manufacturer,
    Note,
    WhitelistBatch,
    WhitelistCreate,
    WhitelistFact,
    WhitelistPage,
    WhitelistQuery,
    WhitelistReport,
    WhitelistUpdate,
    WhitelistVerdict,
)
