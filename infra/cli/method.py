"""``devicehub method``: have a device do something."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.connection import ask, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Data, Device, Json, Method, read_json_argument

if TYPE_CHECKING:
    from functions.contract.messages import MethodAnswer

app = typer.Typer(no_args_is_help=True, help="Direct methods: have a device do something, and hear what it answers.")

# Seconds for the way there and back, beside the device's own.
_ON_THE_WAY = 5.0


@app.command(epilog="""Example: devicehub method call pump-0007 reboot '{"delay": 5}' --timeout 10""")
def call(
    device: Device,
    method: Method,
    payload: Json = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=300, help="Seconds to wait for the answer.")] = 30.0,
    queue: Annotated[bool, typer.Option("--queue", help="Keep the call for a device that is not there.")] = False,
    expires_in: Annotated[float, typer.Option(min=1, help="Seconds that it is kept, at most 30 days.")] = 86_400.0,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Call a method of a device and show what it answers.

    A device that is offline, or does not listen, is told at once. What
    timed out may have been done, or be done still.
    """
    from functions.contract.messages import MethodAnswer, MethodCall

    body = MethodCall(payload=read_json_argument(payload), timeout=timeout, queue=queue, expires_in=expires_in)
    subject = f"devicehub.devices.{device}.methods.{method}.call"
    answer = ask(data, subject, body, MethodAnswer, within=timeout + _ON_THE_WAY)
    if as_json:
        say_json(plain(answer))
    else:
        _show(device, method, answer)


def _show(device: str, method: str, answer: "MethodAnswer") -> None:
    from infra.cli.tables import moment

    if answer.queued_until is not None:
        say(f"{device} is not there. The call waits for it until {moment(answer.queued_until)}.")
        return
    message = f": {answer.message}" if answer.message else ""
    say(f"{device} answers {method} with status {answer.status}{message}")
    if answer.payload is not None:
        say(json.dumps(answer.payload, indent=2, ensure_ascii=False, sort_keys=True))
