"""The examination: every check, in the order in which one depends on another."""

from collections.abc import Mapping

from infra.doctor import certificates, clocks, hub, machine, running
from infra.doctor.finding import Check, Finding, Patient, utc_now
from infra.node import known_paths
from infra.problem import Problem
from infra.settings import Settings
from infra.stack.reporting import report

CHECKS: Mapping[str, Check] = {
    "versions": machine.versions,
    "disk": machine.disk,
    "parts": running.parts,
    "ports": machine.ports,
    "clock": clocks.clocks,
    "secrets": machine.secrets,
    "authority": certificates.authority,
    "broker certificate": certificates.broker,
    "claim certificates": certificates.claims,
    "revocation list": certificates.revocations,
    "broker": running.broker,
    "storage": running.storage,
    "hub": hub.checks,
}


async def examine(settings: Settings) -> dict[str, list[Finding]]:
    """What each check found; a check that has nothing to look at finds nothing.

    Raises:
        Problem: the node file cannot be used, so nothing can be said of this hub.
    """
    paths, node = known_paths(settings.data)
    try:
        found = await report(settings.data)
    except OSError as problem:
        raise Problem(f"The hub in {settings.data} cannot be asked: {problem}.", "") from problem
    patient = Patient(settings, paths, node, found, utc_now())
    return {name: await _run(check, patient) for name, check in CHECKS.items()}


async def _run(check: Check, patient: Patient) -> list[Finding]:
    """A file that vanishes or cannot be read is a finding, not the end of the examination."""
    try:
        return await check(patient)
    except OSError as problem:
        what = f"{problem.filename or 'Something'} cannot be looked at: {problem.strerror or problem}."
        return [Finding.wrong(what, "Run the command as the user that the hub runs as, or mend the permissions.")]
