"""What hosts are busy with: asked of each, and of one that is silent it is said why."""

from datetime import UTC, datetime
from typing import Any

import pytest

from functions.contract.messages import (
    HostHere,
    HostSample,
    Message,
    MetricsHistory,
    MetricsHistoryQuery,
    MetricsQuery,
)
from functions.domain.callers import SYSTEM, Caller
from functions.domain.faults import Conflict, NotFound, Reason, Unavailable
from functions.handlers import metrics
from functions.ports import Call
from functions.testing import START, MemoryHub, memory_hub
from gateway.metrics_examples import METRICS

CLI = Caller(SYSTEM, "cli")


def hub_of(*nodes: str) -> MemoryHub:
    hub = memory_hub()
    for node in nodes:
        hub.hosts.here[node] = HostHere(
            node=node, source="systemd", version="1", started_at=START, services=[], problem=None, leaving=False
        )
    hub.hosts.respond = respond
    return hub


def respond(node: str, ask: tuple[str, ...], body: Any) -> Message:
    if node == "silent":
        raise Unavailable(Reason.TIMEOUT, "The host silent did not answer.")
    if ask == ("metrics",):
        return HostSample.model_validate_json(HostSample.model_validate(METRICS["sample"], strict=False).encode())
    assert ask == ("metrics", "history")
    return MetricsHistory(node=node, begins_at=START, step_seconds=body.step or 10, times=[], series={})


async def test_every_host_tells_and_of_a_silent_one_it_is_said_why() -> None:
    hub = hub_of("b", "a", "silent", "gone")
    hub.hosts.lost.add("gone")

    found = (await metrics.read(Call(MetricsQuery(), CLI, "c"), hub)).hosts

    assert [one.node for one in found] == ["a", "b", "gone", "silent"]
    assert [one.sample is not None for one in found] == [True, True, False, False]
    assert found[0].problem is None
    assert "not been heard of since" in str(found[2].problem)
    assert found[3].problem == "The host silent did not answer."


async def test_a_host_that_nobody_heard_of_is_told_so() -> None:
    with pytest.raises(NotFound) as refused:
        await metrics.read(Call(MetricsQuery(node="c"), CLI, "c"), hub_of("a"))

    assert refused.value.reason is Reason.UNKNOWN_NODE


async def test_history_is_of_the_only_host_or_of_the_one_named() -> None:
    since = datetime(2035, 1, 1, tzinfo=UTC)

    alone = await metrics.history(Call(MetricsHistoryQuery(since=since, step=60), CLI, "c"), hub_of("a"))
    named = await metrics.history(Call(MetricsHistoryQuery(node="b"), CLI, "c"), hub_of("a", "b"))

    assert (alone.node, alone.step_seconds) == ("a", 60)
    assert named.node == "b"


async def test_history_of_several_hosts_at_once_is_refused() -> None:
    with pytest.raises(Conflict) as refused:
        await metrics.history(Call(MetricsHistoryQuery(), CLI, "c"), hub_of("a", "b"))

    assert refused.value.reason is Reason.WHICH_NODE
    assert "a, b" in refused.value.detail


async def test_history_without_any_host_says_what_to_start() -> None:
    with pytest.raises(Unavailable, match="devicehub serve host"):
        await metrics.history(Call(MetricsHistoryQuery(), CLI, "c"), hub_of())
