"""TLS on a real socket: with a certificate of the hub's CA, and another in its place while the gateway runs."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.broker.server import render
from functions.adapters.roots import make_root
from functions.contract.requests import make_request
from gateway.encryption import Encryption
from gateway.server import Server, listen
from gateway.settings import Bounds, Files
from infra.stack.certificates import Root
from tests.unit.gateway.rig import make_rig

SECONDS = 10.0


class Hub:
    """A CA, and the file of a server's certificate with its key."""

    def __init__(self, folder: Path) -> None:
        self.root = Root.of(*make_root())
        self.file = folder / "server.pem"
        self.trust = folder / "ca.crt"
        self.trust.write_text(self.root.trust_pem)

    async def certify(self) -> None:
        csr, key = make_request("hub-broker")
        until = datetime.now(UTC) + timedelta(days=30)
        signed = await self.root.authority().sign_server(csr, hostnames=["localhost"], not_after=until)
        self.file.write_text(render(signed.pem, key, self.root.ca.certificates))


@pytest.fixture
async def hub(tmp_path: Path) -> Hub:
    made = Hub(tmp_path)
    await made.certify()
    return made


@pytest.fixture
async def served(hub: Hub) -> AsyncIterator[tuple[int, Encryption]]:
    encryption = Encryption(Files(hub.file, hub.file))
    listener = listen("127.0.0.1", 0)
    server = Server(make_rig().app, Bounds(), context=encryption.context)
    tasks = [asyncio.create_task(server.serve([listener])), asyncio.create_task(encryption.follow(0.02))]
    yield listener.getsockname()[1], encryption
    server.should_exit = True
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def ask(port: int, hub: Hub, maximum: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED) -> tuple[bytes, bytes]:
    """The head of an answer, and the certificate that was shown."""
    context = ssl.create_default_context(cafile=str(hub.trust))
    context.maximum_version = maximum
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
    return answer, shown


async def test_a_client_that_trusts_the_hubs_ca_is_answered(hub: Hub, served: tuple[int, Encryption]) -> None:
    answer, _ = await ask(served[0], hub)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"strict-transport-security: max-age=31536000\r\n" in answer
    assert served[1].not_after > datetime.now(UTC) + timedelta(days=29)


async def test_a_new_certificate_is_shown_without_a_restart(hub: Hub, served: tuple[int, Encryption]) -> None:
    _, first = await ask(served[0], hub)
    await hub.certify()

    async with asyncio.timeout(SECONDS):
        while (await ask(served[0], hub))[1] == first:
            pass


async def test_a_broken_file_leaves_the_certificate_from_before(
    hub: Hub, served: tuple[int, Encryption], capsys: pytest.CaptureFixture[str]
) -> None:
    _, first = await ask(served[0], hub)
    hub.file.write_text("nothing of the kind\n")
    async with asyncio.timeout(SECONDS):
        while "certificate not taken up" not in capsys.readouterr().out:
            assert (await ask(served[0], hub))[1] == first

    await hub.certify()
    async with asyncio.timeout(SECONDS):
        while (await ask(served[0], hub))[1] == first:
            pass


async def test_plain_http_on_the_port_of_tls_gets_no_answer(served: tuple[int, Encryption]) -> None:
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", served[0])
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP/" not in await reader.read()
        writer.close()


async def test_a_certificate_without_its_key_is_told_at_the_start(hub: Hub, tmp_path: Path) -> None:
    _, other = make_request("other")
    key = tmp_path / "other.key"
    key.write_text(other)

    with pytest.raises(ssl.SSLError):
        Encryption(Files(hub.file, key))
    with pytest.raises(FileNotFoundError):
        Encryption(Files(tmp_path / "none.pem", key))
