"""The steps of joining: told one by one, and written down in one record before the reply."""

from typing import Any

import pytest

from functions.contract.messages import OnboardingStep
from functions.domain.audit import AuditEntry
from functions.domain.enrolment import Enrolment
from functions.domain.faults import Denied, Fault, Malformed
from functions.handlers import provisioning
from functions.testing import MemoryHub, memory_hub
from tests.unit.handlers.onboarding import (
    NAME,
    UUID,
    Outage,
    create_device,
    create_from_csr,
    csr,
    device,
    join,
    meddled,
    new_csr,
    open_hub,
    provision,
)

ALL = ["requested", "admitted", "claimed", "signed", "registered", "accepted"]


def told(hub: MemoryHub, name: str) -> list[OnboardingStep]:
    return list(hub.events.on(f"devicehub.onboarding.{name}"))


def steps(entries: list[AuditEntry]) -> list[str]:
    return [entry.action.removeprefix("onboarding.") for entry in entries if entry.action.startswith("onboarding.")]


async def test_a_page_hears_both_rounds_under_the_uuid_and_under_the_name() -> None:
    hub = open_hub()

    await join(hub)

    assert [one.step for one in told(hub, UUID)] == ["requested", "admitted", "named", *ALL]
    assert [one.device_id for one in told(hub, UUID)] == [None, None, NAME, None, *[NAME] * 5]
    assert [one.step for one in told(hub, NAME)] == ["named", *ALL[1:]]


async def test_one_round_is_written_down_in_one_record() -> None:
    hub = open_hub()

    answer = await provision(hub, "pump-0007", csr_pem=csr("pump-0007"))

    entries = hub.audit.written
    assert steps(entries) == ALL
    assert {(one.kind, one.target, one.actor) for one in entries} == {("device", "pump-0007", "claim:fleet")}
    by_step = {one.action: one for one in entries}
    registered = by_step["onboarding.registered"].after
    assert registered["serial"] == by_step["onboarding.claimed"].after["serial"]
    assert registered["gate"] == "one-round"
    accepted = by_step["onboarding.accepted"]
    assert accepted.before is None
    assert accepted.after["certificate"] == registered["serial"]
    assert answer.cert_pem is not None
    assert "BEGIN" not in repr(entries)


async def test_the_first_round_is_written_down_under_the_name_it_led_to() -> None:
    hub = open_hub()

    await provision(hub, UUID)

    assert steps(hub.audit.written) == ["requested", "admitted", "named"]
    assert {one.target for one in hub.audit.written} == {NAME}
    assert UUID not in repr(hub.audit.written)


async def test_a_repeat_is_told_and_not_written_down() -> None:
    hub = open_hub()
    await create_from_csr(hub, csr("pump-0007"))
    known = len(hub.audit.written)
    hub.events.sent.clear()

    await create_from_csr(hub, csr("pump-0007"))

    assert [one.step for one in told(hub, "pump-0007")] == ["accepted"]
    assert len(hub.audit.written) == known


@pytest.mark.parametrize(
    ("topic_id", "body", "error", "target"),
    [
        (UUID, {}, "enrolment_closed", "-"),
        ("pump-0007", {"csr_pem": new_csr("pump-0007")}, "enrolment_closed", "pump-0007"),
        ("pump-0007", {"csr_pem": new_csr("another")}, "cn_mismatch", "-"),
        ("pump-0007", {"csr_pem": "no CSR"}, "bad_csr", "-"),
    ],
)
async def test_a_refusal_is_told_and_written_down_with_its_reason(
    topic_id: str, body: dict[str, Any], error: str, target: str
) -> None:
    hub = open_hub(enrolment={"enrolment": Enrolment(is_open=False)})

    with pytest.raises((Denied, Malformed)):
        await provision(hub, topic_id, **body)

    assert [(one.step, one.error) for one in told(hub, topic_id)] == [("requested", None), ("refused", error)]
    assert steps(hub.audit.written) == ["requested", "refused"]
    assert hub.audit.written[-1].after["error"] == error
    assert {one.target for one in hub.audit.written} == {target}


async def test_nobody_is_accepted_before_it_is_written_down() -> None:
    # Names, claim, register, record, and then the trail.
    for writes in range(20):
        hub = open_hub()
        cut = meddled(hub, Outage(writes, last_is_done=False), audit=True)
        try:
            await provision(cut, "pump-0007", csr_pem=csr("pump-0007"))
        except Fault:
            assert "accepted" not in [one.step for one in told(hub, "pump-0007")]
        else:
            break

    assert steps(hub.audit.written) == ALL


@pytest.mark.parametrize("done", [True, False])
async def test_where_the_last_write_fails_the_refusal_has_the_last_word(done: bool) -> None:
    for writes in range(1, 20):
        hub = open_hub()
        try:
            await provision(meddled(hub, Outage(writes, last_is_done=done)), "pump-0007", csr_pem=csr("pump-0007"))
        except Fault:
            written = steps(hub.audit.written)
        else:
            break
        assert (written[-1], written.count("requested")) == ("refused", 1)
    else:
        pytest.fail("it never came to an end")

    assert steps(hub.audit.written) == ALL


async def test_a_repeat_after_a_failure_says_what_it_did() -> None:
    hub = open_hub()
    with pytest.raises(Fault):
        await provision(meddled(hub, Outage(3, last_is_done=False)), "pump-0007", csr_pem=csr("pump-0007"))

    await provision(hub, "pump-0007", csr_pem=csr("pump-0007"))

    assert steps(hub.audit.written)[-1] == "accepted"
    assert len({one.id for one in hub.audit.written}) == len(hub.audit.written)
    assert (await device(hub, "pump-0007")).certificate == hub.audit.written[-1].after["certificate"]


async def test_a_refusal_that_cannot_be_written_down_is_the_refusal_all_the_same() -> None:
    hub = open_hub(enrolment={"enrolment": Enrolment(is_open=False)})

    with pytest.raises(Denied) as caught:
        await provision(meddled(hub, Outage(0, last_is_done=False), audit=True), UUID)

    assert "not written down" in caught.value.__notes__[0]


async def test_a_device_that_an_operator_registers_leaves_one_entry() -> None:
    hub = memory_hub()

    await create_device(hub, "pump-0007")

    assert [(one.action, one.actor, one.target) for one in hub.audit.written] == [
        ("device.created", "user:anna", "pump-0007")
    ]


async def test_a_claim_that_ends_writes_down_what_it_revoked() -> None:
    hub = open_hub()
    first = await join(hub)
    hub.clock.advance(3600)
    await provisioning.finish_claims(hub)
    await join(hub)
    hub.clock.advance(3600)
    known = len(hub.audit.written)

    await provisioning.finish_claims(hub)

    (entry,) = hub.audit.written[known:]
    assert (entry.action, entry.actor, entry.origin) == ("certificate.revoked", "system:timer", "hub")
    assert entry.after == {"commonName": NAME, "reason": "superseded"}
    assert first.cert_pem is not None
