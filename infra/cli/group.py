"""``devicehub group`` and ``devicehub stats``: the groups there are, and counts over the fleet."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from infra.cli.connection import ask, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Data, Group, QueryOption, query_of

app = typer.Typer(no_args_is_help=True, help="Groups: those that devices are in, and those that are a query's answer.")

Query = Annotated[str, typer.Option("--query", metavar="QUERY", help="Its members are those for whom this holds.")]
OutOfSync = Annotated[
    int, typer.Option("--out-of-sync", min=0, metavar="SECONDS", help="Count twins out of sync for longer than this.")
]


@app.command("list", epilog="Example: devicehub group list --sort=-device_count --limit 20")
def list_(
    sort: Annotated[
        str, typer.Option("--sort", metavar="FIELDS", help="What to sort by, as -device_count; by name if not given.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """List groups with how many devices each has, but for the retired, a page at a time."""
    from functions.contract.messages import GroupList, GroupQuery
    from infra.cli.tables import say_part, show_table

    asked = GroupQuery(sort=sort, limit=limit, offset=offset)
    found = ask(data, "devicehub.registry.groups.list", asked, GroupList)
    if as_json:
        say_json(plain(found)["groups"])
        return
    rows = [(fact.group, str(fact.device_count), fact.query or "", fact.wrong or "") for fact in found.groups]
    columns = ("Group", "Devices", "Query", "Wrong")
    show_table(columns, rows, empty="There is no group yet. Make one: devicehub group create NAME --query QUERY")
    say_part(offset, len(rows), found.total)


@app.command(epilog="Example: devicehub group create old-pumps --query 'model:P-200 firmware<1.4'")
def create(group: Group, query: Query = "", data: Data = None) -> None:
    """Make a group; with a query it is dynamic, else devices are put into it by 'device update'."""
    from functions.contract.messages import GroupCreate, GroupFact

    made = ask(data, "devicehub.registry.groups.create", GroupCreate(group=group, query=query or None), GroupFact)
    say(f"The group '{group}' has {made.device_count} devices now.")


@app.command(epilog="Example: devicehub group update old-pumps --query 'model:P-200 firmware<1.5'")
def update(group: Group, query: Query = "", data: Data = None) -> None:
    """Give a group another query; without --query it has none any more."""
    from functions.contract.messages import GroupFact, GroupUpdate

    changed = ask(data, f"devicehub.registry.groups.{group}.update", GroupUpdate(query=query or None), GroupFact)
    say(f"The group '{group}' has {changed.device_count} devices now.")


@app.command(epilog="Example: devicehub group delete old-pumps")
def delete(group: Group, data: Data = None) -> None:
    """Delete a group that no device names in its record."""
    from functions.contract.messages import Done, Nothing

    ask(data, f"devicehub.registry.groups.{group}.delete", Nothing(), Done)
    say(f"The group '{group}' is deleted.")


def stats(out_of_sync: OutOfSync = 0, as_json: AsJson = False, data: Data = None) -> None:
    """Count the fleet: by connection, group and model, and twins that are out of sync."""
    from functions.contract.messages import FleetQuery, FleetStats
    from infra.cli.tables import show_facts

    found = ask(data, "devicehub.registry.stats", FleetQuery(out_of_sync_seconds=out_of_sync), FleetStats)
    if as_json:
        say_json(plain(found))
        return
    late = f"Out of sync over {out_of_sync} s" if out_of_sync else "Out of sync"
    numbers = (
        ("Devices", found.total),
        ("Online", found.online),
        ("Offline", found.offline),
        ("Never seen", found.never_seen),
        (late, found.out_of_sync),
        ("Retired, besides", found.retired),
    )
    show_facts([(name, str(number)) for name, number in numbers])
    _show_sizes((("Group", found.by_group), ("Model", found.by_model)))


def facets(
    query: Annotated[
        str, typer.Argument(metavar="[QUERY]", help="Which devices; as for 'devicehub device list'.")
    ] = "",
    q: QueryOption = "",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Count the devices that match by status, group, model and tag; of each the 100 that most have."""
    from functions.contract.messages import FacetQuery, Facets

    found = ask(data, "devicehub.registry.facets", FacetQuery(q=query_of(query, q)), Facets)
    if as_json:
        say_json(plain(found))
        return
    say(f"{found.total} devices match.")
    _show_sizes((("Status", found.status), ("Group", found.group), ("Model", found.model), ("Tag", found.tag)))


def _show_sizes(counted: Sequence[tuple[str, Mapping[str, int]]]) -> None:
    from infra.cli.tables import show_table

    for kind, sizes in counted:
        if sizes:
            say("")
            show_table((kind, "Devices"), [(name, str(size)) for name, size in sizes.items()], empty="")
