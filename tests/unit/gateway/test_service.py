import pytest

from functions.domain.faults import Denied
from gateway.service import admit


@pytest.mark.parametrize("caller", ["system:cli", "system:bridge", "user:anna"])
def test_the_hubs_parts_and_operators_may_hand_in_events(caller: str) -> None:
    admit({"Hub-Caller": caller})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Hub-Caller": ""},
        {"Hub-Caller": "app:dashboard"},
        {"Hub-Caller": "device:pump-0001"},
        {"Hub-Caller": "claim:default"},
        {"Hub-Caller": "system:cli", "Nats-Request-Info": '{"user":"x"}'},
    ],
)
def test_nobody_else_may(headers: dict[str, str]) -> None:
    with pytest.raises(Denied):
        admit(headers)
