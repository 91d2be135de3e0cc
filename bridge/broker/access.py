"""Claim roles and denied devices, as dynamic-security clients and roles: what should be, against what is.

Pure. Every client and role made here carries ``MARK``, and none without it is
touched: an operator's own entries stay.

A certificate client is not one that the plugin ever authenticates; an entry
with its common name only adds the entry's roles to what the ACL file says.

A role that a client holds must not be deleted: Mosquitto 2.0.11 leaves the
client a dangling role, and from then on answers ``listClients`` with
``Internal error`` until it is started again (tried).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functions.domain.names import CLAIM_PREFIX

MARK = "device-hub"
DENIED_ROLE = "hub-denied"

_ALLOW_PRIORITY = 5
_DENY_PRIORITY = 9

Command = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """One line of a role."""

    kind: str
    topic: str
    allow: bool
    priority: int

    def encode(self) -> Command:
        """As the plugin takes it."""
        return {"acltype": self.kind, "topic": self.topic, "allow": self.allow, "priority": self.priority}

    @classmethod
    def decode(cls, told: Mapping[str, Any]) -> "Rule":
        """As the plugin lists it."""
        return cls(str(told["acltype"]), str(told["topic"]), bool(told["allow"]), int(told.get("priority", -1)))


@dataclass(frozen=True, slots=True)
class Wanted:
    """The roles with their rules, and the one role of each client."""

    roles: Mapping[str, frozenset[Rule]]
    clients: Mapping[str, str]


def wanted(claims: Collection[str], denied: Collection[str], prefixes: Sequence[str]) -> Wanted:
    """What the plugin should hold for these claim names and denied common names."""
    roles = {f"{CLAIM_PREFIX}{name}": _claim_rules(f"{CLAIM_PREFIX}{name}", prefixes) for name in claims}
    clients = {common_name: common_name for common_name in roles}
    roles[DENIED_ROLE] = _denied_rules(prefixes)
    # Denial comes last: a claim certificate that is both is denied.
    clients.update(dict.fromkeys(denied, DENIED_ROLE))
    return Wanted(roles, clients)


def changes(want: Wanted, roles: Iterable[Command], clients: Iterable[Command]) -> list[Command]:
    """The commands, in order, that make the listed roles and clients the wanted ones; none if they are."""
    known_roles = {str(role["rolename"]): role for role in roles}
    known_clients = {str(client["username"]): client for client in clients}
    ours = {name for name, client in known_clients.items() if client.get("textname") == MARK}
    commands = [_role(name, rules, known_roles) for name, rules in want.roles.items()]
    commands += [_client(name, role, known_clients) for name, role in want.clients.items()]
    gone = sorted(ours - want.clients.keys())
    commands += [delete_client(name) for name in gone]
    over = [name for name, role in known_roles.items() if role.get("textname") == MARK and name not in want.roles]
    for role in over:
        commands += [
            {"command": "removeClientRole", "username": name, "rolename": role}
            for name, client in known_clients.items()
            if name not in ours and role in _roles(client)
        ]
        commands.append({"command": "deleteRole", "rolename": role})
    return [command for command in commands if command]


def create_client(common_name: str, role: str | None = None) -> Command:
    """The command that makes a client, with at most one role."""
    roles = [{"rolename": role, "priority": 1}] if role else []
    return {"command": "createClient", "username": common_name, "textname": MARK, "roles": roles}


def delete_client(common_name: str) -> Command:
    """The command that deletes a client; it ends the connections of that name, entry or not, at once."""
    return {"command": "deleteClient", "username": common_name}


def endings(common_names: Iterable[str], clients: Mapping[str, str]) -> list[list[Command]]:
    """For each name the commands that end its connections: make the client, delete it, make it again if it should be.

    Each inner list belongs into one message, between whose commands nothing else happens.
    """
    ends: list[list[Command]] = []
    for common_name in common_names:
        commands = [create_client(common_name), delete_client(common_name)]
        role = clients.get(common_name)
        if role is not None:
            commands.append(create_client(common_name, role))
        ends.append(commands)
    return ends


def _claim_rules(common_name: str, prefixes: Sequence[str]) -> frozenset[Rule]:
    rules: set[Rule] = set()
    for prefix in prefixes:
        onboarding = f"{prefix}/certificates/create-from-csr"
        rules.add(Rule("publishClientSend", onboarding, allow=True, priority=_ALLOW_PRIORITY))
        rules.add(Rule("publishClientReceive", f"{onboarding}/+", allow=True, priority=_ALLOW_PRIORITY))
        # The ACL file's patterns give every certificate a subtree of its own
        # name; a claim certificate is no device and has none.
        own = f"{prefix}/devices/{common_name}/#"
        rules.add(Rule("publishClientSend", own, allow=False, priority=_DENY_PRIORITY))
    return frozenset(rules)


def _denied_rules(prefixes: Sequence[str]) -> frozenset[Rule]:
    # "#" does not match topics that begin with "$".
    topics = ("#", *(f"{prefix}/#" for prefix in prefixes))
    kinds = ("publishClientSend", "publishClientReceive", "subscribePattern")
    return frozenset(Rule(kind, topic, allow=False, priority=_DENY_PRIORITY) for kind in kinds for topic in topics)


def _role(name: str, rules: frozenset[Rule], known: Mapping[str, Command]) -> Command:
    listed = known.get(name)
    acls = [rule.encode() for rule in sorted(rules)]
    if listed is None:
        return {"command": "createRole", "rolename": name, "textname": MARK, "acls": acls}
    if listed.get("textname") == MARK and frozenset(map(Rule.decode, listed.get("acls", []))) == rules:
        return {}
    return {"command": "modifyRole", "rolename": name, "textname": MARK, "acls": acls}


def _client(name: str, role: str, known: Mapping[str, Command]) -> Command:
    listed = known.get(name)
    if listed is None:
        return create_client(name, role)
    if listed.get("textname") == MARK and _roles(listed) == [role]:
        return {}
    return {
        "command": "modifyClient",
        "username": name,
        "textname": MARK,
        "roles": [{"rolename": role, "priority": 1}],
    }


def _roles(client: Command) -> list[str]:
    return [str(held["rolename"]) for held in client.get("roles", [])]
