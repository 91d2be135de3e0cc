"""``devicehub message``: tell a device something."""

from typing import Annotated

import typer

from infra.cli.connection import ask, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Data, Device, read_json_argument

app = typer.Typer(no_args_is_help=True, help="Messages to devices, which the broker keeps for their sessions.")


@app.command(epilog="""Example: devicehub message send pump-0007 '{"text": "Back in ten minutes."}'""")
def send(
    device: Device,
    payload: Annotated[
        str, typer.Argument(metavar="JSON", help="Any JSON, @FILE to read it from a file, or - from the input.")
    ],
    expires_in: Annotated[
        float | None, typer.Option(min=1, help="Seconds that the broker keeps it; for ever unless given.")
    ] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Send a device a message (QoS 1, messages/devicebound); one that is away gets it when its session goes on."""
    from functions.contract.messages import MessageSend, MessageSent

    body = MessageSend(payload=read_json_argument(payload), expires_in=expires_in)
    sent = ask(data, f"devicehub.devices.{device}.messages.send", body, MessageSent)
    if as_json:
        say_json(plain(sent))
    elif sent.state == "sent":
        say(f"The message was sent to {device}.")
    else:
        say(f"{device} is not connected. The broker holds the message for its session.")


@app.callback()
def _group() -> None:
    """Keep ``send`` a word of its own though it is the only one."""
