"""Who may hear what as it happens."""

from functions.contract.messages import Follow
from functions.domain.devices import Device
from functions.domain.enrolment import Reservation
from functions.domain.names import id_key
from functions.handlers import live
from functions.testing import START, call, memory_hub

PUMP = Device("EDGB-0001", START, START, role="pump-1")


async def test_devices_are_named_by_id_or_role() -> None:
    hub = memory_hub(devices={PUMP.id: PUMP}, names={id_key("pump-1"): Reservation(PUMP.id, None, role="pump-1")})

    asked = Follow(devices=["EDGB-0009", "pump-1", "EDGB-0001"])

    assert (await live.follow(call(asked), hub)).devices == ["EDGB-0009", "EDGB-0001", "EDGB-0001"]


async def test_of_any_device_where_none_is_named() -> None:
    assert (await live.follow(call(Follow()), memory_hub())).devices == []
