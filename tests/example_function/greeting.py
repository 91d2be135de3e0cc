"""A function of another package: greets whoever calls ``devicehub.examples.greet``."""

from functions.contract.messages import Message, Request
from functions.domain.callers import APP, OPERATOR, SYSTEM
from functions.domain.tokens import Scope
from functions.ports import Call, Hub
from functions.route import Route


class Greet(Request):
    name: str


class Greeted(Message):
    text: str


async def greet(call: Call[Greet], hub: Hub) -> Greeted:
    return Greeted(text=f"Hello {call.body.name}, says {call.caller}, in {hub.clock.now().year}")


ROUTES = (Route("examples.greet", greet, Greet, allow=OPERATOR | APP | SYSTEM, within=1.0, scope=Scope.DEVICES_READ),)
