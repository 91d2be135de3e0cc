"""The commands against a hub: the stack's own NATS configuration, the runtime and every function, records in memory."""

import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import Result

from functions.domain.tokens import is_text
from functions.routes import ROUTES
from infra.node import Node, write_node
from infra.stack.paths import Paths
from tests.integration.commanded import Hub, commanded
from tests.ports import free_port


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with commanded(tmp_path_factory.mktemp("data")) as running:
        yield running


# --- Devices


def test_a_device_is_made_listed_shown_and_revoked(hub: Hub, tmp_path: Path) -> None:
    out = tmp_path / "pump-0001"

    told = hub.do("device", "create", "pump-0001", "--out", str(out), "--days", "10")

    assert "pump-0001" in told
    # The functions know where devices connect.
    assert "hub.example:8883" in told
    certificate = x509.load_pem_x509_certificate((out / "pump-0001.crt").read_bytes())
    assert (certificate.not_valid_after_utc - datetime.now(UTC)).days in (9, 10)
    assert stat.S_IMODE((out / "pump-0001.key").stat().st_mode) == 0o600
    assert "pump-0001" in hub.do("device", "list", "--q", "pump-0001")
    assert hub.json("device", "list", "--q", "pump-0001")["total"] == 1
    shown = hub.json("device", "show", "pump-0001")
    assert shown["certificate"]["serial"] == f"{certificate.serial_number:x}"
    assert shown["certificate"]["serial"] in hub.do("device", "show", "pump-0001")

    hub.do("device", "revoke", "pump-0001")

    assert hub.json("device", "show", "pump-0001")["lifecycle"] == "retired"


def test_a_certificate_is_found_shown_and_revoked_with_what_follows(hub: Hub, tmp_path: Path) -> None:
    hub.do("device", "create", "fan-0001", "--out", str(tmp_path / "fan"), "--days", "30")
    certificate = x509.load_pem_x509_certificate((tmp_path / "fan" / "fan-0001.crt").read_bytes())
    serial = f"{certificate.serial_number:x}"
    colons = ":".join(serial.upper()[n : n + 2] for n in range(0, len(serial), 2))

    assert serial in hub.do("certificate", "list", "--q", colons[:20])
    (found,) = hub.json("certificate", "list", "--expires-within", "31d", "--subject", "fan-0001")["certificates"]
    assert (found["serial"], found["gate"], found["issuedTo"]) == (serial, "staff", "system:cli")
    assert "No certificate matches." in hub.do("certificate", "list", "--expires-within", "29d", "--q", "fan-0001")
    shown = hub.do("certificate", "show", colons)
    assert found["fingerprint"] in shown
    assert shown.rstrip().endswith("-----END CERTIFICATE-----")

    told = hub.do("certificate", "revoke", colons, "--reason", "keyCompromise")

    assert "The device 'fan-0001' is retired by it" in told
    assert hub.json("certificate", "show", serial)["reason"] == "keyCompromise"
    assert hub.json("certificate", "list", "--state", "revoked", "--q", "fan-0001")["total"] == 1
    assert hub.run("certificate", "revoke", "abcd").exit_code == 1
    assert hub.run("certificate", "show", "fan-0001").exit_code == 2
    assert hub.run("certificate", "revoke", serial, "--reason", "tired").exit_code == 2


def test_the_revocation_list_is_printed_and_written(hub: Hub, tmp_path: Path) -> None:
    hub.do("device", "create", "fan-0002", "--out", str(tmp_path / "fan"))
    hub.do("device", "revoke", "fan-0002")
    serial = hub.json("device", "show", "fan-0002")["certificate"]["serial"]

    printed = x509.load_pem_x509_crl(hub.do("crl").encode())
    told = hub.do("crl", "--der", "--out", str(tmp_path / "crl.der"))
    written = x509.load_der_x509_crl((tmp_path / "crl.der").read_bytes())

    assert serial in {f"{entry.serial_number:x}" for entry in printed}
    assert written == printed
    assert str(tmp_path / "crl.der") in told
    assert x509.load_pem_x509_crl(hub.json("crl")["pem"].encode()) == printed
    assert hub.run("crl", "--der").exit_code == 2
    assert hub.run("crl", "--out", str(tmp_path / "no" / "crl.pem")).exit_code == 1


def test_a_page_of_devices_says_how_to_see_the_next(hub: Hub, tmp_path: Path) -> None:
    for number in range(3):
        hub.do("device", "create", f"valve-{number}", "--out", str(tmp_path / str(number)))

    assert "1 to 2 of 3; more with --offset 2" in hub.do("device", "list", "--q", "valve", "--limit", "2")
    last = hub.do("device", "list", "--q", "valve", "--limit", "2", "--offset", "2")
    assert "valve-2" in last
    assert "more with" not in last


def test_a_device_that_exists_is_refused_and_leaves_no_key(hub: Hub, tmp_path: Path) -> None:
    hub.do("device", "create", "pump-0002", "--out", str(tmp_path / "first"))

    done = hub.run("device", "create", "pump-0002", "--out", str(tmp_path / "second"))

    assert done.exit_code == 1
    assert "exists" in done.stderr
    assert not (tmp_path / "second").exists()


def test_an_interrupted_create_ends_with_the_certificate_that_was_signed(hub: Hub, tmp_path: Path) -> None:
    """As after a crash between signing and writing: key and CSR lie there, the certificate does not."""
    from functions.contract.messages import DeviceCreate, Issued
    from functions.contract.requests import make_request
    from infra.cli.connection import ask

    csr, key = make_request("pump-0003")
    (tmp_path / "pump-0003.key").write_text(key)
    (tmp_path / "pump-0003.csr").write_text(csr)
    signed = ask(hub.data, "devicehub.registry.devices.pump-0003.create", DeviceCreate(csr_pem=csr), Issued)

    hub.do("device", "create", "pump-0003", "--out", str(tmp_path))

    assert (tmp_path / "pump-0003.crt").read_text() == signed.cert_pem
    assert (tmp_path / "pump-0003.key").read_text() == key
    assert not (tmp_path / "pump-0003.csr").exists()


def test_a_record_is_changed_and_addressed_by_its_role(hub: Hub, tmp_path: Path) -> None:
    hub.do("device", "create", "crane-0001", "--out", str(tmp_path / "crane"))

    told = hub.do(
        "device", "update", "crane-0001", "--name", "North crane", "--role", "crane-north", "--group", "yard",
        "--tag", "site=A", "--tag", "lift=yes", "--notes", "painted",
    )  # fmt: skip
    assert "crane-north" in told
    shown = hub.json("device", "update", "crane-north", "--untag", "lift")
    assert (shown["displayName"], shown["groups"], shown["tags"]) == ("North crane", ["yard"], {"site": "A"})
    assert (shown["deviceId"], shown["notes"]) == ("crane-north", "painted")
    assert hub.json("twin", "get", "crane-north")["deviceId"] == "crane-0001"

    stale = hub.run("device", "update", "crane-0001", "--notes", "x", "--expected-version", "1")
    assert (stale.exit_code, "version" in stale.stderr) == (1, True)
    assert hub.run("device", "update", "crane-0001").exit_code == 2
    assert hub.run("device", "update", "crane-0001", "--tag", "site").exit_code == 2
    assert hub.json("device", "update", "crane-0001", "--role", "")["role"] is None


def test_a_device_is_replaced_and_retired(hub: Hub, tmp_path: Path) -> None:
    for name in ("drill-0001", "drill-0002"):
        hub.do("device", "create", name, "--out", str(tmp_path / name))
    hub.do("device", "update", "drill-0001", "--role", "drill", "--group", "yard")
    hub.do("twin", "set", "drill-0001", '{"rate": 4}')

    told = hub.do("device", "swap", "drill", "drill-0002")

    assert "drill-0002 takes the place of drill-0001 and has the role drill" in told
    assert hub.json("device", "show", "drill")["deviceName"] == "drill-0002"
    assert hub.json("twin", "get", "drill")["desired"] == {"rate": 4}
    assert hub.json("device", "show", "drill-0001")["replacedBy"] == "drill-0002"
    assert hub.run("device", "swap", "drill-0001", "drill-0002").exit_code == 0
    assert "drill-0002 is retired" in hub.do("device", "retire", "drill")
    assert hub.run("device", "show", "drill").exit_code == 1


@pytest.mark.parametrize("name", ["fleet.csv", "fleet.ndjson"])
def test_the_fleet_is_exported_and_imported(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.do("device", "create", f"saw-{name[6:]}-1", "--out", str(tmp_path / "saw"))
    file = tmp_path / name

    assert f"devices are in {file}" in hub.do("device", "export", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    told = hub.do("device", "import", str(file))
    assert "0 created, 0 updated" in told
    assert ", 0 failed" in told

    lines = [{"deviceId": f"saw-{name[6:]}-2", "groups": ["yard"]}, {"deviceId": "x"}]
    file.with_suffix(".jsonl").write_text("\n".join(map(json.dumps, lines)))
    dry = hub.run("device", "import", str(file.with_suffix(".jsonl")), "--dry-run")
    assert (dry.exit_code, "2 devices: 1 created" in dry.stdout, "line 2: x" in dry.stderr) == (1, True, True)
    assert hub.run("device", "show", f"saw-{name[6:]}-2").exit_code == 1
    hub.run("device", "import", str(file.with_suffix(".jsonl")))
    assert hub.json("device", "show", f"saw-{name[6:]}-2")["groups"] == ["yard"]
    assert hub.run("device", "export", str(tmp_path / "fleet.xlsx")).exit_code == 2


def test_devices_that_match_are_counted_by_what_they_have(hub: Hub, tmp_path: Path) -> None:
    hub.do("device", "create", "counted-1", "--out", str(tmp_path / "counted"))
    hub.do("device", "update", "counted-1", "--group", "counters", "--tag", "floor=3")

    found = hub.json("device", "facets", "id:counted-1")
    assert found == {
        "total": 1, "status": {"unknown": 1}, "group": {"counters": 1}, "model": {}, "tag": {"floor=3": 1},
    }  # fmt: skip
    assert "floor=3  1" in hub.do("device", "facets", "--q", "-group:others id:counted-1")
    wrong = hub.run("device", "facets", "colour:red")
    assert (wrong.exit_code, "at character 1" in wrong.stderr) == (1, True)


def test_devices_are_listed_by_a_query_in_an_order(hub: Hub, tmp_path: Path) -> None:
    for number, tag in enumerate(("site=A", "site=B", "site=A")):
        hub.do("device", "create", f"sorted-{number}", "--out", str(tmp_path / str(number)))
        hub.do("device", "update", f"sorted-{number}", "--tag", tag)

    found = hub.json("device", "list", "sorted tag:site=A", "--sort", "-deviceName", "--limit", "5")
    assert [device["deviceName"] for device in found["devices"]] == ["sorted-2", "sorted-0"]
    wrong = hub.run("device", "list", "sorted (tag:site=A")
    assert (wrong.exit_code, "at character 8: this '(' is not closed" in wrong.stderr) == (1, True)
    assert hub.run("device", "list", "a", "--q", "b").exit_code == 2


def test_a_group_is_made_changed_listed_and_deleted(hub: Hub, tmp_path: Path) -> None:
    hub.do("device", "create", "grouped-1", "--out", str(tmp_path / "grouped"))

    assert "has 1 devices now" in hub.do("group", "create", "grouped", "--query", "id:grouped-*")
    assert {"group": "grouped", "device_count": 1, "query": "id:grouped-*"} in hub.json("group", "list")
    assert "grouped-1" in hub.do("device", "list", "group:grouped")
    assert "has 0 devices now" in hub.do("group", "update", "grouped", "--query", "id:none")
    assert "id:none" in hub.do("group", "list")
    hub.do("group", "delete", "grouped")
    assert hub.run("group", "delete", "grouped").exit_code == 1
    assert hub.run("group", "create", "no group").exit_code == 2


def test_the_fleet_is_counted(hub: Hub, tmp_path: Path) -> None:
    hub.do("device", "create", "in-stats", "--out", str(tmp_path / "stats"))
    hub.do("twin", "set", "in-stats", '{"rate": 3}')

    counts = hub.json("stats", "--out-of-sync", "0")
    assert counts["total"] == counts["online"] + counts["offline"] + counts["neverSeen"]
    assert counts["outOfSync"] >= 1
    assert "Out of sync over 3600 s" in hub.do("stats", "--out-of-sync", "3600")


def test_an_unknown_device_is_told(hub: Hub) -> None:
    for words in (("device", "show"), ("device", "revoke"), ("twin", "get")):
        done = hub.run(*words, "nobody-1")
        assert done.exit_code == 1
        assert "no such device" in done.stderr


@pytest.mark.parametrize("name", ["", "a.b", "a*b", "claim-x", "hub-1", "-x", "a b", "a/b"])
def test_a_name_that_no_device_can_have_is_wrong_usage(hub: Hub, name: str) -> None:
    assert hub.run("device", "show", "--", name).exit_code == 2


# --- Twins


def test_a_twin_is_wished_and_read(hub: Hub, tmp_path: Path) -> None:
    hub.do("device", "create", "lamp-0001", "--out", str(tmp_path / "lamp"))

    hub.do("twin", "set", "lamp-0001", '{"led": {"on": true}, "rate": 3}')
    told = hub.do("twin", "set", "lamp-0001", "-", given='{"rate": null}')

    assert '"on": true' in told
    view = hub.json("twin", "get", "lamp-0001")
    assert view["desired"] == {"led": {"on": True}}
    assert view["delta"] == {"led": {"on": True}}
    assert view["desiredVersion"] == 2


def test_a_wish_over_a_version_that_has_passed_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.do("device", "create", "lamp-0002", "--out", str(tmp_path / "lamp"))
    hub.do("twin", "set", "lamp-0002", '{"rate": 1}')

    done = hub.run("twin", "set", "lamp-0002", '{"rate": 2}', "--expected-version", "0")

    assert done.exit_code == 1
    assert hub.json("twin", "get", "lamp-0002")["desired"] == {"rate": 1}


def test_a_patch_that_is_no_object_is_wrong_usage(hub: Hub) -> None:
    assert hub.run("twin", "set", "lamp-0001", "[1]").exit_code == 2


# --- Claims


def test_a_claim_certificate_is_made_shown_downloaded_and_deleted(hub: Hub, tmp_path: Path) -> None:
    hub.do("claim", "create", "lot-7", "--out", str(tmp_path / "first"), "--days", "30")

    certificate = x509.load_pem_x509_certificate((tmp_path / "first" / "provisioning.crt").read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=claim-lot-7"
    assert stat.S_IMODE((tmp_path / "first" / "provisioning.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "first").stat().st_mode) == 0o700
    assert "lot-7" in hub.do("claim", "list")
    shown = hub.json("claim", "show", "lot-7")
    assert (shown["serial"], shown["hasBundle"]) == (f"{certificate.serial_number:x}", True)
    assert "BEGIN CERTIFICATE" in hub.do("claim", "show", "lot-7")
    hub.do("claim", "download", "lot-7", "--out", str(tmp_path / "second"))
    for name in ("ca.crt", "provisioning.crt", "provisioning.key", "config.json"):
        assert (tmp_path / "second" / name).read_bytes() == (tmp_path / "first" / name).read_bytes()

    hub.do("claim", "delete", "lot-7")

    assert [fact["revokedAt"] for fact in hub.json("claim", "list") if fact["name"] == "lot-7"] != [None]
    for words in (("show", "lot-7"), ("download", "lot-7", "--out", str(tmp_path / "third"))):
        assert hub.run("claim", *words).exit_code == 1
    assert not (tmp_path / "third").exists()


def test_a_claim_with_a_key_of_its_own_is_in_its_directory_alone(hub: Hub, tmp_path: Path) -> None:
    hub.do("claim", "create", "own-1", "--own-key", "--out", str(tmp_path / "own"))

    assert (tmp_path / "own" / "provisioning.key").exists()
    assert hub.json("claim", "show", "own-1")["hasBundle"] is False
    done = hub.run("claim", "download", "own-1", "--out", str(tmp_path / "again"))
    assert done.exit_code == 1
    assert "made elsewhere" in done.stderr
    done = hub.run("enrolment", "open", "--serve-files", "own-1")
    assert done.exit_code == 1
    assert "made elsewhere" in done.stderr
    assert hub.run("claim", "create", "own-2", "--own-key").exit_code == 2


def test_a_directory_that_holds_a_bundle_is_left_alone(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "provisioning.key").write_text("another")

    done = hub.run("claim", "create", "lot-8", "--out", str(tmp_path))

    assert done.exit_code == 1
    assert "provisioning.key" in done.stderr
    assert (tmp_path / "provisioning.key").read_text() == "another"
    assert "lot-8" not in hub.do("claim", "list")


def test_a_claim_can_be_made_now_and_its_bundle_fetched_later(hub: Hub, tmp_path: Path) -> None:
    assert "devicehub claim download lot-9" in hub.do("claim", "create", "lot-9")
    hub.do("claim", "download", "lot-9", "--out", str(tmp_path))
    assert (tmp_path / "config.json").exists()
    assert hub.run("claim", "create", "lot-9", "--out", str(tmp_path / "x")).exit_code == 1
    assert not (tmp_path / "x").exists()


def test_a_claim_that_does_not_exist_is_told(hub: Hub, tmp_path: Path) -> None:
    for words in (("revoke",), ("delete",), ("show",), ("download", "--out", str(tmp_path / "x"))):
        assert hub.run("claim", *words, "nobody").exit_code == 1


# --- Enrolment and whitelist


def test_enrolment_is_opened_shown_and_closed(hub: Hub) -> None:
    assert "is open until 2" in hub.do("enrolment", "open", "--minutes", "30")
    assert "open until it is closed" in hub.do("enrolment", "open")
    assert hub.json("enrolment", "show") == {
        "isOpen": True,
        "openUntil": None,
        "whitelistEnforced": False,
        "serveFiles": None,
    }
    assert "is closed" in hub.do("enrolment", "close")
    assert hub.json("enrolment", "status") == hub.json("enrolment", "show")


def test_a_window_serves_the_files_of_a_claim(hub: Hub) -> None:
    hub.do("claim", "create", "served-1")

    told = hub.do("enrolment", "open", "--minutes", "5", "--serve-files", "served-1")

    assert "any device may fetch the files of the claim certificate 'served-1'" in told.lower()
    assert hub.json("enrolment", "show")["serveFiles"] == "served-1"
    assert hub.run("enrolment", "open", "--serve-files", "nobody").exit_code == 1
    assert hub.run("enrolment", "open", "--serve-files", "no name").exit_code == 2
    hub.do("enrolment", "close")
    assert hub.json("enrolment", "show")["serveFiles"] is None


def test_the_whitelist_is_filled_and_enforced(hub: Hub) -> None:
    counts = hub.json("whitelist", "add", "board-0001", "board-0002", "board-0001", "--note", "lot 7")
    assert counts == {"dryRun": False, "added": 2, "present": 0, "duplicates": 1}
    assert hub.json("whitelist", "add", "BOARD-0002")["present"] == 1
    assert "Only hardware UUIDs on the whitelist" in hub.do("whitelist", "enforce", "on")
    listed = hub.do("whitelist", "list", "--q", "lot 7")
    assert "...0002" in listed
    assert "It is enforced." in listed
    assert "not enforced" in hub.do("whitelist", "enforce", "off")
    assert hub.run("whitelist", "add", "no good").exit_code == 2


def test_an_entry_is_disabled_enabled_and_removed(hub: Hub) -> None:
    hub.do("whitelist", "add", "board-0101", "--manufacturer", "ACME", "--hardware-version", "rev C")
    (entry,) = hub.json("whitelist", "list", "--q", "ACME")["entries"]

    hub.do("whitelist", "disable", "BOARD-0101")
    assert hub.json("whitelist", "list", "--q", "ACME", "--state", "disabled")["total"] == 1
    hub.do("whitelist", "enable", entry["id"])
    assert hub.json("whitelist", "list", "--q", "ACME", "--state", "disabled")["total"] == 0
    hub.do("whitelist", "remove", "board-0101")
    assert hub.json("whitelist", "list", "--q", "ACME")["total"] == 0
    for words in (("disable", "board-0101"), ("remove", "board-0101"), ("remove", entry["id"])):
        assert hub.run("whitelist", *words).exit_code == 1


def test_a_long_list_is_imported_at_once(hub: Hub, tmp_path: Path) -> None:
    file = tmp_path / "lot.csv"
    file.write_text("# lot 8\nuuid,note\n" + "".join(f"serial-{number:06},lot 8\n" for number in range(600)))
    hub.do("whitelist", "add", "serial-000001")

    dry = hub.json("whitelist", "import", str(file), "--dry-run")
    assert (dry["dryRun"], dry["added"], dry["present"]) == (True, 599, 1)
    assert dry["lines"][1] == {"line": 4, "result": "present", "reason": ""}
    done = hub.json("whitelist", "import", str(file))
    assert done == {"dryRun": False, "added": 599, "present": 1, "duplicates": 0}
    assert "1 to 100 of 599; more with --offset 100" in hub.do("whitelist", "list", "--q", "lot 8")


def test_a_list_with_a_wrong_line_adds_nothing(hub: Hub) -> None:
    before = hub.json("whitelist", "list")["total"]

    done = hub.run("whitelist", "import", "-", given="fresh-0001\n\nno good\n")

    assert done.exit_code == 1
    assert "line 3" in done.stderr
    assert hub.json("whitelist", "list")["total"] == before


# --- Tokens


def test_a_token_is_printed_once_listed_and_revoked(hub: Hub) -> None:
    told = hub.run("token", "create", "dashboard", "--scope", "twins:read", "--scope", "devices:read")

    assert told.exit_code == 0
    assert is_text(told.stdout.removesuffix("\n"))
    assert told.stderr == ""
    listed = hub.do("token", "list")
    assert "devices:read, twins:read" in listed
    assert "dh_" not in listed
    assert "dh_" not in hub.do("token", "list", "--json")

    hub.do("token", "revoke", "dashboard")

    (fact,) = (fact for fact in hub.json("token", "list") if fact["name"] == "dashboard")
    assert fact["revokedAt"] is not None
    assert hub.run("token", "revoke", "dashboard").exit_code == 1


def test_a_token_with_an_end_is_an_object_for_scripts(hub: Hub) -> None:
    made = hub.json("token", "create", "reports", "--scope", "telemetry:read", "--expires", "90d")

    assert list(made) == ["name", "token", "scopes", "expiresAt"]
    assert (datetime.fromisoformat(made["expiresAt"]) - datetime.now(UTC)).days in (89, 90)
    taken = hub.run("token", "create", "reports", "--scope", "admin")
    assert (taken.exit_code, taken.stdout) == (1, "")


@pytest.mark.parametrize(
    "words",
    [("a b", "--scope", "admin"), ("x", "--scope", "all"), ("x",), ("x", "--scope", "admin", "--expires", "1h")],
)
def test_a_token_that_cannot_be_is_wrong_usage(hub: Hub, words: tuple[str, ...]) -> None:
    assert hub.run("token", "create", *words).exit_code == 2


# --- Functions


def test_the_running_functions_are_counted(hub: Hub) -> None:
    hub.do("enrolment", "show")
    hub.run("device", "show", "nobody-2")

    live = {entry["subject"]: entry for entry in hub.json("functions", "--live")}

    assert set(live) == {route.full_subject for route in ROUTES}
    assert live["devicehub.enrolment.get"]["instances"] == 1
    assert live["devicehub.enrolment.get"]["calls"] >= 1
    assert live["devicehub.registry.devices.*.get"]["faults"] >= 1
    assert live["devicehub.enrolment.get"]["averageMicroseconds"] > 0
    assert "Instances" in hub.do("functions", "--live")


# --- Where there is no hub


def _at(data: Path) -> Callable[..., Result]:
    return Hub(data, Node("", "", "", "", "", "", (), (), 1)).run


def test_where_there_is_no_hub_it_says_how_to_make_one(tmp_path: Path) -> None:
    done = _at(tmp_path)("device", "list")

    assert done.exit_code == 1
    assert str(tmp_path) in done.stderr
    assert "devicehub up" in done.stderr


def test_a_hub_that_is_not_running_is_told_at_once(hub: Hub, tmp_path: Path) -> None:
    secrets = Paths(tmp_path, tmp_path / "run").secrets
    secrets.mkdir()
    (secrets / "nats-cli").write_text("cli-password")
    write_node(tmp_path / "node.json", replace(hub.node, nats_url=f"nats://127.0.0.1:{free_port()}"))
    started = time.monotonic()

    done = _at(tmp_path)("device", "create", "pump-0009", "--out", str(tmp_path / "pump"))

    assert time.monotonic() - started < 2
    assert done.exit_code == 1
    assert "is not running" in done.stderr
    assert not (tmp_path / "pump").exists()


def test_another_hub_at_the_address_is_told_from_a_hub_that_is_away(hub: Hub, tmp_path: Path) -> None:
    secrets = Paths(tmp_path, tmp_path / "run").secrets
    secrets.mkdir()
    (secrets / "nats-cli").write_text("another-password")
    write_node(tmp_path / "node.json", hub.node)

    done = _at(tmp_path)("device", "list")

    assert done.exit_code == 1
    assert "refuses the password" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_data_directory_that_may_not_be_read_is_told(hub: Hub, tmp_path: Path) -> None:
    write_node(tmp_path / "node.json", hub.node)
    tmp_path.chmod(0)
    try:
        done = _at(tmp_path)("device", "list")
    finally:
        tmp_path.chmod(0o700)

    assert done.exit_code == 1
    assert "sudo" in done.stderr
