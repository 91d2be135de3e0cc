from pathlib import Path

import pytest

from functions.contract.messages import Done, Nothing
from functions.domain.callers import APP, SYSTEM
from functions.domain.tokens import Scope
from functions.ports import Call, Hub
from functions.route import Route
from infra.settings import Address
from infra.stack.nats_server import find_program, render
from infra.stack.paths import NATS_USERS, Paths

PATHS = Paths(Path("/srv/my hub"), Path("/run/hub"))
PASSWORDS = {user: f"secret-of-{user}" for user in NATS_USERS}


@pytest.fixture
def text() -> str:
    return render(PATHS, name="hub-1", listen=Address("127.0.0.1", 4222), passwords=PASSWORDS)


def test_every_write_is_synced_before_it_is_acknowledged(text: str) -> None:
    assert "sync_interval: always" in text


def test_paths_with_blanks_are_quoted(text: str) -> None:
    assert 'store_dir: "/srv/my hub/nats"' in text
    assert 'pid_file: "/run/hub/nats.pid"' in text


def test_every_user_is_there_with_its_password(text: str) -> None:
    for user, password in PASSWORDS.items():
        assert f'user: {user}, password: "{password}"' in text


def test_every_user_but_admin_is_bounded(text: str) -> None:
    assert text.count("permissions:") == len(NATS_USERS) - 1
    assert 'user: admin, password: "secret-of-admin" }' in text


def test_calls_from_the_other_account_carry_who_called(text: str) -> None:
    imports = [line for line in text.splitlines() if "service: { account: HUB" in line]

    assert imports
    assert all(line.rstrip().endswith("share: true }") for line in imports)


def test_functions_of_other_packages_are_open_to_those_who_may_call_them() -> None:
    async def greet(call: Call[Nothing], hub: Hub) -> Done:
        return Done()

    added = (
        Route("examples.greet", greet, Nothing, APP, 1.0, scope=Scope.DEVICES_READ),
        Route("examples.mend", greet, Nothing, SYSTEM, 1.0),
    )
    text = render(PATHS, name="hub-1", listen=Address("127.0.0.1", 4222), passwords=PASSWORDS, added=added)

    users = {block.split(",")[0]: block for block in text.split("{ user: ")[1:]}
    for user in ("gateway", "cli"):
        assert '"devicehub.examples.greet"' in users[user]
        assert '"devicehub.examples.mend"' in users[user]
    assert "examples" not in users["bridge"]
    assert 'account: HUB, subject: "devicehub.examples.greet"' in text
    assert 'account: HUB, subject: "devicehub.examples.mend"' not in text


def test_an_ipv6_address_is_listened_on_in_brackets() -> None:
    text = render(PATHS, name="hub-1", listen=Address("::1", 4222), passwords=PASSWORDS)

    assert 'listen: "[::1]:4222"' in text


def test_the_server_of_this_environment_is_found() -> None:
    found = find_program()

    assert found is not None
    assert found.name == "nats-server"
