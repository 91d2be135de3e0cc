"""The broker's certificate and trust on disk: whole, of one CA, and renewed in time."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from bridge.broker.server import Server, ServerFiles, is_fit
from functions.adapters.authority import LocalAuthority
from functions.adapters.clock import SystemClock
from functions.adapters.roots import make_root
from functions.domain.faults import Malformed, Unavailable

NAMES = ("hub.example", "192.0.2.7")
VECTORS = Path(__file__).parents[3] / "vectors" / "authorities"


@pytest.fixture
def files(tmp_path: Path) -> ServerFiles:
    return ServerFiles(tmp_path / "ca.crt", tmp_path / "server.pem", NAMES)


def now() -> datetime:
    return datetime.now(UTC)


async def supply(server: Server, pair: tuple[str, str], *, days: int = 1000, names: tuple[str, ...] = ()) -> None:
    """As the functions do when they are asked."""
    asked = server.request(pair[0], names, now())
    assert asked is not None
    authority = LocalAuthority(*pair, SystemClock())
    signed = await authority.sign_server(asked[0], hostnames=asked[1], not_after=now() + timedelta(days=days))
    server.put(authority.chain_pem, signed.pem)


async def test_a_broker_gets_a_certificate_and_keeps_it_while_it_is_good(files: ServerFiles) -> None:
    server, pair = Server(files), make_root()

    await supply(server, pair)

    assert server.request(pair[0], (), now()) is None
    assert not server.put(pair[0], None)
    assert Server(files).request(pair[0], (), now()) is None
    assert files.trust.read_text() == pair[0]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (files.trust, files.server)} == {0o600}


async def test_another_ca_other_names_and_a_near_end_ask_for_another(files: ServerFiles) -> None:
    server, pair = Server(files), make_root()
    await supply(server, pair)

    assert server.request(make_root()[0], (), now()) is not None
    assert Server(ServerFiles(files.trust, files.server, (*NAMES, "other"))).request(pair[0], (), now()) is not None
    assert server.request(pair[0], (), now() + timedelta(days=634)) is None
    assert server.request(pair[0], (), now() + timedelta(days=636)) is not None


async def test_further_names_ask_for_another_that_has_them_until_they_are_taken_away(files: ServerFiles) -> None:
    server, pair = Server(files), make_root()
    await supply(server, pair)

    await supply(server, pair, names=("hub.lan", NAMES[0]))

    assert server.request(pair[0], (NAMES[0], "hub.lan"), now()) is None
    asked = server.request(pair[0], (), now())
    assert asked is not None
    assert asked[1] == NAMES


async def test_a_certificate_cannot_outlast_its_ca(files: ServerFiles) -> None:
    server, pair = Server(files), make_root(days=100)

    await supply(server, pair)

    assert server.request(pair[0], (), now() + timedelta(days=99)) is None


async def test_the_broker_shows_what_stands_between_it_and_the_root(files: ServerFiles) -> None:
    chain = "".join((VECTORS / f"{name}.crt").read_text() for name in ("second", "intermediate", "root"))
    server, other = Server(files), make_root()[0]
    authority = LocalAuthority(chain, (VECTORS / "second.key").read_text(), SystemClock())
    asked = server.request(chain + other, (), now())
    assert asked is not None
    signed = await authority.sign_server(asked[0], hostnames=asked[1], not_after=now() + timedelta(days=1000))

    server.put(chain + other, signed.pem)

    shown = [one.subject.rfc4514_string() for one in x509.load_pem_x509_certificates(files.server.read_bytes())]
    assert shown == ["CN=hub-broker", "CN=second,O=Vectors", "CN=intermediate,O=Vectors"]
    assert server.request(chain + other, (), now()) is None
    assert files.trust.read_text() == chain + other


async def test_what_is_no_trust_changes_nothing(files: ServerFiles) -> None:
    server, pair = Server(files), make_root()
    await supply(server, pair)
    before = files.server.read_text(), files.trust.read_text()
    server.request(make_root()[0], (), now())

    for text in ("", "no certificate", pair[0][:-60]):
        with pytest.raises(Malformed):
            server.put(text, pair[0])

    assert (files.server.read_text(), files.trust.read_text()) == before


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    server = Server(ServerFiles(tmp_path / "no" / "ca.crt", tmp_path / "no" / "server.pem", NAMES))

    with pytest.raises(Unavailable, match="cannot be written"):
        server.put(make_root()[0], None)


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_not_fit(text: str) -> None:
    assert not is_fit(text, make_root()[0], NAMES, now())
    assert not is_fit(make_root()[0], text, NAMES, now())
