"""``devicehub ca``: the hub's certificate authority."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.connection import ask, plain
from infra.cli.console import complain, say, say_json
from infra.cli.options import AsJson, Data
from infra.problem import Problem

if TYPE_CHECKING:
    from pydantic import ValidationError

    from functions.contract.messages import CaReplaced, CaView

app = typer.Typer(
    no_args_is_help=True,
    help="The certificate authority: look at it, or put another in its place before devices depend on it.",
)

# Longer than the keeper needs, and than it takes it to come back.
_FOLLOWED_WITHIN_SECONDS = 15.0
_EVERY_SECONDS = 0.2
_REPLACE_WITHIN_SECONDS = 35.0

Replaces = Annotated[
    str | None,
    typer.Option("--replaces", metavar="FINGERPRINT", help="Do it only if this one is to be replaced, by 'ca show'."),
]


@app.command(epilog="Example: devicehub ca show --json")
def show(as_json: AsJson = False, data: Data = None) -> None:
    """Show which CA signs, until when it is valid, and whether it can still be replaced."""
    from functions.contract.messages import CaView, Nothing

    view = ask(data, "devicehub.ca.get", Nothing(), CaView)
    if as_json:
        say_json(plain(view))
        return
    _tell(view)


@app.command(epilog="Example: devicehub ca create --cn 'Pumps CA' --days 3650 --key RSA-3072")
def create(
    cn: Annotated[str | None, typer.Option("--cn", metavar="NAME", help="Its common name.")] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, max=36500, help="How long it is valid.")] = None,
    key: Annotated[str, typer.Option("--key", help="P-256, P-384, RSA-2048, RSA-3072 or RSA-4096.")] = "P-256",
    replaces: Replaces = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Make a root CA in the place of the present one, as long as no device has a certificate.

    Claim certificates of the present one end with it.
    """
    from pydantic import ValidationError

    from functions.contract.messages import CaCreate, CaReplaced

    try:
        body = CaCreate.model_validate({"cn": cn, "days": days, "key": key, "replaces": replaces})
    except ValidationError as problem:
        raise typer.BadParameter(_wrong(problem)) from problem
    replaced = ask(data, "devicehub.ca.create", body, CaReplaced, within=_REPLACE_WITHIN_SECONDS)
    _finish(replaced, data, as_json=as_json)


@app.command("import", epilog="Example: devicehub ca import --certificate ca.crt --key ca.key --passphrase-file F")
def import_(
    certificate: Annotated[
        Path,
        typer.Option("--certificate", metavar="FILE", help="Its certificate and those above it up to the root, PEM."),
    ],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="Its private key, PEM.")],
    passphrase_file: Annotated[
        Path | None, typer.Option("--passphrase-file", metavar="FILE", help="Of a key that is encrypted.")
    ] = None,
    replaces: Replaces = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Put a CA that was made elsewhere, a root or an intermediate, in the place of the present one.

    As long as no device has a certificate. It should be for this hub alone.
    Claim certificates of the present one end with it.
    """
    from pydantic import ValidationError

    from functions.contract.messages import CaImport, CaReplaced

    told = {"chain_pem": _read(certificate), "key_pem": _unlocked(key, passphrase_file), "replaces": replaces}
    try:
        body = CaImport.model_validate(told)
    except ValidationError as problem:
        raise typer.BadParameter(_wrong(problem)) from problem
    replaced = ask(data, "devicehub.ca.import", body, CaReplaced, within=_REPLACE_WITHIN_SECONDS)
    _finish(replaced, data, as_json=as_json)


@app.command(epilog="Example: devicehub ca download --out ca.crt")
def download(
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to; without it, printed.")] = None,
    data: Data = None,
) -> None:
    """Give what devices need to trust the hub: the certificate of the CA, and those above it. Never its key."""
    from functions.contract.files import write_file
    from functions.contract.messages import CaView, Nothing

    view = ask(data, "devicehub.ca.get", Nothing(), CaView)
    if out is None:
        say(view.ca_pem.rstrip("\n"))
        return
    try:
        write_file(out, view.ca_pem.encode(), mode=0o644)
    except OSError as problem:
        raise Problem(f"{out} cannot be written: {problem.strerror or problem}.", "Name another file.") from problem
    say(f"The CA '{view.common_name}' is in {out}.")


def _finish(replaced: "CaReplaced", data: Path | None, *, as_json: bool) -> None:
    """Wait until the broker follows, and tell."""
    view = _wait_until_settled(replaced, data)
    if as_json:
        say_json({**plain(replaced), "settled": view.settled})
        return
    _tell(view)
    if replaced.ended_claims:
        say(
            "",
            f"These claim certificates ended with the one before: {', '.join(replaced.ended_claims)}.",
            "Make new ones for the devices that are to join: devicehub claim create NAME --out DIR",
        )
    if not view.settled:
        complain("The broker does not take its certificates yet. 'devicehub doctor' may say why.")


def _wait_until_settled(view: "CaView", data: Path | None) -> "CaView":
    from functions.contract.messages import CaView, Nothing

    deadline = time.monotonic() + _FOLLOWED_WITHIN_SECONDS
    while not view.settled and time.monotonic() < deadline:
        time.sleep(_EVERY_SECONDS)
        view = ask(data, "devicehub.ca.get", Nothing(), CaView)
    return view


def _tell(view: "CaView") -> None:
    from infra.cli.tables import moment

    kind = "root" if view.is_root else "intermediate"
    say(
        f"CA            {view.common_name} ({kind}, {view.chain[0].key})",
        f"Fingerprint   {view.fingerprint}",
        f"Valid until   {moment(view.not_after)}",
        f"Private key   {'encrypted' if view.key_encrypted else 'not encrypted'} where it lies",
        f"In use        {'yes: devices have certificates of it' if view.in_use else 'no: it can be replaced'}",
    )
    for above in view.chain[1:]:
        say(f"Above it      {above.subject}, valid until {moment(above.not_after)}")


def _unlocked(key: Path, passphrase_file: Path | None) -> str:
    """A private key that the hub takes: as it is, or without its encryption, which the passphrase undoes here."""
    from functions.adapters.roots import is_encrypted, key_pem, read_key

    text = _read(key)
    if not is_encrypted(text):
        return text
    if passphrase_file is None:
        raise Problem(f"The key in {key} is encrypted.", "Name the file of its passphrase with --passphrase-file.")
    try:
        return key_pem(read_key(text, _read(passphrase_file).rstrip("\r\n").encode()))
    except ValueError as problem:
        raise Problem(str(problem), f"See {key} and {passphrase_file}.") from problem


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise Problem(f"{file} cannot be read: {problem}.") from problem


def _wrong(problem: "ValidationError") -> str:
    """What is wrong with which option, and nothing of what was given: it may be a key."""
    first = problem.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{first['loc'][0]}: {first['msg']}"
