"""What a connection may do: the real server on a real socket, before functions in process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway.server import Server, listen
from gateway.settings import Bounds
from tests.unit.gateway.rig import DEVICE, Rig, make_device, make_rig

TWIN = f"/api/devices/{DEVICE}/twin"
SECONDS = 10.0


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self) -> dict[str, object]:
        assert self.headers["content-type"] == "application/problem+json"
        return dict(orjson.loads(self.body))


@dataclass
class Client:
    """A connection that sends whatever it is given."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    token: str = ""

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def head(self, method: str, target: str, *lines: str) -> bytes:
        told = [f"{method} {target} HTTP/1.1", "Host: hub", f"Authorization: Bearer {self.token}", *lines]
        return ("\r\n".join(told) + "\r\n\r\n").encode("latin-1")

    async def ask(self, method: str, target: str, *lines: str, body: bytes = b"") -> Response:
        await self.send(self.head(method, target, *lines) + body)
        return await self.read(method)

    async def read(self, method: str = "GET") -> Response:
        async with asyncio.timeout(SECONDS):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            status = int(first.split(" ")[1])
            length = 0 if method == "HEAD" or status == 304 else int(headers.get("content-length", 0))
            return Response(status, headers, await self.reader.readexactly(length))

    async def read_chunks(self) -> bytes:
        """The body of an answer whose length is not told, which must come to its end."""
        async with asyncio.timeout(SECONDS):
            head = await self.reader.readuntil(b"\r\n\r\n")
            assert b" 200 " in head.split(b"\r\n")[0], head
            assert b"transfer-encoding: chunked" in head.lower()
            found = b""
            while size := int(await self.reader.readline(), 16):
                found += await self.reader.readexactly(size)
                await self.reader.readline()
            return found

    async def ended(self) -> bool:
        """Whether the server closes the connection without another word."""
        async with asyncio.timeout(SECONDS):
            return await self.reader.read() == b""


@dataclass
class Running:
    """A gateway that listens."""

    rig: Rig
    server: Server
    port: int
    stack: AsyncExitStack
    serving: "asyncio.Task[None]" = field(repr=False)

    async def client(self, *scopes: str) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.stack.callback(writer.close)
        return Client(reader, writer, await self.rig.token(*scopes) if scopes else "")


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def started(*, proxies: Sequence[str] = ("127.0.0.1",), **bounds: float) -> Running:
            rig = make_rig(bounds=Bounds(**bounds))  # type: ignore[arg-type]
            listener = listen("127.0.0.1", 0)
            server = Server(rig.app, Bounds(**bounds), proxies=proxies)  # type: ignore[arg-type]
            serving = asyncio.create_task(server.serve([listener]))

            async def stop() -> None:
                server.should_exit = True
                await serving

            stack.push_async_callback(stop)
            return Running(rig, server, listener.getsockname()[1], stack, serving)

        yield started


async def test_requests_follow_one_another_on_a_connection(start: Start) -> None:
    running = await start()
    client = await running.client("twins:read", "twins:write")

    for number in range(1, 4):
        body = b'{"desired":{"n":%d}}' % number
        sent = await client.ask(
            "PATCH", TWIN, "Content-Type: application/json", f"Content-Length: {len(body)}", body=body
        )
        assert sent.headers["etag"] == f'"d{number}.r0"'
        assert (await client.ask("HEAD", TWIN)).status == 200
        assert (await client.ask("GET", TWIN, f'If-None-Match: "d{number}.r0"')).status == 304
        assert orjson.loads((await client.ask("GET", TWIN)).body)["desired"] == {"n": number}


async def test_requests_sent_at_once_are_answered_in_their_order(start: Start) -> None:
    client = await (await start()).client("twins:read")
    await client.send(client.head("GET", TWIN) + client.head("GET", "/nowhere") + client.head("GET", "/healthz"))

    assert [(await client.read()).status for _ in range(3)] == [200, 404, 200]


async def test_the_server_says_nothing_of_what_it_is_made(start: Start) -> None:
    answer = await (await (await start()).client()).ask("GET", "/health")

    assert "server" not in answer.headers
    assert "date" in answer.headers


async def test_a_name_of_another_form_is_400_and_reaches_no_function(start: Start) -> None:
    running = await start()
    client = await running.client("twins:read")
    names = ("..", ".", "..%00", "*", ">", "%3E", "%2A", "a;b", "a%0d%0ax:y", "x" * 20_000)
    for name in names:
        answer = await client.ask("GET", f"/api/devices/{name}/twin")
        assert answer.status == 400, name
        assert answer.problem()["fields"] == {"device": "must be 1 to 64 letters, digits, '_' or '-'"}

    assert not running.rig.bus.on("twins.")


async def test_a_path_that_leads_nowhere_is_404(start: Start) -> None:
    client = await (await start()).client("twins:read")
    paths = (
        "/api/devices/%2e%2e%2f%2e%2e%2fetc/twin",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/devices/a%2fb/twin",
        "//health",
        "/api/devices//twin",
        "/health/",
        "/health%00",
        "*",
    )
    for path in paths:
        answer = await client.ask("GET", path)
        assert answer.status == 404, path
        assert answer.problem()["error"] == "not_found"


async def test_a_body_in_chunks_is_taken_and_bounded(start: Start) -> None:
    client = await (await start()).client("twins:write")
    lines = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    answer = await client.ask("PATCH", TWIN, *lines, body=b'9\r\n{"desired\r\n9\r\n":{"a":1}\r\n1\r\n}\r\n0\r\n\r\n')
    assert answer.status == 200

    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    answer = await client.ask("PATCH", TWIN, *lines, body=chunk * 17 + b"0\r\n\r\n")
    assert answer.status == 413
    assert answer.problem()["error"] == "too_large"
    assert (await client.ask("GET", "/healthz")).status == 200, "what is left of the body is passed over"


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(start: Start) -> None:
    client = await (await start()).client("twins:write")

    answer = await client.ask("PATCH", TWIN, "Content-Type: application/json", "Content-Length: 5000000")

    assert answer.status == 413


async def test_a_client_that_asks_first_is_told_before_it_sends(start: Start) -> None:
    client = await (await start()).client("twins:write")
    lines = ("Content-Type: application/json", "Expect: 100-continue")
    assert (await client.ask("PATCH", TWIN, *lines, "Content-Length: 5000000")).status == 413

    client = await (await start()).client("twins:write")
    assert (await client.ask("PATCH", TWIN, *lines, "Content-Length: 14")).status == 100
    await client.send(b'{"desired":{}}')
    assert (await client.read()).status == 200


async def test_headers_without_end_are_refused(start: Start) -> None:
    for part in (b"X-Many: x\r\n" * 10_000, b"X-One: " + b"x" * 100_000, b"x" * 100_000):
        client = await (await start(head_bytes=10_000)).client()
        await client.send(b"GET / HTTP/1.1\r\n" + part)
        answer = await client.read()
        assert answer.status in (400, 431)
        assert answer.problem()["error"] == "bad_request"
        assert await client.ended()


async def test_an_address_without_end_is_refused(start: Start) -> None:
    client = await (await start(head_bytes=10_000)).client()
    await client.send(b"GET /" + b"x" * 100_000)

    assert (await client.read()).status == 431
    assert await client.ended()


async def test_the_headers_of_request_after_request_are_counted_apart(start: Start) -> None:
    client = await (await start(head_bytes=10_000)).client()
    for _ in range(5):
        await client.send(b"GET /healthz HTTP/1.1\r\nHost: hub\r\nX-Long: " + b"x" * 5_000)
        await client.send(b"\r\n\r\n")
        assert (await client.read()).status == 200


async def test_who_sends_nothing_is_not_waited_for(start: Start) -> None:
    client = await (await start(request_seconds=0.1)).client()

    assert await client.ended()


@pytest.mark.parametrize("part", [b"GET", b"GET / HTTP/1.1\r\nHost: h"])
async def test_who_does_not_finish_its_headers_is_told_and_left(start: Start, part: bytes) -> None:
    client = await (await start(request_seconds=0.1)).client()
    await client.send(part)

    answer = await client.read()

    assert answer.status == 408
    assert answer.headers["connection"] == "close"
    assert answer.problem()["detail"] == "The request did not come within 0.1 s."
    assert await client.ended()


async def test_to_go_on_slowly_does_not_help(start: Start) -> None:
    client = await (await start(request_seconds=0.3)).client()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await client.send(b"GET / HTTP/1.1\r\n")
    answer = asyncio.create_task(client.read())
    while not answer.done():
        client.writer.write(b"X: y\r\n")
        await asyncio.wait([answer], timeout=0.02)

    assert (await answer).status == 408
    assert loop.time() - began < 3


async def test_who_does_not_finish_its_body_is_told_and_left(start: Start) -> None:
    client = await (await start(body_seconds=0.1)).client("twins:write")
    await client.send(client.head("PATCH", TWIN, "Content-Type: application/json", "Content-Length: 100") + b"{")

    answer = await client.read()

    assert answer.status == 408
    assert answer.problem()["detail"] == "The body did not come within 0.1 s."
    assert await client.ended()


async def test_who_does_not_finish_a_body_that_nobody_reads_is_left(start: Start) -> None:
    client = await (await start(request_seconds=0.2)).client()
    answer = await client.ask("GET", "/healthz", "Content-Length: 100", body=b"x")

    assert answer.status == 200
    assert await client.ended()


async def test_what_is_no_http_gets_a_problem_page(start: Start) -> None:
    running = await start()
    head = b"GET / HTTP/1.1\r\n"
    garbage = (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HELO hub\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        head + b"Content-Length: -1\r\n\r\n",
        head + b"Content-Length: x\r\n\r\n",
        head + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        head + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        head + b"no colon\r\n\r\n",
        head + b": empty\r\n\r\n",
        head + b"X: a\x00b\r\n\r\n",
    )
    for data in garbage:
        client = await running.client()
        await client.send(data)
        answer = await client.read()
        assert answer.status == 400, data
        assert answer.problem()["requestId"] == answer.headers["x-request-id"]
        assert await client.ended()


async def test_more_connections_than_there_may_be_are_refused(start: Start) -> None:
    running = await start(connections=3)
    clients = [await running.client() for _ in range(3)]
    assert [(await client.ask("GET", "/healthz")).status for client in clients] == [200] * 3

    refused = await running.client()
    answer = await refused.read()
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert await refused.ended()

    assert (await clients[0].ask("GET", "/healthz")).status == 200
    clients[0].writer.close()
    await clients[0].writer.wait_closed()
    async with asyncio.timeout(SECONDS):
        while (await (await running.client()).ask("GET", "/healthz")).status != 200:
            pass


@pytest.mark.parametrize(
    ("path", "key", "status"), [("/ws", "short", 400), ("/elsewhere", "dGhlIHNhbXBsZSBub25jZQ==", 403)]
)
async def test_an_upgrade_that_is_not_offered_is_refused(start: Start, path: str, key: str, status: int) -> None:
    client = await (await start()).client()
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}")

    assert (await client.ask("GET", path, *upgrade)).status == status


async def test_what_is_being_answered_at_the_end_is_finished(start: Start) -> None:
    running = await start()
    client = await running.client("twins:write")
    idle = await running.client()
    assert (await idle.ask("GET", "/healthz")).status == 200
    body = b'{"desired":{"a":1}}'
    lines = ("Content-Type: application/json", "Expect: 100-continue")
    # It is told to go on when the app waits for the body.
    assert (await client.ask("PATCH", TWIN, *lines, f"Content-Length: {len(body)}")).status == 100
    await client.send(body[:5])
    running.server.should_exit = True
    assert await idle.ended()
    await client.send(body[5:])

    answer = await client.read()

    assert answer.status == 200
    assert answer.headers["connection"] == "close"
    await running.serving
    with pytest.raises(OSError, match=r"Connect call failed"):
        await running.client()


async def test_sockets_are_told_at_the_end_that_the_hub_goes_away(start: Start) -> None:
    running = await start()
    token = await running.rig.token("devices:read")
    async with asyncio.timeout(SECONDS), connect(f"ws://127.0.0.1:{running.port}/ws?token={token}") as socket:
        assert orjson.loads(await socket.recv())["type"] == "connected"
        running.server.should_exit = True
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1001
        await running.serving


async def test_a_client_that_does_not_answer_the_goodbye_is_not_waited_for(start: Start) -> None:
    running = await start()
    token = await running.rig.token("devices:read")
    client = await running.client()
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", key)
    assert (await client.ask("GET", f"/ws?token={token}", *upgrade)).status == 101
    running.server.should_exit = True

    async with asyncio.timeout(SECONDS):
        # The welcome, then a frame that says 1001, then the end.
        assert (await client.reader.read()).endswith(b"\x88\x02\x03\xe9")
        await running.serving


async def test_a_proxy_on_this_machine_may_say_for_whom_it_asks(start: Start) -> None:
    running = await start()
    client = await running.client()
    client.token = "dh_" + "x" * 43
    for _ in range(20):
        assert (await client.ask("GET", TWIN, "X-Forwarded-For: 203.0.113.9")).status == 401
    assert (await client.ask("GET", TWIN, "X-Forwarded-For: 203.0.113.9")).status == 429
    assert (await client.ask("GET", TWIN, "X-Forwarded-For: 203.0.113.10")).status == 401


async def test_nobody_else_may_say_for_whom_it_asks(start: Start) -> None:
    running = await start(proxies=("192.0.2.0/24",))
    client = await running.client()
    client.token = "dh_" + "x" * 43
    statuses = [(await client.ask("GET", TWIN, f"X-Forwarded-For: 203.0.113.{one}")).status for one in range(21)]
    assert statuses == [401] * 20 + [429]
    assert "strict-transport-security" not in (await client.ask("GET", "/health", "X-Forwarded-Proto: https")).headers


async def test_a_proxy_that_speaks_tls_has_it_kept_to(start: Start) -> None:
    client = await (await start()).client()

    answer = await client.ask("GET", "/health", "X-Forwarded-Proto: https")

    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert "strict-transport-security" not in (await client.ask("GET", "/health")).headers


def test_an_address_in_use_is_told() -> None:
    first = listen("127.0.0.1", 0)
    try:
        with pytest.raises(OSError, match="in use"):
            listen("127.0.0.1", first.getsockname()[1])
    finally:
        first.close()


IMPORT = "/api/import/devices"


async def test_what_is_worked_on_as_it_comes_may_take_as_long_as_it_goes_on(start: Start) -> None:
    client = await (await start(request_seconds=0.3, body_seconds=0.3)).client("admin")
    line = b'{"deviceId":"pump-0001"}\n'
    length = f"Content-Length: {len(line) * 8}"
    await client.send(client.head("POST", IMPORT, "Content-Type: application/x-ndjson", length))

    for _ in range(8):
        # Longer in all than a whole request may take, and shorter each.
        await asyncio.sleep(0.1)
        await client.send(line)
    answer = await client.read_chunks()

    assert orjson.loads(answer)["unchanged"] == 8


async def test_an_import_that_stops_is_not_waited_for(start: Start) -> None:
    client = await (await start(request_seconds=0.5, body_seconds=0.2)).client("admin")
    await client.send(client.head("POST", IMPORT, "Content-Type: application/x-ndjson", "Content-Length: 1000"))
    await client.send(b'{"deviceId":"pump-0001"}\n')

    answer = await client.read()

    assert answer.status == 408
    assert answer.problem()["detail"] == "The body did not come within 0.2 s."


async def test_an_answer_may_take_longer_than_a_body(start: Start) -> None:
    running = await start(request_seconds=0.3, body_seconds=0.2)
    client = await running.client("admin")
    names = [f"valve-{number:04}" for number in range(250)]
    for name in names:
        await running.rig.hub.devices.create(name, make_device(name))
    ask = running.rig.bus.request

    async def slowly(subject: str, payload: bytes, **more: Any) -> bytes:
        # The second part, when the answer has begun.
        if subject.endswith("registry.export") and b"valve" in payload:
            await asyncio.sleep(0.5)
        return await ask(subject, payload, **more)

    running.rig.bus.request = slowly  # type: ignore[method-assign]
    await client.send(client.head("GET", "/api/export/devices"))

    lines = (await client.read_chunks()).splitlines()
    assert [orjson.loads(line)["deviceId"] for line in lines] == [DEVICE, *names]
