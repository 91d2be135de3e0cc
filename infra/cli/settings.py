"""``devicehub settings``: what can be set of a running hub."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from functions.domain.hosts import is_host
from infra.cli.connection import ask, plain
from infra.cli.console import say_json
from infra.cli.options import AsJson, Data

if TYPE_CHECKING:
    from functions.contract.messages import ServerView

app = typer.Typer(
    no_args_is_help=True,
    help="Settings of the running hub: where devices are told to connect, how long certificates are good for.",
)


def _host(text: str) -> str:
    if text and not is_host(text):
        raise typer.BadParameter(f"'{text}' is neither a host name nor an IP address.")
    return text


# By the name of the option.
_FIELDS = {
    "mqtt-host": "mqttHost",
    "mqtt-port": "mqttPort",
    "hostname": "hostnames",
    "device-days": "deviceDays",
    "claim-days": "claimDays",
}


@app.command(epilog="Example: devicehub settings show --json")
def show(as_json: AsJson = False, data: Data = None) -> None:
    """Show the settings as they hold, and what they are where nothing is set."""
    from functions.contract.messages import Nothing, ServerView

    _show(ask(data, "devicehub.settings.server.get", Nothing(), ServerView), as_json=as_json)


@app.command("set", epilog="Example: devicehub settings set --mqtt-host hub.example.com --device-days 730")
def set_(
    mqtt_host: Annotated[
        str | None, typer.Option(parser=_host, help="The name or address that bundles tell devices.")
    ] = None,
    mqtt_port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="The port that bundles tell devices: theirs, on the way in.")
    ] = None,
    hostname: Annotated[
        list[str] | None,
        typer.Option(parser=_host, help="A further name in the broker's certificate; all of them, empty for none."),
    ] = None,
    device_days: Annotated[
        int | None, typer.Option(min=1, max=36500, help="How long a device's certificate is good for, if not said.")
    ] = None,
    claim_days: Annotated[
        int | None, typer.Option(min=1, max=36500, help="How long a claim certificate is good for, if not said.")
    ] = None,
    default: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A setting to set back, such as mqtt-host.")
    ] = None,
    expected_version: Annotated[int | None, typer.Option(min=0, help="Refuse unless the settings have it.")] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Change some settings; what is not named stays.

    The broker's certificate has the new names about a second later. Devices
    keep the bundles they have, and certificates their time.
    """
    from functions.contract.messages import ServerChange, ServerView

    wish: dict[str, Any] = {
        "mqttHost": mqtt_host,
        "mqttPort": mqtt_port,
        "hostnames": None if hostname is None else [one for one in hostname if one],
        "deviceDays": device_days,
        "claimDays": claim_days,
    }
    wish = {name: value for name, value in wish.items() if value is not None}
    for name in default or []:
        if name not in _FIELDS:
            raise typer.BadParameter(f"There is no setting '{name}'; there are {', '.join(_FIELDS)}.")
        if _FIELDS[name] in wish:
            raise typer.BadParameter(f"Either set {name} or set it back.")
        wish[_FIELDS[name]] = None
    if not wish:
        raise typer.BadParameter(f"Name what to change: --{', --'.join(_FIELDS)} or --default.")
    if expected_version is not None:
        wish["expectedVersion"] = expected_version
    view = ask(data, "devicehub.settings.server.change", ServerChange.model_validate(wish), ServerView)
    _show(view, as_json=as_json)


def _show(view: "ServerView", *, as_json: bool) -> None:
    from infra.cli.tables import show_facts
    from infra.settings import Address

    if as_json:
        say_json(plain(view))
        return
    default = view.defaults
    show_facts(
        [
            ("Devices are told to connect to", str(Address(view.mqtt_host, view.mqtt_port))),
            ("By default", str(Address(default.mqtt_host, default.mqtt_port))),
            ("Further names of the broker", ", ".join(view.hostnames) or "none"),
            ("A device's certificate is good for", f"{view.device_days} days (by default {default.device_days})"),
            ("A claim certificate", f"{view.claim_days} days (by default {default.claim_days})"),
            ("Topic prefix (HUB_TOPIC_PREFIXES)", view.fixed.topic_prefix),
            ("Renewal grace (HUB_RENEWAL_GRACE_SECONDS)", f"{view.fixed.renewal_grace_seconds} s"),
            ("Version", str(view.version)),
        ]
    )
