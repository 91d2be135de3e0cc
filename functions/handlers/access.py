"""Access functions: all that the broker must enforce, for its keeper.

Subjects   devicehub.broker.access.get
Writes     revocations, alarms, and what a revocation that was cut short had left undone
"""

from functions.contract.messages import Access, Cut, Nothing
from functions.domain.ca import bundle
from functions.domain.certificates import CUT_FOR
from functions.domain.enrolment import is_claim_live
from functions.domain.marks import Revoked
from functions.handlers.ca import complete
from functions.handlers.issuing import lost_races_can_be_retried
from functions.handlers.revoking import renew
from functions.handlers.salvaging import read_past, tell_spoiled
from functions.handlers.server_settings import server_settings
from functions.ports import Call, Hub


async def read(call: Call[Nothing], hub: Hub) -> Access:
    """The access state as it must be now; the keeper asks every minute and whenever it is told to.

    What a call that replaced the CA had left undone is done.

    The revocation list is renewed here when it is older than a day, near its
    end, or lacks something. ``cut`` names the common names of certificates
    revoked lately: their sessions from before that time must end. A device
    whose newer certificate is good comes back with it and is left alone then.

    A record that cannot be read keeps no other from its effect: a claim is
    left out, what is revoked or suspended stays so, and an alarm is open.

    Raises:
        Unavailable: the storage.
    """
    with lost_races_can_be_retried():
        trust = await complete(hub)
        revocations, revoked = await renew(hub)
    now = hub.clock.now()
    claims, spoiled = await read_past(hub.claim_certificates)
    await tell_spoiled(hub, "claim certificates", [one.key for one in spoiled])
    suspended, unread = await read_past(hub.suspensions)
    await tell_spoiled(hub, "suspensions", [one.key for one in unread])
    return Access(
        claims=sorted(kept.value.name for kept in claims.values() if is_claim_live(kept.value, now)),
        # A device is suspended by there being a record.
        suspended=sorted((*suspended, *(one.key for one in unread))),
        crl_number=revocations.number,
        crl_pem=revocations.crl_pem,
        crl_next_update=revocations.next_update,
        cut=_cut([entry for entry in revoked.values() if now - entry.at < CUT_FOR]),
        issuer=trust.issuer,
        ca_pem=bundle(trust),
        settled=trust.is_settled,
        hostnames=list((await server_settings(hub)).broker_names),
    )


def _cut(revoked: list[Revoked]) -> list[Cut]:
    last = {entry.common_name: entry.at for entry in sorted(revoked, key=lambda entry: entry.at) if entry.common_name}
    return [Cut(common_name=name, at=at) for name, at in sorted(last.items())]
