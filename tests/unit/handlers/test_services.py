"""Services of several hosts, of which some are lost."""

import pytest

from functions.contract.messages import ServiceNamed, ServiceQuery
from functions.domain.faults import Conflict, Fault, NotFound, Reason, Unavailable
from functions.handlers import services
from functions.testing import MemoryHub, call, make_host, memory_hub


def make_hub(**hosts: tuple[str, ...]) -> MemoryHub:
    hub = memory_hub()
    hub.hosts.here = {node: make_host(node, *units) for node, units in hosts.items()}
    return hub


async def test_the_services_of_all_hosts_are_listed_by_node() -> None:
    found = await services.list_(call(ServiceQuery()), make_hub(b=("bridge",), a=("gateway", "nats")))

    assert [(one.node, one.unit) for one in found.services] == [("a", "gateway"), ("a", "nats"), ("b", "bridge")]
    assert [host.node for host in found.hosts] == ["a", "b"]


async def test_of_a_lost_host_what_it_told_last_is_shown_as_unknown() -> None:
    hub = make_hub(a=("gateway",), b=("bridge",))
    hub.hosts.lost.add("b")

    found = await services.list_(call(ServiceQuery()), hub)

    assert [(one.unit, one.state, one.pid) for one in found.services] == [
        ("gateway", "active", 4242),
        ("bridge", "unknown", None),
    ]
    assert "has not been heard of since" in (found.services[1].problem or "")
    assert [host.lost for host in found.hosts] == [False, True]
    assert [node for node, *_ in hub.hosts.asked] == ["a"]


async def test_a_unit_is_asked_of_the_host_that_has_it() -> None:
    hub = make_hub(a=("gateway",), b=("bridge",))

    assert (await services.read(call(ServiceNamed(unit="bridge")), hub)).node == "b"


@pytest.mark.parametrize(
    ("named", "kind", "reason"),
    [
        (ServiceNamed(unit="nats"), Conflict, Reason.WHICH_NODE),
        (ServiceNamed(unit="sshd"), NotFound, Reason.UNKNOWN_UNIT),
        (ServiceNamed(unit="nats", node="c"), NotFound, Reason.UNKNOWN_NODE),
        (ServiceNamed(unit="nats", node="b"), Unavailable, Reason.UNAVAILABLE),
    ],
)
async def test_what_no_one_host_can_be_asked_is_refused(named: ServiceNamed, kind: type[Fault], reason: Reason) -> None:
    hub = make_hub(a=("nats",), b=("nats",))
    hub.hosts.lost.add("b")

    with pytest.raises(kind) as refusal:
        await services.restart(call(named), hub)

    assert refusal.value.reason is reason
    assert not hub.hosts.asked
