"""The kernel's table of connections is read as the broker spells addresses."""

import asyncio
import socket
from pathlib import Path

import pytest

from bridge.broker.sockets import canonical, peers

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def table(folder: Path, name: str, *rows: str) -> Path:
    path = folder / name
    path.write_text(
        HEAD + "".join(f"   {at}: {row} 00000000:00000000 00:00000000 0 0 1\n" for at, row in enumerate(rows))
    )
    return path


def test_only_established_connections_of_the_port_count(tmp_path: Path) -> None:
    tables = (
        table(
            tmp_path,
            "tcp",
            "00000000:22B3 00000000:0000 0A",
            "0100007F:22B3 0200007F:B28F 01",
            "0100007F:22B3 0300007F:B290 06",
            "0100007F:1F90 0400007F:B291 01",
        ),
        table(
            tmp_path,
            "tcp6",
            "00000000000000000000000001000000:22B3 0000000000000000FFFF00000500007F:B292 01",
            "B80D0120000000000000000001000000:22B3 B80D0120000000000000000002000000:B293 01",
        ),
    )

    found = peers(0x22B3, tables)

    assert found is not None
    assert sorted(found) == ["127.0.0.2:45711", "127.0.0.5:45714", "2001:db8::2:45715"]


def test_where_nothing_listens_nothing_is_known(tmp_path: Path) -> None:
    tables = (table(tmp_path, "tcp", "0100007F:22B3 0200007F:B28F 01"), tmp_path / "tcp6")

    assert peers(0x22B3, tables) is None


@pytest.mark.parametrize(
    ("told", "spelled"),
    [
        ("127.0.0.1:45711", "127.0.0.1:45711"),
        ("::1:45711", "::1:45711"),
        ("::ffff:127.0.0.1:45711", "127.0.0.1:45711"),
        ("2001:0db8::0002:45711", "2001:db8::2:45711"),
        ("/run/bridge.sock:0", "/run/bridge.sock:0"),
    ],
)
def test_an_address_of_the_log_is_spelled_as_the_kernel_s(told: str, spelled: str) -> None:
    assert canonical(told) == spelled


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_real_connection_is_found_while_it_lives(host: str) -> None:
    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _reader.read()
        writer.close()

    try:
        server = await asyncio.start_server(hold, host, 0)
    except OSError as problem:
        pytest.skip(f"needs {host}: {problem}")
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(host, port)
        mine = writer.get_extra_info("sockname")
        address = canonical(f"{mine[0]}:{mine[1]}")

        found = peers(port)
        assert found is not None
        assert address in found

        writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        writer.close()
        await writer.wait_closed()
        found = peers(port)
        assert found is not None
        assert address not in found
