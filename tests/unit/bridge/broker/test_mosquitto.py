"""Commands to the broker are answered, and every answer is looked at."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.broker.alarms import Alarms
from bridge.broker.control import RESPONSE_TOPIC, TOPIC, Control
from bridge.broker.lines import Line, ReloadFailed
from bridge.broker.mosquitto import Files, Mosquitto
from bridge.broker.server import ServerFiles
from bridge.broker.sessions import Sessions
from bridge.mqtt.session import Incoming
from functions.domain.faults import Conflict, Denied, Fault, Unavailable
from tests.unit.bridge.broker.memory import MemoryFunctions, MemoryLane, MemoryLink

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class Plugin(MemoryLink):
    """A link to a plugin that answers each command as ``answer`` says."""

    def __init__(self) -> None:
        super().__init__()
        self.answer: Answer = lambda command: {}
        self.take: Callable[[bytes], object] = lambda payload: None
        self.messages: list[list[dict[str, Any]]] = []
        self.fault: Fault | None = None

    @property
    def commands(self) -> list[str]:
        return [command["command"] for message in self.messages for command in message]

    async def publish(self, topic: str, payload: bytes) -> None:
        assert topic == TOPIC
        if self.fault is not None:
            raise self.fault
        commands = orjson.loads(payload)["commands"]
        self.messages.append(commands)
        responses = [
            {"command": command["command"]}
            | ({"correlationData": command["correlationData"]} if "correlationData" in command else {})
            | self.answer(command)
            for command in commands
        ]
        self.take(orjson.dumps({"responses": responses}))


@pytest.fixture
def plugin() -> Plugin:
    return Plugin()


@pytest.fixture
def control(plugin: Plugin) -> Control:
    made = Control(plugin)
    plugin.take = made.take
    return made


@pytest.fixture
def mosquitto(plugin: Plugin, tmp_path: Path) -> Mosquitto:
    made = Mosquitto(
        plugin,
        Sessions("local"),
        prefixes=("$devicehub",),
        files=Files(
            tmp_path / "crl.pem",
            tmp_path / "pid",
            tmp_path / "log",
            ServerFiles(tmp_path / "ca.crt", tmp_path / "server.pem", ("hub.example",)),
        ),
        lanes=[MemoryLane()],
        alarms=Alarms(MemoryFunctions()),
    )
    plugin.take = lambda payload: made.take(Incoming(RESPONSE_TOPIC, payload, 0, 0, False, False, 1))
    return made


async def test_many_commands_go_in_messages_that_the_broker_takes(control: Control, plugin: Plugin) -> None:
    await control.run([{"command": "deleteClient", "username": f"EDGB-{number}"} for number in range(250)])

    assert [len(message) for message in plugin.messages] == [100, 100, 50]


async def test_a_refused_command_is_told_when_all_were_tried(control: Control, plugin: Plugin) -> None:
    plugin.answer = lambda command: {"error": "Role not found"} if command["username"] == "b" else {}

    with pytest.raises(Conflict, match="Role not found"):
        await control.run([{"command": "createClient", "username": name} for name in "abc"])

    assert plugin.commands == ["createClient"] * 3


async def test_an_expected_error_is_none(control: Control, plugin: Plugin) -> None:
    plugin.answer = lambda command: {"error": "Client already exists"}

    await control.run([{"command": "createClient"}], tolerate=("Client already exists",))


async def test_all_pages_of_a_list_are_read(control: Control, plugin: Plugin) -> None:
    names: list[Any] = [f"EDGB-{number}" for number in range(1100)]
    plugin.answer = lambda command: {
        "data": {"totalCount": 1100, "clients": names[command["offset"] : command["offset"] + command["count"]]}
    }

    assert await control.list("listClients", "clients") == names


async def test_a_list_that_the_plugin_cannot_give_is_told(control: Control, plugin: Plugin) -> None:
    plugin.answer = lambda command: {"error": "Internal error"}

    with pytest.raises(Conflict, match="Internal error"):
        await control.list("listClients", "clients")


async def test_a_broker_that_refuses_the_bridge_is_told(control: Control, plugin: Plugin) -> None:
    plugin.fault = Denied()

    with pytest.raises(Denied):
        await control.answers()


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b"{}", b'{"responses": []}', b'{"responses": [1]}', b'{"responses": [{}]}', b"\xff"],
)
async def test_a_response_that_says_nothing_known_disturbs_nothing(
    control: Control, plugin: Plugin, payload: bytes
) -> None:
    right = plugin.take

    def wrong_first(answer: bytes) -> None:
        right(payload)
        right(answer)

    plugin.take = wrong_first

    await control.answers()


async def test_answers_find_their_questions(control: Control, plugin: Plugin) -> None:
    held: list[bytes] = []
    plugin.take = held.append
    plugin.answer = lambda command: {"data": {"totalCount": 1, "clients": [command["command"]]}}
    asked = [asyncio.create_task(control.list(name, "clients")) for name in ("first", "second")]
    await asyncio.sleep(0)

    for payload in reversed(held):
        control.take(payload)

    found: list[Any] = await asyncio.gather(*asked)
    assert found == [["first"], ["second"]]


async def test_a_plugin_that_does_not_answer_is_told(plugin: Plugin) -> None:
    control = Control(plugin, answered_within=0.01)

    with pytest.raises(Unavailable, match="does not answer"):
        await control.answers()


async def test_without_a_connection_the_broker_is_not_made_to_reload(mosquitto: Mosquitto, plugin: Plugin) -> None:
    plugin.is_connected = False

    with pytest.raises(Unavailable, match="away"):
        await mosquitto.apply_crl("whatever")

    assert not plugin.messages


async def test_sessions_are_not_ended_while_clients_are_listed_and_changed(
    mosquitto: Mosquitto, plugin: Plugin
) -> None:
    plugin.answer = lambda command: {"data": {"totalCount": 0, "clients": [], "roles": []}}

    await asyncio.gather(mosquitto.apply_access(["fleet"], []), mosquitto.end_sessions(["claim-fleet"]))

    assert plugin.commands == [
        "listRoles",
        "listClients",
        "createRole",
        "createRole",
        "createClient",
        # The end, after which the claim client is there again.
        "createClient",
        "deleteClient",
        "createClient",
    ]


async def test_many_sessions_end_in_messages_that_keep_each_end_whole(mosquitto: Mosquitto, plugin: Plugin) -> None:
    await mosquitto.end_sessions([f"EDGB-{number:03}" for number in range(60)])

    assert [len(message) for message in plugin.messages] == [50, 50, 20]
    assert all(message[0]["command"] == "createClient" for message in plugin.messages)


@pytest.mark.parametrize("fault", [None, Denied()])
async def test_what_the_broker_logged_before_it_answered_is_told_with_the_answer(
    mosquitto: Mosquitto, plugin: Plugin, tmp_path: Path, fault: Fault | None
) -> None:
    told: list[Line] = []
    mosquitto.listen(lambda line, done: told.append(line))
    (tmp_path / "log").write_text("1: Error: Unable to load certificate revocation file.\n")
    plugin.fault = fault

    with suppress(Denied):
        await mosquitto.answers()

    assert [type(line) for line in told] == [ReloadFailed]
    await end_of_log(mosquitto)


async def end_of_log(mosquitto: Mosquitto) -> None:
    """Follow the log for a moment, as its end closes the file."""
    following = asyncio.create_task(mosquitto.follow_log())
    await asyncio.sleep(0)
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
