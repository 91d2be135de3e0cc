"""What the running hub itself finds wrong: certificates, sessions and clocks, as ``devicehub.checks.list`` tells."""

from collections.abc import Iterator

from functions.contract.bus import Bus
from functions.contract.messages import CheckList, Nothing
from functions.contract.subjects import subject
from functions.domain.callers import SYSTEM, Caller
from functions.domain.faults import Fault
from infra.doctor.finding import Finding, Patient
from infra.problem import Problem
from infra.stack import readiness

_DOCTOR = Caller(SYSTEM, "cli")
_SECONDS = 10.0
# Of each check; all of them are at /api/checks.
_SHOWN = 5


async def checks(patient: Patient) -> list[Finding]:
    """What the hub's checks find."""
    if patient.report is None or patient.node is None or "index" not in patient.report.ready:
        # That it does not answer is told with the parts.
        return []
    try:
        password = patient.paths.nats_password("cli").read_text(encoding="ascii").strip()
        async with readiness.bus_connection(patient.node.nats_url, "cli", password) as client:
            found = await Bus(client).call(
                subject("checks", "list"), Nothing(), CheckList, caller=_DOCTOR, within=_SECONDS
            )
    except (Problem, Fault, UnicodeDecodeError) as problem:
        what = f"The hub's own checks cannot be asked: {problem}."
        return [Finding.wrong(what, "'devicehub logs index' may say why.")]
    wrong = list(_wrong(found))
    return wrong or [Finding(f"Nothing is wrong with {', '.join(one.check for one in found.checks)}")]


def _wrong(found: CheckList) -> Iterator[Finding]:
    for check in found.checks:
        for one in check.findings[:_SHOWN]:
            yield Finding.wrong(one.text, one.remedy)
        if check.total > _SHOWN:
            more = check.total - _SHOWN
            yield Finding.wrong(f"{check.check}: {more} more", "'devicehub alarms' or GET /api/checks lists them.")
