"""What the machine must give: room, free ports, and secrets that stay secret."""

import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from infra.doctor import clocks, machine
from infra.doctor.finding import Patient
from infra.settings import Address


async def test_secrets_that_only_the_owner_can_read_are_well(patient: Patient) -> None:
    (finding,) = await machine.secrets(patient)

    assert finding.is_well


@pytest.mark.parametrize(
    ("name", "mode", "mend"),
    [
        ("secrets/uuid-key", 0o640, "chmod 600"),
        ("ca/root.key", 0o604, "chmod 600"),
        ("broker/server.pem", 0o644, "chmod 600"),
        ("nats/nats.conf", 0o644, "chmod 600"),
        ("secrets", 0o755, "chmod 700"),
    ],
)
async def test_a_secret_that_others_can_read_is_told_with_the_command_that_closes_it(
    patient: Patient, name: str, mode: int, mend: str
) -> None:
    path = patient.paths.data / name
    path.chmod(mode)

    (finding,) = await machine.secrets(patient)

    assert not finding.is_well
    assert finding.what == f"{path} can be read by other users."
    assert finding.mend == f"Run: {mend} {path}"


async def test_a_key_that_is_gone_is_told(patient: Patient) -> None:
    patient.paths.ca_key.unlink()

    (finding,) = await machine.secrets(patient)

    assert (finding.is_well, finding.what) == (False, f"{patient.paths.ca_key} is gone.")


async def test_a_port_that_another_uses_is_told(patient: Patient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = Address("127.0.0.1", other.getsockname()[1])
        found = await machine.ports(replace(patient, settings=replace(patient.settings, mqtt_listen=taken)))

    wrong = [finding for finding in found if not finding.is_well]
    assert any(f"Port {taken.port}" in finding.what and "choose another port" in finding.mend for finding in wrong)


async def test_a_data_directory_that_is_a_file_is_told(patient: Patient, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    (finding,) = await machine.disk(replace(patient, paths=replace(patient.paths, data=tmp_path / "file")))

    assert not finding.is_well


async def test_a_clock_that_went_back_behind_the_last_start_is_told(patient: Patient) -> None:
    found = await clocks.clocks(replace(patient, now=patient.now - timedelta(days=400)))

    assert [finding.what for finding in found if not finding.is_well] == [
        "The clock is 400 days behind the hub's last start."
    ]
