"""What the interface's description shows as examples; each is a message as it really is."""

from typing import Any, Final

DEVICE: Final[dict[str, Any]] = {
    "deviceId": "pump-0001",
    "deviceName": "pump-0001",
    "displayName": "Pump in the cellar",
    "role": None,
    "groups": ["cellar"],
    "tags": {"floor": "-1"},
    "uuid": None,
    "status": "online",
    "presence": {"online": True, "evidence": "session", "at": "2035-01-01T12:00:00Z", "address": "192.0.2.7"},
    "lastSeen": "2035-01-01T12:00:00Z",
    "model": "P-200",
    "firmware": "1.4.2",
    "metadata": {},
    "twinInSync": True,
    "certificate": {"serial": "4f1c2a", "fingerprint": "9b1e" * 16, "notAfter": "2036-01-01T12:00:00Z"},
    "lifecycle": "active",
    "createdAt": "2034-12-01T08:30:00Z",
    "updatedAt": "2034-12-01T08:30:00Z",
}

DEVICE_RECORD: Final[dict[str, Any]] = {
    **DEVICE,
    "role": "cellar-pump",
    "deviceId": "cellar-pump",
    "metadata": {"board": "rev C"},
    "notes": "Behind the second door.",
    "sources": {"model": "onboarding", "firmware": "reported", "metadata": {"board": "onboarding"}},
    "replaces": "pump-0000",
    "replacedBy": None,
    "version": 812,
}

DEVICE_UPDATE: Final[dict[str, Any]] = {
    "displayName": "Pump in the cellar",
    "role": "cellar-pump",
    "groups": ["cellar"],
    "tags": {"floor": "-1", "spare": None},
    "notes": "Behind the second door.",
    "expectedVersion": 811,
}

SWAP: Final[dict[str, Any]] = {"replacement": "pump-0001"}

DEVICE_LINE: Final = (
    '{"deviceId":"pump-0001","displayName":"Pump in the cellar","role":"cellar-pump","groups":["cellar"],'
    '"tags":{"floor":"-1"},"lifecycle":"active","desired":{"rate":12},"reported":{"rate":3}}\n'
)
DEVICES_CSV: Final = (
    'deviceId,displayName,role,groups,tags\npump-0001,Pump in the cellar,,cellar;wet,"{""floor"":""-1""}"\n'
)

IMPORT_REPORT: Final[dict[str, Any]] = {
    "dryRun": False,
    "total": 2,
    "created": 1,
    "updated": 0,
    "unchanged": 0,
    "failed": 1,
    "lines": [
        {
            "line": 1,
            "deviceId": "pump-0001",
            "result": "created",
            "remarks": ["It has no certificate here: it joins again, or 'devicehub device create' gives it one."],
        },
        {
            "line": 2,
            "deviceId": "pump-0002",
            "result": "failed",
            "error": "name_taken",
            "message": "The device pump-0001 has this role.",
            "fields": {"role": "The device pump-0001 has this role."},
        },
    ],
}

TWIN: Final[dict[str, Any]] = {
    "deviceId": "pump-0001",
    "desired": {"rate": 12},
    "reported": {"rate": 3, "temperature": 21.5},
    "delta": {"rate": 12},
    "desiredVersion": 4,
    "reportedVersion": 17,
    "metadata": {
        "desired": {"rate": {"timestamp": "2035-01-01T12:00:00.000Z"}},
        "reported": {
            "rate": {"timestamp": "2035-01-01T11:58:00.000Z"},
            "temperature": {"timestamp": "2035-01-01T11:59:30.000Z"},
        },
    },
    "lastUpdated": "2035-01-01T12:00:00Z",
}

WISH: Final[dict[str, Any]] = {"desired": {"rate": 12, "valve": None}, "expectedVersion": 3}

CONNECTION: Final[dict[str, Any]] = {
    "connectedAt": "2035-01-01T12:00:00Z",
    "disconnectedAt": "2035-01-01T12:05:12Z",
    "address": "192.0.2.7:50001",
    "evidence": "timeout",
}

METHOD_CALL: Final[dict[str, Any]] = {"payload": {"delay": 5}, "timeout": 10, "queue": True, "expiresIn": 3600}

METHOD_ANSWER: Final[dict[str, Any]] = {
    "requestId": "9f1c2ab04d7e3365-1c",
    "status": 200,
    "payload": {"rebootsAt": "2035-01-01T12:00:05Z"},
    "message": None,
    "queuedUntil": None,
}

MESSAGE_SEND: Final[dict[str, Any]] = {"payload": {"text": "Back in ten minutes."}, "expiresIn": 600}

MESSAGE_SENT: Final[dict[str, Any]] = {
    "messageId": "4c1be07d9f1c2ab04d7e3365",
    "deviceId": "pump-0001",
    "state": "held",
    "timestamp": "2035-01-01T12:00:00Z",
}

CHANGE: Final[dict[str, Any]] = {
    "half": "desired",
    "version": 4,
    "change": {"rate": 12, "valve": None},
    "by": "user:anna",
    "timestamp": "2035-01-01T12:00:00.000Z",
}

COMPARISON: Final[dict[str, Any]] = {
    "deviceId": "pump-0001",
    "from": {"desired": 3, "reported": 17},
    "to": {"desired": 4, "reported": 17},
    "total": 2,
    "differences": [
        {
            "half": "desired",
            "path": "/rate",
            "before": 3,
            "after": 12,
            "version": 4,
            "by": "user:anna",
            "timestamp": "2035-01-01T12:00:00.000Z",
        },
        {
            "half": "desired",
            "path": "/valve",
            "before": "open",
            "version": 4,
            "by": "user:anna",
            "timestamp": "2035-01-01T12:00:00.000Z",
        },
    ],
}

STATS: Final[dict[str, Any]] = {
    "total": 3,
    "online": 1,
    "offline": 1,
    "neverSeen": 1,
    "byGroup": {"cellar": 2},
    "byModel": {"P-200": 3},
    "outOfSync": 1,
    "retired": 0,
}

FACETS: Final[dict[str, Any]] = {
    "total": 3,
    "status": {"online": 1, "offline": 1, "unknown": 1},
    "group": {"cellar": 2},
    "model": {"P-200": 3},
    "tag": {"floor=-1": 2, "lab=": 1},
}

GROUP: Final[dict[str, Any]] = {"group": "old-pumps", "device_count": 2, "query": "model:P-200 firmware<1.4"}
GROUP_CREATE: Final[dict[str, Any]] = {"group": "old-pumps", "query": "model:P-200 firmware<1.4"}
GROUP_UPDATE: Final[dict[str, Any]] = {"query": "model:P-200 firmware<1.5"}

CERTIFICATE: Final[dict[str, Any]] = {
    "serial": "c41f9b1ea0557be0d3a6f1c2984be07d",
    "subject": "pump-0001",
    "kind": "device",
    "state": "active",
    "fingerprint": "9b1e" * 16,
    "notBefore": "2034-12-01T07:30:00Z",
    "notAfter": "2044-11-28T08:30:00Z",
    "issuedAt": "2034-12-01T08:30:00Z",
    "issuedTo": "claim:factory",
    "gate": "two-rounds",
    "revokedAt": None,
    "reason": None,
}

PEM: Final = "-----BEGIN CERTIFICATE-----\nMIIB8zCC…\n-----END CERTIFICATE-----\n"

REVOKED: Final[dict[str, Any]] = {
    "serial": "c41f9b1ea0557be0d3a6f1c2984be07d",
    "subject": "pump-0001",
    "kind": "device",
    "revokedAt": "2035-01-01T12:00:00Z",
    "reason": "keyCompromise",
    "consequence": "device_retired",
    "message": "The device 'pump-0001' is retired by it and its session ends, as this was its certificate.",
}

CRL: Final = "-----BEGIN X509 CRL-----\nMIIBLTCB…\n-----END X509 CRL-----\n"

CLAIM: Final[dict[str, Any]] = {
    "name": "factory-2",
    "serial": "4f1c2a",
    "createdAt": "2035-01-01T12:00:00Z",
    "notAfter": "2036-01-01T12:00:00Z",
    "revokedAt": None,
    "hasBundle": True,
}

CLAIM_DETAIL: Final[dict[str, Any]] = {
    "name": "factory-2",
    "commonName": "claim-factory-2",
    "serial": "4f1c2a",
    "fingerprint": "9b1e" * 16,
    "createdAt": "2035-01-01T12:00:00Z",
    "createdBy": "app:factory",
    "notBefore": "2035-01-01T11:00:00Z",
    "notAfter": "2036-01-01T12:00:00Z",
    "revokedAt": None,
    "hasBundle": True,
    "certPem": "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n",
}

CLAIM_ISSUE: Final[dict[str, Any]] = {"name": "factory-2", "days": 365}

DEVICE_REGISTER: Final[dict[str, Any]] = {"deviceId": "pump-0001", "days": 3650}

ENROLMENT: Final[dict[str, Any]] = {
    "isOpen": True,
    "openUntil": "2035-01-01T12:30:00Z",
    "whitelistEnforced": False,
    "serveFiles": "factory-2",
}

ENROLMENT_CHANGE: Final[dict[str, Any]] = {"isOpen": True, "minutes": 30, "serveFiles": "factory-2"}

SERVER: Final[dict[str, Any]] = {
    "mqttHost": "hub.example.com",
    "mqttPort": 8883,
    "hostnames": ["hub.local"],
    "deviceDays": 730,
    "claimDays": 1825,
    "version": 3,
    "defaults": {"mqttHost": "192.0.2.10", "mqttPort": 8883, "hostnames": [], "deviceDays": 3650, "claimDays": 1825},
    "fixed": {"topicPrefix": "$devicehub", "renewalGraceSeconds": 604800},
}

SERVER_CHANGE: Final[dict[str, Any]] = {"mqttHost": "hub.example.com", "hostnames": ["hub.local"], "deviceDays": 730}

ALARM: Final[dict[str, Any]] = {
    "id": "certificate-expiring-3f9ac1d27b60e5aa",
    "kind": "certificate-expiring",
    "subject": "pump-0001",
    "severity": "warning",
    "state": "open",
    "text": "The certificate of pump-0001 ends soon. It ends on 2035-01-20.",
    "remedy": "Have the device renew it, or make a new one; after its end the broker refuses it.",
    "openedAt": "2035-01-01T12:00:00Z",
    "seenAt": "2035-01-01T12:00:00Z",
    "count": 1,
    "times": 1,
    "acknowledgedAt": None,
    "acknowledgedBy": None,
    "closedAt": None,
}

WHITELIST_ENTRY: Final[dict[str, Any]] = {
    "id": "5d1e" * 16,
    "hint": "1c0d",
    "note": "lot 7",
    "hardwareVersion": "rev C",
    "manufacturer": "ACME",
    "disabled": False,
    "addedAt": "2035-01-01T12:00:00Z",
    "firstUsedAt": None,
    "lastUsedAt": None,
}

WHITELIST_CREATE: Final[dict[str, Any]] = {
    "uuid": "9205255d-9a5c-4c5f-8a5e-1d1a3a2b1c0d",
    "note": "lot 7",
    "hardwareVersion": "rev C",
    "manufacturer": "ACME",
}

WHITELIST_BATCH: Final[dict[str, Any]] = {
    "entries": [
        {"uuid": "9205255d-9a5c-4c5f-8a5e-1d1a3a2b1c0d", "note": "bench"},
        "9205255d-0000-4c5f-8a5e-1d1a3a2b1c0e",
    ],
    "note": "lot 7",
    "manufacturer": "ACME",
    "dryRun": True,
}

WHITELIST_CSV: Final = "uuid,note,hardwareVersion,manufacturer\n9205255d-9a5c-4c5f-8a5e-1d1a3a2b1c0d,lot 7,rev C,ACME\n"
WHITELIST_NDJSON: Final = '{"uuid": "9205255d-9a5c-4c5f-8a5e-1d1a3a2b1c0d", "note": "lot 7"}\n'

WHITELIST_REPORT: Final[dict[str, Any]] = {
    "dryRun": True,
    "added": 1,
    "present": 1,
    "malformed": 1,
    "duplicates": 0,
    "lines": [
        {"line": 1, "result": "added", "reason": ""},
        {"line": 2, "result": "present", "reason": "it is disabled"},
        {"line": 3, "result": "malformed", "reason": "not 4 to 64 letters, digits, '_' or '-'"},
    ],
}

CHECK: Final[dict[str, Any]] = {
    "check": "certificates",
    "isWell": False,
    "total": 1,
    "findings": [
        {
            "kind": "certificate-expiring",
            "subject": "pump-0001",
            "severity": "warning",
            "text": "The certificate of pump-0001 ends soon. It ends on 2035-01-20.",
            "remedy": "Have the device renew it, or make a new one; after its end the broker refuses it.",
        }
    ],
}

CA: Final[dict[str, Any]] = {
    "fingerprint": "6c0e" * 16,
    "commonName": "Pumps CA",
    "isRoot": True,
    "notAfter": "2045-01-01T12:00:00Z",
    "inUse": False,
    "settled": True,
    "keyEncrypted": True,
    "decidedAt": "2035-01-01T12:00:00Z",
    "decidedBy": "app:setup",
    "chain": [
        {
            "subject": "CN=Pumps CA,O=Device Hub",
            "issuer": "CN=Pumps CA,O=Device Hub",
            "serial": "d50f9b1ea0557be0d3a6f1c2984be07d",
            "fingerprint": "6c0e" * 16,
            "notBefore": "2035-01-01T11:00:00Z",
            "notAfter": "2045-01-01T12:00:00Z",
            "key": "ec secp256r1",
            "signatureHash": "sha256",
            "pathLength": 0,
        }
    ],
    "caPem": PEM,
}
CA_REPLACED: Final[dict[str, Any]] = {**CA, "settled": False, "endedClaims": ["default"]}
CA_CREATE: Final[dict[str, Any]] = {"cn": "Pumps CA", "days": 3650, "key": "P-256", "replaces": "9b1e" * 16}
CA_IMPORT: Final[dict[str, Any]] = {
    "chainPem": PEM,
    "keyPem": "-----BEGIN PRIVATE KEY-----\nMIGHAgEA…\n-----END PRIVATE KEY-----\n",
}

HEALTH: Final[dict[str, Any]] = {
    "status": "ok",
    "service": "devicehub",
    "version": "1.0.0",
    "timestamp": "2035-01-01T12:00:00.000Z",
}

READY: Final[dict[str, Any]] = {
    "status": "ready",
    "parts": {"nats": "up", "functions": "up", "index": "up", "bridge": "up", "broker": "up"},
}
