"""What the broker's keeper tells and asks of the CA: the broker's own certificate, and whose it takes.

Subjects   devicehub.broker.certificate.sign, devicehub.broker.trust.taken
Writes     certificates, trust
"""

from functions.contract.messages import BrokerCertify, Done, Issued, TrustTaken
from functions.domain.certificates import BROKER_LIFETIME, Gate, Purpose, entry_of
from functions.handlers.ca import complete
from functions.handlers.certificates import issued
from functions.handlers.issuing import lost_races_can_be_retried, read_request
from functions.handlers.trusting import current
from functions.ports import Call, Hub


async def certify(call: Call[BrokerCertify], hub: Hub) -> Issued:
    """Sign a server's certificate under the names that devices use; each call signs another.

    Raises:
        Malformed: ``bad_csr``.
        Unavailable: the storage; or the CA is not valid now.
    """
    digest = read_request(call.body.csr_pem, hub).digest
    await current(hub)
    now = hub.clock.now()
    signed = await hub.authority.sign_server(
        call.body.csr_pem, hostnames=call.body.hostnames, not_after=now + BROKER_LIFETIME
    )
    certificate = entry_of(
        signed,
        purpose=Purpose.SERVER,
        common_name="hub-broker",
        at=now,
        gate=Gate.SYSTEM,
        issued_to=str(call.caller),
        csr_digest=digest,
    )
    await hub.certificates.create(signed.serial, certificate)
    return issued(certificate, hub)


async def trust_taken(call: Call[TrustTaken], hub: Hub) -> Done:
    """Take note that the broker takes the certificates of a CA; of one that signs no more, nothing follows.

    Raises:
        Conflict: others kept changing the record.
    """
    with lost_races_can_be_retried():
        await complete(hub, call.body.issuer)
    return Done()
