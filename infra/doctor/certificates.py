"""Certificates: the CA's, the broker's, those to join with, and the revocation list."""

import asyncio
import contextlib
import ssl
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from functions.adapters.keeping import FileKeeping
from functions.adapters.roots import UnlockError, is_encrypted
from infra.doctor.finding import Finding, Patient, span
from infra.settings import Address

_CONNECT_SECONDS = 3.0
_SOON = timedelta(days=30)
# The hub signs a list once a day, and dates it back by an hour.
_BACK_DATED = timedelta(hours=1)
_LIST_OLD = timedelta(days=2)
_START_AGAIN = "Start the hub again: 'devicehub down', then 'devicehub up'."
_FROM_BACKUP = "Restore it from a backup."


async def authority(patient: Patient) -> list[Finding]:
    """The CA: readable, of its key, valid, and for long enough."""
    if patient.node is None:
        return []
    keeping = FileKeeping(patient.paths.ca_certificate, patient.paths.ca_key, patient.settings.ca_passphrase)
    try:
        ca, text = keeping.look()
        _root(patient)
    except UnlockError as problem:
        mend = "Name the file of its passphrase in HUB_CA_PASSPHRASE_FILE, for this command and for 'devicehub up'."
        return [Finding.wrong(str(problem), mend)]
    except (OSError, ValueError, TypeError) as problem:
        return [Finding.wrong(f"The CA in {patient.paths.ca} cannot be used: {problem}", _FROM_BACKUP)]
    mend = "Plan a new CA: every device must be given a certificate of it before that day."
    found = [_lasting("The CA's certificate", certificate, patient.now, mend) for certificate in ca.certificates]
    return [*found, Finding("Its key is encrypted")] if is_encrypted(text) else found


async def broker(patient: Patient) -> list[Finding]:
    """The broker's certificate: of this CA, for the names devices use, and the one that is served."""
    if patient.node is None:
        return []
    file = patient.paths.broker_server
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        certificate.verify_directly_issued_by(_root(patient))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound) as problem:
        what = f"The broker's certificate {file} is not good: {problem or type(problem).__name__}."
        return [Finding.wrong(what, f"Remove the file. {_START_AGAIN}")]
    found = [_lasting("The broker's certificate", certificate, patient.now, _START_AGAIN)]
    told = {str(each.value) for each in names}
    if missing := sorted({patient.node.mqtt_host, *patient.node.hostnames} - told):
        mend = f"Name them in HUB_HOSTNAMES. {_START_AGAIN}"
        found.append(Finding.wrong(f"The broker's certificate lacks {', '.join(missing)}.", mend))
    else:
        found.append(Finding(f"It is for {', '.join(sorted(told))}"))
    return found + await _served(patient, certificate)


async def claims(patient: Patient) -> list[Finding]:
    """The claim bundles in the data directory: of this CA, and valid."""
    found = []
    for file in sorted(patient.paths.data.glob("claims/*/*.crt")):
        if file.name == "ca.crt":
            continue
        mend = "Make a new one: devicehub claim create NAME --out DIR"
        try:
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
            certificate.verify_directly_issued_by(_root(patient))
        except (OSError, ValueError, TypeError, InvalidSignature) as problem:
            what = f"The claim certificate {file} is not good: {problem or type(problem).__name__}."
            found.append(Finding.wrong(what, mend))
        else:
            name = file.parent.relative_to(patient.paths.data)
            found.append(_lasting(f"The claim certificate in {name}", certificate, patient.now, mend))
    return found


async def revocations(patient: Patient) -> list[Finding]:
    """The list of revoked certificates: signed by this CA, and renewed; a lapsed one locks out every device."""
    if patient.node is None:
        return []
    mend = "It is made anew while the hub runs: 'devicehub status' says whether it does."
    try:
        crl, is_signed = _read_list(patient)
    except (OSError, ValueError, TypeError) as problem:
        what = f"The revocation list {patient.paths.broker_crl} cannot be read: {problem}."
        return [Finding.wrong(what, mend)]
    if not is_signed:
        return [Finding.wrong("The revocation list is not signed by the hub's CA.", mend)]
    ends, begins, now = crl.next_update_utc, crl.last_update_utc, patient.now
    if ends is not None and ends <= now:
        return [Finding.wrong(f"The revocation list lapsed {span(now - ends)} ago: no device can connect.", mend)]
    if begins > now:
        what = f"The revocation list is from {span(begins - now)} in the future: no device can connect."
        return [Finding.wrong(what, "Set the clock right.")]
    age = max(now - begins - _BACK_DATED, timedelta(0))
    if age > _LIST_OLD and patient.report is not None:
        what = f"The revocation list is {span(age)} old; it should be renewed every day."
        return [Finding.wrong(what, "'devicehub logs bridge' and 'devicehub logs functions' may say why it is not.")]
    return [Finding(f"The revocation list has {len(list(crl))} entries and was made {span(age)} ago")]


def _read_list(patient: Patient) -> tuple[x509.CertificateRevocationList, bool]:
    """The list, and whether the CA signed it."""
    crl = x509.load_pem_x509_crl(patient.paths.broker_crl.read_bytes())
    # The CA's key is of a kind that signs; the type of the method knows only those.
    return crl, crl.is_signature_valid(_root(patient).public_key())  # type: ignore[arg-type]


async def _served(patient: Patient, certificate: x509.Certificate) -> list[Finding]:
    """Whether the running broker shows the certificate that lies there, and a client that checks it is content."""
    if patient.report is None or patient.node is None:
        return []
    address = Address.parse(patient.node.mqtt_listen).reach
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(patient.paths.broker_trust))
    try:
        shown = await _shown(address, context, patient.node.mqtt_host)
    except ssl.SSLCertVerificationError as problem:
        return [Finding.wrong(f"Devices will not trust the broker: {problem.verify_message}.", _START_AGAIN)]
    except (OSError, TimeoutError):
        # That it does not answer is told with the ports.
        return []
    if shown != certificate.public_bytes(serialization.Encoding.DER):
        return [Finding.wrong("The broker shows another certificate than the one in its directory.", _START_AGAIN)]
    return [Finding(f"A device that asks for {patient.node.mqtt_host} trusts the broker")]


async def _shown(address: Address, context: ssl.SSLContext, name: str) -> bytes:
    """The certificate that a server shows to who asks for it by a name, in DER."""
    async with asyncio.timeout(_CONNECT_SECONDS):
        _, writer = await asyncio.open_connection(address.host, address.port, ssl=context, server_hostname=name)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    with contextlib.suppress(OSError):
        # We show no certificate, so the broker hangs up on us.
        await writer.wait_closed()
    return shown


def _lasting(name: str, certificate: x509.Certificate, now: datetime, mend: str) -> Finding:
    ends = certificate.not_valid_after_utc
    if ends <= now:
        return Finding.wrong(f"{name} ended {span(now - ends)} ago.", mend)
    if certificate.not_valid_before_utc > now:
        begins = span(certificate.not_valid_before_utc - now)
        return Finding.wrong(f"{name} begins only in {begins}: the clock may be wrong.", "Set the clock right.")
    if ends - now < _SOON:
        return Finding.wrong(f"{name} ends in {span(ends - now)}.", mend)
    return Finding(f"{name} is valid for another {span(ends - now)}")


def _root(patient: Patient) -> x509.Certificate:
    return x509.load_pem_x509_certificate(patient.paths.ca_certificate.read_bytes())
