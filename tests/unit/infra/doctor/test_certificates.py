"""Certificates that are about to fail, or that devices would not trust, are found before devices find them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from functions.adapters.roots import key_pem, make_root
from functions.contract.requests import make_request
from functions.domain.certificates import Purpose
from infra.doctor import certificates
from infra.doctor.finding import Check, Patient
from infra.stack.certificates import Root

Later = Callable[[datetime], Patient]
ALL = (certificates.authority, certificates.broker, certificates.claims, certificates.revocations)


@pytest.mark.parametrize("check", ALL)
async def test_what_a_start_leaves_is_well(patient: Patient, check: Check) -> None:
    assert all(finding.is_well for finding in await check(patient))


@pytest.mark.parametrize("check", ALL)
async def test_where_no_hub_was_set_up_nothing_is_found(patient: Patient, check: Check) -> None:
    assert await check(replace(patient, node=None)) == []


@pytest.mark.parametrize(
    ("days", "told"),
    [(20 * 365 - 10, "The CA's certificate ends in 9 days"), (20 * 365 + 10, "The CA's certificate ended 10 days ago")],
)
async def test_a_ca_near_its_end_is_told_in_time(patient: Patient, later: Later, days: int, told: str) -> None:
    (finding,) = await certificates.authority(later(patient.now + timedelta(days=days)))

    assert not finding.is_well
    assert finding.what.startswith(told)


async def test_a_ca_whose_key_is_another_is_told(patient: Patient) -> None:
    patient.paths.ca_key.write_text(make_root()[1])

    (finding,) = await certificates.authority(patient)

    assert (finding.is_well, finding.mend) == (False, "Restore it from a backup.")


async def test_a_name_that_devices_use_and_the_broker_lacks_is_told(patient: Patient) -> None:
    assert patient.node is not None
    moved = replace(patient, node=replace(patient.node, mqtt_host="other.example"))

    wrong = [finding for finding in await certificates.broker(moved) if not finding.is_well]

    assert [finding.what for finding in wrong] == ["The broker's certificate lacks other.example."]
    assert "HUB_HOSTNAMES" in wrong[0].mend


async def test_a_broker_certificate_of_another_ca_is_told(patient: Patient) -> None:
    patient.paths.ca_certificate.write_text(make_root()[0])

    (finding,) = await certificates.broker(patient)

    assert not finding.is_well


async def test_a_claim_certificate_near_its_end_is_told_with_its_bundle(
    patient: Patient, later: Later, root: Root
) -> None:
    csr, _ = make_request("claim-default")
    signer = root.authority()
    not_after = patient.now + timedelta(days=40)
    signed = await signer.sign(csr, common_name="claim-default", purpose=Purpose.CLAIM, not_after=not_after)
    patient.paths.default_claim.mkdir(parents=True)
    (patient.paths.default_claim / "provisioning.crt").write_text(signed.pem)

    (now,) = await certificates.claims(patient)
    (then,) = await certificates.claims(later(patient.now + timedelta(days=20)))

    assert now.is_well
    assert not then.is_well
    assert then.what == "The claim certificate in claims/default ends in 19 days."
    assert "devicehub claim create" in then.mend


async def test_a_list_that_lapsed_locks_out_every_device_and_is_told(patient: Patient, later: Later) -> None:
    (finding,) = await certificates.revocations(later(patient.now + timedelta(days=8)))

    assert not finding.is_well
    assert "no device can connect" in finding.what


async def test_a_list_from_the_future_is_told(patient: Patient, later: Later) -> None:
    (finding,) = await certificates.revocations(later(patient.now - timedelta(hours=2)))

    assert (finding.is_well, finding.mend) == (False, "Set the clock right.")


@pytest.mark.parametrize("content", ["", "no list"])
async def test_a_list_that_cannot_be_read_is_told(patient: Patient, content: str) -> None:
    patient.paths.broker_crl.write_text(content)

    (finding,) = await certificates.revocations(patient)

    assert not finding.is_well


async def test_a_list_of_another_ca_is_told(patient: Patient) -> None:
    patient.paths.ca_certificate.write_text(make_root()[0])

    (finding,) = await certificates.revocations(patient)

    assert finding.what == "The revocation list is not signed by the hub's CA."


@pytest.mark.parametrize("passphrase", [None, b"another passphrase"])
async def test_a_key_that_is_encrypted_is_well_with_its_passphrase_and_told_without(
    patient: Patient, root: Root, passphrase: bytes | None
) -> None:
    right = b"correct horse battery staple"
    patient.paths.ca_key.write_text(key_pem(root.ca.key, right) + root.trust_pem)
    unlocked = replace(patient, settings=replace(patient.settings, ca_passphrase=right))
    locked = replace(patient, settings=replace(patient.settings, ca_passphrase=passphrase))

    assert [finding.is_well for finding in await certificates.authority(unlocked)] == [True, True]
    (finding,) = await certificates.authority(locked)
    assert not finding.is_well
    assert "HUB_CA_PASSPHRASE_FILE" in finding.mend
