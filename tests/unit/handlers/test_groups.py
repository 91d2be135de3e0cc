"""Groups that are made, asked, changed and deleted, on a hub in memory."""

import json
from dataclasses import replace
from typing import Any

import pytest

from functions.contract.messages import GroupCreate, GroupQuery, GroupUpdate, Nothing
from functions.domain.devices import Device, Lifecycle
from functions.domain.faults import Conflict, Malformed, NotFound, Reason
from functions.domain.groups import MAX_DYNAMIC, MAX_GROUPS, Group
from functions.domain.twins import Half
from functions.handlers import groups
from functions.testing import START, MemoryHub, call, memory_hub

ONE, TWO = Device("EDGB-0001", START, START, model="lamp"), Device("EDGB-0002", START, START, groups=("north",))


def hub(**more: Any) -> MemoryHub:
    return memory_hub(devices={ONE.id: ONE, TWO.id: TWO}, **more)


async def listed(of: MemoryHub, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((await groups.list_(call(GroupQuery(**asked)), of)).encode())["groups"]
    return found


async def create(of: MemoryHub, group: str, query: str | None = None) -> dict[str, Any]:
    made = await groups.create(call(GroupCreate(group=group, query=query), caller="user:anna"), of)
    return dict(json.loads(made.encode()))


async def update(of: MemoryHub, group: str, query: str | None) -> dict[str, Any]:
    changed = await groups.update(call(GroupUpdate(query=query), names=(group,)), of)
    return dict(json.loads(changed.encode()))


async def delete(of: MemoryHub, group: str) -> None:
    await groups.delete(call(Nothing(), names=(group,)), of)


async def test_a_group_that_a_device_names_is_listed_without_being_made() -> None:
    assert await listed(hub()) == [{"group": "north", "device_count": 1}]
    assert await listed(memory_hub()) == []


async def test_groups_come_a_page_at_a_time_in_the_order_that_is_asked() -> None:
    named = {
        f"d-{number}": Device(f"d-{number}", START, START, groups=("a", "b", "c")[: number + 1]) for number in range(3)
    }
    of = memory_hub(devices=named, groups={"d": Group("d", START, START)})

    async def names(**asked: Any) -> list[str]:
        return [one["group"] for one in await listed(of, **asked)]

    assert await names() == ["a", "b", "c", "d"]
    assert await names(sort="-group") == ["d", "c", "b", "a"]
    assert await names(sort="device_count", limit=2) == ["d", "c"]
    assert await names(sort="-device_count", offset=2, limit=1) == ["c"]
    assert await names(offset=4) == []
    assert (await groups.list_(call(GroupQuery(limit=1)), of)).total == 4
    with pytest.raises(Malformed) as refused:
        await listed(of, sort="group,size")
    assert refused.value.position == 6


async def test_without_being_told_a_page_of_groups_is_bounded() -> None:
    many = {f"g{number:03}": Group(f"g{number:03}", START, START) for number in range(120)}

    assert len(await listed(memory_hub(groups=many))) == 100


async def test_a_group_with_a_query_has_those_for_whom_it_holds() -> None:
    of = hub()

    assert await create(of, "lamps", "model:lamp") == {"group": "lamps", "device_count": 1, "query": "model:lamp"}
    assert await listed(of) == [
        {"group": "lamps", "device_count": 1, "query": "model:lamp"},
        {"group": "north", "device_count": 1},
    ]


async def test_a_group_is_answered_with_its_size_before_the_index_has_heard_of_it() -> None:
    # An index over other stores, which hears of nothing that is written here.
    of = replace(hub(), index=hub().index)

    assert (await create(of, "lamps", "model:lamp"))["device_count"] == 1
    assert (await update(of, "lamps", "group:north OR model:lamp"))["device_count"] == 2
    assert (await update(of, "lamps", None))["device_count"] == 0


async def test_a_group_may_be_made_before_a_device_is_in_it() -> None:
    of = hub()

    assert await create(of, "south") == {"group": "south", "device_count": 0}
    assert {"group": "south", "device_count": 0} in await listed(of)


async def test_a_group_that_devices_name_may_be_given_a_query_besides() -> None:
    of = hub()

    assert (await create(of, "north", "model:lamp"))["device_count"] == 2


async def test_a_name_is_given_once() -> None:
    of = hub()
    await create(of, "lamps", "model:lamp")

    with pytest.raises(Conflict) as refused:
        await create(of, "lamps")

    assert refused.value.reason is Reason.NAME_TAKEN


@pytest.mark.parametrize("name", ["", "north hall", "a/b", "x" * 65, "é"])
async def test_a_name_has_the_form_of_any_name(name: str) -> None:
    with pytest.raises(Malformed) as refused:
        # What a message would not let through, the handler does not either.
        await groups.create(call(GroupCreate.model_construct(group=name, query=None), payload=b"{}"), hub())

    assert set(refused.value.fields) == {"group"}


@pytest.mark.parametrize(("query", "position"), [("model:lamp)", 10), ("colour:red", 0), ("twin.reported.temp>3", 0)])
async def test_a_query_that_cannot_be_answered_is_refused_when_it_is_kept(query: str, position: int) -> None:
    of = hub()
    await create(of, "lamps", "model:lamp")

    for attempt in (create(of, "other", query), update(of, "lamps", query)):
        with pytest.raises(Malformed) as refused:
            await attempt
        assert set(refused.value.fields) == {"query"}
        assert refused.value.position == position


async def test_a_query_of_nothing_is_refused() -> None:
    with pytest.raises(Malformed, match="asks for every device"):
        await create(hub(), "all", " ")


async def test_a_group_is_given_another_query_and_none() -> None:
    of = hub()
    await create(of, "lamps", "model:lamp")

    assert (await update(of, "lamps", "model:*"))["query"] == "model:*"
    assert await update(of, "lamps", None) == {"group": "lamps", "device_count": 0}
    with pytest.raises(NotFound):
        await update(of, "pumps", "model:pump")


async def test_a_group_that_no_device_names_is_deleted() -> None:
    of = hub()
    await create(of, "lamps", "model:lamp")

    await delete(of, "lamps")

    assert [group["group"] for group in await listed(of)] == ["north"]
    with pytest.raises(NotFound):
        await delete(of, "lamps")


async def test_a_group_that_devices_name_is_not_deleted_under_them() -> None:
    of = memory_hub(devices={TWO.id: replace(TWO, lifecycle=Lifecycle.RETIRED)})

    with pytest.raises(Conflict) as refused:
        await delete(of, "north")

    assert refused.value.reason is Reason.GROUP_IN_USE


async def test_there_are_so_many_groups_at_most() -> None:
    dynamic = {f"g{n}": Group(f"g{n}", START, START, "pump") for n in range(MAX_DYNAMIC)}
    of = hub(groups=dynamic | {f"s{n}": Group(f"s{n}", START, START) for n in range(MAX_GROUPS - MAX_DYNAMIC - 1)})

    with pytest.raises(Conflict) as refused:
        await create(of, "one-more", "pump")
    assert refused.value.reason is Reason.GROUP_LIMIT
    await create(of, "plain")
    with pytest.raises(Conflict):
        await create(of, "one-too-many")
    # One that has a query may be given another.
    await update(of, "g0", "lamp")
    with pytest.raises(Conflict):
        await update(of, "plain", "lamp")


async def test_a_group_whose_path_is_no_longer_set_says_what_is_wrong() -> None:
    hot = {"hot": Group("hot", START, START, "twin.reported.temp>30")}

    (told,) = await listed(memory_hub(groups=hot))

    assert told["device_count"] == 0
    assert "HUB_QUERY_PATHS" in told["wrong"]
    reported = {ONE.id: Half(1, {"temp": 31}, {"temp": 0})}
    (told,) = await listed(memory_hub(devices={ONE.id: ONE}, reported=reported, groups=hot, paths=("temp",)))
    assert told == {"group": "hot", "device_count": 1, "query": "twin.reported.temp>30"}


async def test_what_is_done_to_groups_is_written_down() -> None:
    of = hub()
    await create(of, "lamps", "model:lamp")
    await update(of, "lamps", "model:lamp")
    await update(of, "lamps", "model:pump")
    await delete(of, "lamps")

    assert [(one.action, one.target) for one in of.audit.written] == [
        ("group.created", "lamps"),
        ("group.changed", "lamps"),
        ("group.deleted", "lamps"),
    ]
