"""What a real broker takes while its trust is being replaced: whatever mixture of files a crash leaves."""

import asyncio
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

from bridge.broker.server import Server, ServerFiles
from functions.adapters.authority import LocalAuthority
from functions.adapters.clock import SystemClock
from functions.adapters.roots import make_root
from functions.contract.requests import make_request
from functions.domain.certificates import Purpose
from infra.settings import Address
from infra.stack.plan import Plan
from tests.integration.infra.conftest import Planner, running
from tests.integration.infra.test_broker import ACCEPTED, answer, connect_packet, wait_for_broker


@dataclass(frozen=True)
class Made:
    """A CA, all that it gives a broker, and a leaf of it."""

    root: str
    server: str
    crl: str
    leaf: Path


def later() -> datetime:
    return datetime.now(UTC) + timedelta(days=2)


def make(folder: Path, name: str) -> Made:
    """Everything of one CA."""
    pair = make_root()
    authority = LocalAuthority(*pair, SystemClock())
    files = ServerFiles(folder / f"{name}-ca.crt", folder / f"{name}-server.pem", ("localhost", "127.0.0.1"))
    server = Server(files)
    asked = server.request(pair[0], (), datetime.now(UTC))
    assert asked is not None
    signed = asyncio.run(authority.sign_server(asked[0], hostnames=asked[1], not_after=later()))
    server.put(pair[0], signed.pem)
    csr, key = make_request("D-0001")
    leaf = asyncio.run(authority.sign(csr, common_name="D-0001", purpose=Purpose.DEVICE, not_after=later()))
    file = folder / f"{name}-leaf.pem"
    file.write_text(key + leaf.pem)
    crl = asyncio.run(authority.sign_crl([], number=1, next_update=later()))
    return Made(pair[0], files.server.read_text(), crl, file)


def is_taken(plan: Plan, leaf: Path) -> bool:
    """Whether the broker takes a leaf, whatever certificate it shows itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(leaf)
    address = Address.parse(plan.node.mqtt_listen)
    plain = socket.create_connection((address.host, address.port), 5)
    try:
        return answer(context.wrap_socket(plain), connect_packet("D-0001")) == ACCEPTED
    except OSError:
        return False
    finally:
        plain.close()


def test_whatever_is_replaced_of_trust_certificate_and_list_nobody_unverified_gets_in(
    plan_for: Planner, tmp_path: Path
) -> None:
    plan, log = plan_for(), tmp_path / "broker.log"
    old, new, stranger = (make(tmp_path, name) for name in ("old", "new", "stranger"))
    taken = {}
    for trust, server, crl in product((old, new), repeat=3):
        plan.paths.broker_trust.write_text(trust.root)
        plan.paths.broker_server.write_text(server.server)
        plan.paths.broker_crl.write_text(crl.crl)
        with running(plan, "mosquitto", log):
            wait_for_broker(plan, log)
            taken[trust is new, crl is new, server is new] = (is_taken(plan, old.leaf), is_taken(plan, new.leaf))
            assert not is_taken(plan, stranger.leaf)

    for server_is_new in (False, True):
        assert taken[False, False, server_is_new] == (True, False)
        assert taken[True, True, server_is_new] == (False, True)
        assert taken[True, False, server_is_new] == (False, False)
        assert taken[False, True, server_is_new] == (False, False)


def test_the_broker_will_not_start_beside_another_s_key(plan_for: Planner, tmp_path: Path) -> None:
    plan = plan_for()
    old, new = make(tmp_path, "old"), make(tmp_path, "new")
    mark = "-----BEGIN CERTIFICATE-----"
    plan.paths.broker_server.write_text(old.server.partition(mark)[0] + mark + new.server.partition(mark)[2])

    with running(plan, "mosquitto", tmp_path / "broker.log") as process:
        assert process.wait(10) != 0
