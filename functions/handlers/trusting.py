"""Which authority signs: what every function asks before it has anything signed.

The decision is one record, ``trust``. Until the first device has a certificate
the authority may be replaced by any worker at any time, so each call reads the
record and follows it. Then it is final, and nobody reads it any more.

Two calls decide over the same revision of it, and so one of them wins: the one
that replaces the authority, and the one that gives a first device its
certificate. What the other has signed by then goes nowhere.

Writes     trust
"""

from contextlib import aclosing, suppress
from datetime import datetime

from functions.domain.ca import Trust, is_final, trust_alone, use
from functions.domain.callers import SYSTEM, Caller
from functions.domain.certificates import Purpose, Signed
from functions.domain.faults import Conflict, Unavailable
from functions.handlers.rewriting import rewrite
from functions.ports import Hub
from functions.storage import Kept

TRUST = "trust"

_HUB = Caller(SYSTEM, "hub")


async def current(hub: Hub) -> Trust:
    """The decision as it is now, which this process follows when it returns.

    Raises:
        Unavailable: the storage; or the key of the authority is not on this machine.
    """
    known = hub.authority.trust
    if known is not None and is_final(known):
        return known
    trust = (await look(hub)).value
    await hub.authority.follow(trust)
    return trust


async def look(hub: Hub) -> Kept[Trust]:
    """The decision as it is now; on a hub that has none yet, for the authority it was set up with.

    Raises:
        Unavailable: the storage.
    """
    kept = await hub.trust.get(TRUST)
    if kept is not None:
        return kept
    first = trust_alone(hub.authority.active, at=hub.clock.now(), by=str(_HUB), in_use=await _has_devices(hub))
    with suppress(Conflict):
        # Else another worker came first, and if it has another authority on its disk, its word holds.
        await hub.trust.create(TRUST, first)
    kept = await hub.trust.get(TRUST)
    if kept is None:
        raise Unavailable
    return kept


async def sign_device(hub: Hub, csr_pem: str, device: str, *, serial: str, not_after: datetime) -> Signed:
    """Sign a device's certificate, after which the CA that did so stays; to be handed out only then.

    Raises:
        Conflict: another CA was decided on meanwhile; what was signed goes nowhere.
        Unavailable: the storage, or the CA is not valid now.
    """
    signed = await hub.authority.sign(
        csr_pem, common_name=device, purpose=Purpose.DEVICE, not_after=not_after, serial=serial
    )
    known = hub.authority.trust
    if known is None or not is_final(known) or known.issuer != signed.issuer:
        await _pin(hub, signed.issuer)
    return signed


async def _pin(hub: Hub, issuer: str) -> None:
    def decide(trust: Trust | None) -> Trust:
        if trust is None:
            raise Conflict(detail="Nothing is decided on the hub's CA any more.")
        return use(trust, issuer)

    written = await rewrite(hub.trust, TRUST, decide)
    await hub.authority.follow(written.value)


async def _has_devices(hub: Hub) -> bool:
    """Whether any device has a certificate; asked once, when a hub of an earlier version is started."""
    async with aclosing(hub.certificates.entries()) as entries:  # type: ignore[type-var]
        async for _, kept in entries:
            if kept.value.purpose is Purpose.DEVICE:
                return True
    return False
