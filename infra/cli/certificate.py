"""``devicehub certificate``: the register of all that the hub's CA signed; and ``devicehub crl``."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from functions.domain.certificates import Gate, Purpose, RevocationReason
from functions.domain.faults import Malformed
from functions.domain.register import State, serial_number
from infra.cli.connection import ask, plain
from infra.cli.console import say, say_json
from infra.cli.options import AsJson, Data
from infra.cli.token import days_of
from infra.problem import Problem

if TYPE_CHECKING:
    from functions.contract.messages import CertificateDetail

app = typer.Typer(no_args_is_help=True, help="Certificates: every one that the hub ever issued.")


def _serial(text: str) -> str:
    try:
        return serial_number(text)
    except Malformed as fault:
        raise typer.BadParameter(fault.detail) from fault


def _one_of(choices: type[StrEnum]) -> str:
    return f"One of: {', '.join(choices)}."


Serial = Annotated[
    str, typer.Argument(metavar="SERIAL", parser=_serial, help="The serial number in hexadecimal, colons or not.")
]


@app.command("list", epilog="Example: devicehub certificate list --expires-within 90d --state active --sort notAfter")
def list_(
    q: Annotated[
        str,
        typer.Option("--q", metavar="TEXT", help="What a name holds, or serial number or fingerprint begin with."),
    ] = "",
    state: Annotated[State | None, typer.Option("--state", help="Only those that are so.")] = None,
    kind: Annotated[Purpose | None, typer.Option("--kind", help="Only those for this.")] = None,
    gate: Annotated[str | None, typer.Option("--gate", metavar="GATE", help=_one_of(Gate))] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="NAME", help="A device's id, or claim-NAME.")
    ] = None,
    expires_within: Annotated[
        int | None, typer.Option("--expires-within", metavar="SPAN", parser=days_of, help="Ends so soon: 90d, 12w, 1y.")
    ] = None,
    sort: Annotated[str, typer.Option("--sort", metavar="FIELDS", help="As the interface names them: -issuedAt.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """List certificates, the newest first, a page at a time; those of devices that are gone stay in the list."""
    from functions.contract.messages import CertificatePage, CertificateQuery
    from infra.cli.tables import moment, say_part, show_table

    now = datetime.now(UTC)
    wish = CertificateQuery(
        q=q,
        state=None if state is None else state.value,
        kind=None if kind is None else kind.value,
        gate=gate,
        subject=subject,
        expires_after=None if expires_within is None else now,
        expires_before=None if expires_within is None else now + timedelta(days=expires_within),
        sort=sort,
        limit=limit,
        offset=offset,
    )
    page = ask(data, "devicehub.certificates.query", wish, CertificatePage)
    if as_json:
        say_json(plain(page))
        return
    rows = [
        (
            one.serial,
            one.subject,
            one.kind,
            one.state,
            one.gate,
            one.issued_to,
            moment(one.issued_at),
            moment(one.not_after),
        )
        for one in page.certificates
    ]
    columns = ("Serial", "Subject", "Kind", "State", "Gate", "Issued to", "Issued", "Valid until")
    show_table(columns, rows, empty="No certificate matches.")
    say_part(offset, len(rows), page.total)


@app.command(epilog="Example: devicehub certificate show C4:1F:9B:1E:A0:55 --json")
def show(serial: Serial, as_json: AsJson = False, data: Data = None) -> None:
    """Show what the register keeps of a certificate, and the certificate itself."""
    from functions.contract.messages import CertificateDetail, Nothing
    from infra.cli.tables import show_facts

    found = ask(data, f"devicehub.certificates.{serial}.get", Nothing(), CertificateDetail)
    if as_json:
        say_json(plain(found))
        return
    show_facts(_facts(found))
    say(found.pem.strip())


@app.command(epilog="Example: devicehub certificate revoke c41f9b1ea055 --reason keyCompromise")
def revoke(
    serial: Serial,
    reason: Annotated[RevocationReason | None, typer.Option("--reason", help="What the list says of why.")] = None,
    data: Data = None,
) -> None:
    """Revoke one certificate: it opens no session any more, and those it opened end.

    The certificate that a device uses takes the device with it; the answer
    says what follows.
    """
    from functions.contract.messages import CertificateRevoke, CertificateRevoked

    wish = CertificateRevoke(reason=None if reason is None else reason.value)
    done = ask(data, f"devicehub.certificates.{serial}.revoke", wish, CertificateRevoked)
    say(f"The certificate {done.serial} of {done.subject} is revoked.", done.message)


def crl(
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write it instead.")] = None,
    der: Annotated[bool, typer.Option("--der", help="In DER instead of PEM; needs --out.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Print the revocation list as it was published last, in PEM. Over HTTP anyone has it at /api/crl."""
    from functions.contract.messages import CrlView, Nothing
    from infra.cli.tables import moment

    if der and out is None:
        raise typer.BadParameter("DER is no text: name a file with --out.", param_hint="--der")
    found = ask(data, "devicehub.crl.get", Nothing(), CrlView)
    if out is not None:
        _write(out, _in_der(found.pem) if der else found.pem.encode())
    if as_json:
        say_json(plain(found))
    elif out is None:
        say(found.pem.strip())
    else:
        until = moment(found.next_update)
        say(f"The list {found.number} of {moment(found.this_update)} is in {out}. It must be renewed by {until}.")


def _write(out: Path, content: bytes) -> None:
    try:
        out.write_bytes(content)
    except OSError as problem:
        raise Problem(f"{out} cannot be written: {problem.strerror}.", "Name another file with --out.") from problem


def _in_der(pem: str) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    return x509.load_pem_x509_crl(pem.encode()).public_bytes(Encoding.DER)


def _facts(found: "CertificateDetail") -> list[tuple[str, str]]:
    from infra.cli.tables import moment

    return [
        ("Serial", found.serial),
        ("Subject", found.subject),
        ("Kind", found.kind),
        ("State", found.state),
        ("Fingerprint", found.fingerprint),
        ("Valid from", moment(found.not_before)),
        ("Valid until", moment(found.not_after)),
        ("Issued", moment(found.issued_at)),
        ("Issued to", found.issued_to),
        ("Gate", found.gate),
        ("Revoked", moment(found.revoked_at)),
        ("Reason", found.reason or ""),
    ]
