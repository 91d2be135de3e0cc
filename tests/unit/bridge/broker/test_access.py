"""Roles and clients are brought to what they should be, and no others are touched."""

from typing import Any

from bridge.broker.access import DENIED_ROLE, MARK, changes, endings, wanted

PREFIXES = ("$devicehub", "$fleethub")


class Plugin:
    """What the dynamic-security plugin does with the commands used here."""

    def __init__(self) -> None:
        self.roles: dict[str, dict[str, Any]] = {}
        self.clients: dict[str, dict[str, Any]] = {}

    def run(self, commands: list[dict[str, Any]]) -> None:
        for command in commands:
            told = {key: value for key, value in command.items() if key != "command"}
            match command["command"]:
                case "createRole" | "modifyRole":
                    self.roles[told["rolename"]] = told
                case "createClient" | "modifyClient":
                    assert all(role["rolename"] in self.roles for role in told["roles"])
                    self.clients[told["username"]] = told
                case "removeClientRole":
                    held = self.clients[told["username"]]["roles"]
                    held.remove({"rolename": told["rolename"]})
                case "deleteRole":
                    # Of a role that is still held Mosquitto 2.0.11 leaves a dangling one.
                    assert not any(
                        role["rolename"] == told["rolename"] for one in self.clients.values() for role in one["roles"]
                    )
                    del self.roles[told["rolename"]]
                case "deleteClient":
                    del self.clients[told["username"]]

    def bring(self, claims: list[str], denied: list[str]) -> list[dict[str, Any]]:
        commands = changes(wanted(claims, denied, PREFIXES), self.roles.values(), self.clients.values())
        self.run(commands)
        return commands


def test_a_claim_role_holds_the_handshake_under_every_prefix_and_no_subtree() -> None:
    plugin = Plugin()
    plugin.bring(["fleet"], [])

    acls = {(acl["acltype"], acl["topic"], acl["allow"]) for acl in plugin.roles["claim-fleet"]["acls"]}

    assert acls == {
        ("publishClientSend", "$devicehub/certificates/create-from-csr", True),
        ("publishClientReceive", "$devicehub/certificates/create-from-csr/+", True),
        ("publishClientSend", "$devicehub/devices/claim-fleet/#", False),
        ("publishClientSend", "$fleethub/certificates/create-from-csr", True),
        ("publishClientReceive", "$fleethub/certificates/create-from-csr/+", True),
        ("publishClientSend", "$fleethub/devices/claim-fleet/#", False),
    }
    assert plugin.clients["claim-fleet"]["roles"] == [{"rolename": "claim-fleet", "priority": 1}]


def test_doing_it_again_does_nothing() -> None:
    plugin = Plugin()
    plugin.bring(["fleet", "factory"], ["EDGB-0001"])

    assert plugin.bring(["factory", "fleet"], ["EDGB-0001"]) == []


def test_what_should_not_be_goes_and_what_is_missing_comes() -> None:
    plugin = Plugin()
    plugin.bring(["old"], ["EDGB-0001"])

    plugin.bring(["new"], ["EDGB-0002"])

    assert set(plugin.roles) == {"claim-new", DENIED_ROLE}
    assert set(plugin.clients) == {"claim-new", "EDGB-0002"}
    assert plugin.clients["EDGB-0002"]["roles"] == [{"rolename": DENIED_ROLE, "priority": 1}]


def test_a_role_that_differs_is_mended() -> None:
    plugin = Plugin()
    plugin.bring(["fleet"], [])
    plugin.roles["claim-fleet"]["acls"].append(
        {"acltype": "publishClientSend", "topic": "#", "allow": True, "priority": 1}
    )
    plugin.clients["claim-fleet"]["roles"] = []

    commands = plugin.bring(["fleet"], [])

    assert [command["command"] for command in commands] == ["modifyRole", "modifyClient"]
    assert plugin.bring(["fleet"], []) == []


def test_what_a_crash_left_of_an_ending_goes() -> None:
    plugin = Plugin()
    plugin.bring([], [])
    plugin.clients["EDGB-0001"] = {"username": "EDGB-0001", "textname": MARK, "roles": []}

    plugin.bring([], [])

    assert not plugin.clients


def test_an_operator_s_own_entries_stay() -> None:
    plugin = Plugin()
    plugin.clients["grafana"] = {"username": "grafana", "roles": [{"rolename": "reader"}]}
    plugin.roles["reader"] = {"rolename": "reader", "acls": []}

    plugin.bring([], [])

    assert set(plugin.clients) == {"grafana"}
    assert set(plugin.roles) == {"reader", DENIED_ROLE}


def test_a_role_that_an_operator_gave_on_is_taken_away_before_it_is_deleted() -> None:
    plugin = Plugin()
    plugin.bring(["fleet"], [])
    plugin.clients["tester"] = {"username": "tester", "roles": [{"rolename": "claim-fleet"}]}

    plugin.bring([], [])

    assert plugin.clients == {"tester": {"username": "tester", "roles": []}}


def test_a_denied_claim_is_denied() -> None:
    assert wanted(["fleet"], ["claim-fleet"], PREFIXES).clients["claim-fleet"] == DENIED_ROLE


def test_an_ended_claim_client_is_made_again() -> None:
    clients = wanted(["fleet"], [], PREFIXES).clients

    ends = endings(["EDGB-0001", "claim-fleet"], clients)

    assert [[command["command"] for command in one] for one in ends] == [
        ["createClient", "deleteClient"],
        ["createClient", "deleteClient", "createClient"],
    ]
    assert ends[1][2]["roles"] == [{"rolename": "claim-fleet", "priority": 1}]
