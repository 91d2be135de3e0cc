"""``devicehub device``: the registry."""

from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli import group, record, transfer
from infra.cli.connection import ask, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Data, Days, Device, NewDevice, Out, QueryOption, query_of

if TYPE_CHECKING:
    from pathlib import Path


app = typer.Typer(no_args_is_help=True, help="Devices: register, list, show, change, suspend, replace and retire.")
record.register(app)
transfer.register(app)
app.command(epilog="Example: devicehub device facets 'status:offline lastSeen>7d'")(group.facets)


@app.command(epilog="Example: devicehub device create pump-0007 --out ./pump-0007")
def create(
    device: NewDevice,
    out: Out,
    days: Days = None,
    data: Data = None,
) -> None:
    """Register a device and write its bundle: ca.crt, ID.crt, ID.key, config.json.

    The key is made here and stays in the bundle. Enrolment need not be open.
    """
    from functions.contract.messages import DeviceCreate, Issued
    from infra.cli.bundles import Bundle, make_bundle, site_of
    from infra.cli.tables import moment
    from infra.settings import Address

    site = site_of(data)
    subject = f"devicehub.registry.devices.{device}.create"
    issued = make_bundle(
        Bundle(out, device),
        device,
        site,
        lambda csr: ask(data, subject, DeviceCreate(csr_pem=csr, days=days), Issued),
        device=device,
    )
    say(
        f"The device {device} is registered; its bundle is in {out}, valid until {moment(issued.expires_at)}.",
        f"It connects to {Address(site.mqtt_host, site.mqtt_port)} with the client id {device}.",
    )


@app.command("list", epilog="Example: devicehub device list 'tag:site=A firmware<1.4' --sort=-lastSeen --limit 20")
def list_(
    query: Annotated[
        str, typer.Argument(metavar="[QUERY]", help="Which: a text, or such as 'status:offline lastSeen>7d -tag:lab'.")
    ] = "",
    q: QueryOption = "",
    sort: Annotated[
        str, typer.Option("--sort", metavar="FIELDS", help="What to sort by, as model,-lastSeen; by id if not given.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """List devices, but for the retired, a page at a time; 'lifecycle:retired' finds those.

    In a query, conditions with a blank between must all hold: a text, or a field and its value (id, name, role,
    model, firmware, group, tag, status, lifecycle, lastSeen, createdAt, updatedAt, twinInSync, outOfSync,
    twin.reported.PATH). '-' before one turns it round, OR and parentheses join, '*' stands for anything.
    """
    from functions.contract.messages import DevicePage, RegistryQuery
    from infra.cli.tables import moment, say_part, show_table

    wanted = query_of(query, q)
    asked = RegistryQuery(q=wanted, sort=sort, limit=limit, offset=offset)
    page = ask(data, "devicehub.registry.query", asked, DevicePage)
    if as_json:
        say_json(plain(page))
        return
    rows = [
        (
            view.device_name,
            view.display_name,
            view.role or "",
            view.status,
            view.lifecycle,
            view.model,
            moment(view.last_seen),
        )
        for view in page.devices
    ]
    columns = ("Device", "Name", "Role", "Status", "Lifecycle", "Model", "Last seen")
    show_table(columns, rows, empty="No device matches." if wanted or offset else "There is no device yet.")
    say_part(offset, len(rows), page.total)


@app.command(epilog="Example: devicehub device show pump-0007 --json")
def show(device: Device, as_json: AsJson = False, data: Data = None) -> None:
    """Show what the registry keeps of a device."""
    from functions.contract.messages import DeviceRecord, Nothing
    from infra.cli.record import facts_of
    from infra.cli.tables import show_facts

    view = ask(data, f"devicehub.registry.devices.{device}.get", Nothing(), DeviceRecord)
    if as_json:
        say_json(plain(view))
    else:
        show_facts(facts_of(view))


@app.command(epilog="Example: devicehub device connections pump-0007")
def connections(device: Device, as_json: AsJson = False, data: Data = None) -> None:
    """List a device's last connections, newest first: when each began, and when and on what evidence it ended."""
    from functions.contract.messages import ConnectionList, Nothing
    from infra.cli.tables import exact_moment, show_table

    found = ask(data, f"devicehub.registry.devices.{device}.connections", Nothing(), ConnectionList)
    if as_json:
        say_json(plain(found))
        return
    rows = [
        (
            exact_moment(one.connected_at),
            exact_moment(one.disconnected_at) if one.disconnected_at else "open",
            one.evidence or "",
            one.address or "",
        )
        for one in found.connections
    ]
    show_table(("Connected", "Disconnected", "Evidence", "Address"), rows, empty="It has not connected yet.")


@app.command(epilog="Example: devicehub device revoke pump-0007")
def revoke(device: Device, data: Data = None) -> None:
    """Revoke a device's certificate: its connection is cut and its record retired.

    'devicehub device create' brings the device back, with a new certificate.
    """
    from functions.contract.messages import DeviceRevoke, Done

    ask(data, f"devicehub.registry.devices.{device}.revoke", DeviceRevoke(), Done)
    say(f"The certificate of {device} is revoked, and the device is retired.")


@app.command(epilog="Example: devicehub device suspend pump-0007")
def suspend(device: Device, data: Data = None) -> None:
    """Let a device take no part for now: its connection is cut and the broker denies it everything.

    What it should be can still be changed. 'devicehub device resume' ends it.
    """
    _turn(data, device, "suspend")
    say(f"The device {device} is suspended. It takes part again after: devicehub device resume {device}")


@app.command(epilog="Example: devicehub device resume pump-0007")
def resume(device: Device, data: Data = None) -> None:
    """Let a suspended device take part again; its connection is cut once more, and it comes back."""
    _turn(data, device, "resume")
    say(f"The device {device} takes part.")


def _turn(data: "Path | None", device: str, verb: str) -> None:
    from functions.contract.messages import DeviceRecord, Nothing

    ask(data, f"devicehub.registry.devices.{device}.{verb}", Nothing(), DeviceRecord)
