"""The hub's CA is replaced while it runs, by one made here or brought along; openssl has the second word."""

import asyncio
import json
import stat
import subprocess
import time
import uuid
from functools import partial
from pathlib import Path

from tests.e2e.rig import COMMAND, Identity, RunningHub, keep, make_csr, until

CA = "basicConstraints=critical,CA:TRUE"
USAGE = "keyUsage=critical,keyCertSign,cRLSign"


def openssl(*words: str, stdin: str = "") -> str:
    done = subprocess.run(["openssl", *words], input=stdin, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_ca(at: Path, name: str, *, above: Path | None = None, usage: str = USAGE) -> Path:
    """A CA by openssl, as ``name.crt`` and ``name.key``; below another, if one is named."""
    at.mkdir(exist_ok=True)
    certificate = at / f"{name}.crt"
    by = ["-CA", str(above), "-CAkey", str(above.with_suffix(".key"))] if above is not None else []
    openssl(
        *("req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "400"),
        *("-keyout", str(certificate.with_suffix(".key")), "-out", str(certificate), "-subj", f"/CN={name}"),
        *("-addext", CA, "-addext", usage, *by),
    )
    return certificate


def join(hub: RunningHub, claim: Identity, at: Path) -> Identity:
    """A device joins in one round."""
    name = f"pump-{uuid.uuid4().hex[:8]}"
    key, csr = make_csr(at, name)
    topic = f"$devicehub/devices/{name}/provision"
    body = json.dumps({"csrPem": csr})
    return keep(at, name, key, hub.ask(claim, f"{topic}/request", body, f"{topic}/accepted", client_id=name))


def make_claim(hub: RunningHub, name: str, at: Path) -> Identity:
    hub.cli("claim", "create", name, "--out", str(at))
    return Identity(f"claim-{name}", at / "ca.crt", at / "provisioning.crt", at / "provisioning.key")


def twin_of(hub: RunningHub, who: Identity) -> dict[str, object]:
    topic = f"$devicehub/devices/{who.name}/twin"
    return hub.ask(who, f"{topic}/get", "{}", f"{topic}/update/accepted")


def connects(hub: RunningHub, who: Identity) -> bool:
    return hub.publish(who, f"$devicehub/devices/{who.name}/heartbeat", "{}") == 0


def verifies(who: Identity, *options: str, ca: Path | None = None) -> bool:
    done = subprocess.run(
        ["openssl", "verify", "-purpose", "sslclient", *options, "-CAfile", str(ca or who.ca), str(who.certificate)],
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode == 0


def test_a_root_is_replaced_on_a_running_hub_until_a_device_has_a_certificate(
    own_hub: RunningHub, tmp_path: Path
) -> None:
    hub, old_claim = own_hub, own_hub.claim
    before = hub.json("ca", "show")
    listener = hub.listen(old_claim, "$devicehub/certificates/create-from-csr/+", client_id="waits", wait=30)

    replaced = hub.json("ca", "create", "--cn", "Pumps CA", "--days", "400", "--replaces", before["fingerprint"])

    assert (replaced["commonName"], replaced["endedClaims"]) == ("Pumps CA", ["default"])
    assert (replaced["settled"], replaced["inUse"], replaced["isRoot"]) == (True, False, True)
    assert listener.next() is None, "the session of the ended claim certificate goes on"
    listener.close()
    assert not connects(hub, old_claim)
    assert [(claim["name"], bool(claim["revokedAt"])) for claim in hub.json("claim", "list")] == [("default", True)]
    assert stat.S_IMODE((hub.data / "ca" / "root.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in (hub.data / "ca").iterdir()) == ["root.crt", "root.key"]

    hub.cli("enrolment", "open", "--minutes", "10")
    claim = make_claim(hub, "fleet", tmp_path / "fleet")
    device = join(hub, claim, tmp_path / "device")
    assert twin_of(hub, device)["deviceId"] == device.name
    assert verifies(device, "-x509_strict")
    crl = hub.data / "broker" / "crl.pem"
    assert verifies(device, "-crl_check", "-CRLfile", str(crl))
    assert not verifies(device, ca=old_claim.ca)

    for words in (["create"], ["import", "--certificate", str(claim.ca), "--key", str(claim.key)]):
        refused = hub.cli("ca", *words, check=False)
        assert refused.returncode == 1
    assert "cannot be replaced" in hub.cli("ca", "create", check=False).stderr
    assert hub.json("ca", "show")["inUse"]

    hub.down()
    hub.up()
    assert hub.json("ca", "show")["fingerprint"] == replaced["fingerprint"]
    assert twin_of(hub, device)["deviceId"] == device.name


def test_a_root_made_with_openssl_is_imported_and_devices_join(own_hub: RunningHub, tmp_path: Path) -> None:
    hub = own_hub
    root, secret, sealed = make_ca(tmp_path / "own", "own-root"), tmp_path / "passphrase", tmp_path / "sealed.key"
    secret.write_text("swordfish\n")
    openssl("pkcs8", "-topk8", "-in", str(root.with_suffix(".key")), "-out", str(sealed), "-passout", f"file:{secret}")
    words = ("ca", "import", "--certificate", str(root), "--key", str(sealed))

    assert "--passphrase-file" in hub.cli(*words, check=False).stderr
    hub.cli(*words, "--passphrase-file", str(secret))

    hub.cli("enrolment", "open")
    device = join(hub, make_claim(hub, "fleet", tmp_path / "fleet"), tmp_path / "device")
    assert device.ca.read_text() == root.read_text()
    assert verifies(device, "-x509_strict", ca=root)
    assert twin_of(hub, device)["deviceId"] == device.name
    hub.cli("ca", "download", "--out", str(tmp_path / "ca.crt"))
    assert (tmp_path / "ca.crt").read_text() == root.read_text()


def test_an_intermediate_is_imported_and_its_sister_hub_stays_apart(own_hub: RunningHub, tmp_path: Path) -> None:
    hub, own = own_hub, tmp_path / "own"
    root = make_ca(own, "company-root")
    first = make_ca(own, "first-hub", above=root)
    sister = make_ca(own, "sister-hub", above=root)
    chain = own / "chain.crt"
    chain.write_text(root.read_text() + first.read_text())

    hub.cli("ca", "import", "--certificate", str(chain), "--key", str(first.with_suffix(".key")))

    hub.cli("enrolment", "open")
    device = join(hub, make_claim(hub, "fleet", tmp_path / "fleet"), tmp_path / "device")
    assert device.ca.read_text() == first.read_text() + root.read_text()
    assert twin_of(hub, device)["deviceId"] == device.name
    # A device may know the root alone: the broker shows what stands between.
    assert twin_of(hub, Identity(device.name, root, device.certificate, device.key))["deviceId"] == device.name
    assert verifies(device, "-x509_strict", "-untrusted", str(first), ca=root)

    for signer in (sister, root):
        stranger = stranger_of(signer, device.name, tmp_path / f"of-{signer.stem}", ca=chain)
        assert not connects(hub, stranger), f"a certificate of {signer.stem} is taken"
    assert connects(hub, device)


def stranger_of(signer: Path, name: str, at: Path, *, ca: Path) -> Identity:
    """A certificate for the same name by another authority of the same root, shown with that authority's own."""
    key, csr = make_csr(at, name)
    leaf = openssl(
        *("x509", "-req", "-days", "10", "-CA", str(signer), "-CAkey", str(signer.with_suffix(".key"))),
        stdin=csr,
    )
    certificate = at / "stranger.crt"
    certificate.write_text(leaf + signer.read_text())
    return Identity(name, ca, certificate, key)


def test_a_passphrase_encrypts_the_key_of_a_running_hub_and_of_each_new_ca(tools: None, tmp_path: Path) -> None:
    hub, secret = RunningHub(tmp_path / "hub", HUB_WORKERS="2"), tmp_path / "passphrase"
    key = hub.data / "ca" / "root.key"
    secret.write_text("correct horse battery staple\n")
    hub.up()
    try:
        assert "BEGIN PRIVATE KEY" in key.read_text()
        hub.down()
        hub.environ["HUB_CA_PASSPHRASE_FILE"] = str(secret)
        told = hub.cli("up", "--detach", timeout=90)
        assert f"The key of the CA in {key} is encrypted from now on." in told.stdout
        for _ in range(2):
            assert "BEGIN ENCRYPTED PRIVATE KEY" in key.read_text()
            assert "BEGIN PRIVATE KEY" not in key.read_text()
            assert openssl("pkey", "-in", str(key), "-passin", f"file:{secret}", "-noout") == ""
            assert stat.S_IMODE(key.stat().st_mode) == 0o600
            replaced = hub.json("ca", "create", "--key", "RSA-2048")
            assert replaced["keyEncrypted"]
        device = hub.device("pump-0001", tmp_path / "device")
        assert twin_of(hub, device)["deviceId"] == device.name
    finally:
        hub.down()

    for given, words in ((None, "no passphrase is given"), ("another passphrase", "cannot be read with")):
        hub.environ.pop("HUB_CA_PASSPHRASE_FILE", None)
        if given is not None:
            secret.write_text(given)
            hub.environ["HUB_CA_PASSPHRASE_FILE"] = str(secret)
        refused = hub.cli("up", "--detach", check=False, timeout=90)
        assert refused.returncode == 1
        assert words in refused.stderr
        assert "HUB_CA_PASSPHRASE_FILE" in refused.stderr
        assert not hub.processes("nats")


def test_a_hub_that_is_killed_while_its_ca_is_replaced_has_one_ca_afterwards(
    own_hub: RunningHub, tmp_path: Path
) -> None:
    hub = own_hub
    for number in range(2):
        replacing = subprocess.Popen(
            [COMMAND, "ca", "create", "--cn", f"CA {number}"],
            env=hub.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # Another moment each time: before the call arrives, in the middle of it, after it.
        time.sleep(0.5 + 0.4 * number)
        for part in ("functions", "bridge", "mosquitto"):
            hub.kill(part)
        replacing.wait(60)
        asyncio.run(until(partial(is_settled, hub), seconds=60))

    shown = hub.json("ca", "show")
    hub.cli("enrolment", "open")
    device = join(hub, make_claim(hub, "fleet", tmp_path / "fleet"), tmp_path / "device")
    assert device.ca.read_text() == shown["caPem"]
    assert verifies(device, "-crl_check", "-CRLfile", str(hub.data / "broker" / "crl.pem"))
    assert twin_of(hub, device)["deviceId"] == device.name
    hub.down()
    hub.up()
    assert hub.json("ca", "show") == {**shown, "inUse": True}
    assert twin_of(hub, device)["deviceId"] == device.name


async def is_settled(hub: RunningHub) -> bool:
    """Whether the hub answers, and the broker follows."""
    shown = await asyncio.to_thread(hub.cli, "ca", "show", "--json", check=False)
    return shown.returncode == 0 and bool(json.loads(shown.stdout)["settled"])
