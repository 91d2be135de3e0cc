"""The same app for events: API Gateway (REST and HTTP), load balancers and function URLs, through Mangum.

``handler`` is what a serverless platform calls, with the settings of the
process; ``Events`` answers inside a running loop, as the gateway process does
on ``devicehub.http.event``.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mangum import Mangum
from mangum.protocols import HTTPCycle
from mangum.types import ASGI

from functions.contract.logs import configure
from functions.domain.faults import Malformed
from gateway.app import create_app, settings_of_environment
from gateway.connection import Connection
from gateway.problems import MEDIA_TYPE

Event = dict[str, Any]

# What goes as text; anything else in base64.
_TEXT: Final = ["text/", "application/json", MEDIA_TYPE]
_CONNECT_SECONDS = 3.0


class Events:
    """Answers events with an app.

    Args:
        app: any ASGI app; of its start and end it is not told.
    """

    def __init__(self, app: ASGI) -> None:
        self._app = app
        self._mangum = Mangum(app, lifespan="off", text_mime_types=_TEXT)

    async def answer(self, event: Any, context: Any = None) -> Event:
        """The response to an event, in the form that its sender takes.

        Mangum's own call runs a loop, which cannot be done inside of one.

        Raises:
            Malformed: no such event.
        """
        try:
            adapter = self._mangum.infer(event, context)
            scope, body = adapter.scope, adapter.body
            if not isinstance(scope["method"], str):
                raise TypeError("the method is no text")
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as problem:
            raise Malformed(
                detail="The event is none that API Gateway, a load balancer or a function URL makes."
            ) from problem
        scope["client"] = (_address(scope.get("client")), 0)
        cycle = HTTPCycle(scope, body)
        await cycle.run(self._app)
        has_type = any(name == b"content-type" for name, _ in cycle.headers)
        response = adapter({"status": cycle.status, "headers": cycle.headers, "body": cycle.body})
        if not has_type and response.get("headers"):
            # Mangum says of any body, also of none, that it is JSON.
            response["headers"].pop("content-type", None)
        return response


class Handler:
    """What a serverless platform calls for each event.

    The app is made at the first event, and its connection is kept from one
    event to the next: the loop stands still in between.

    Args:
        make: makes the app.
    """

    def __init__(self, make: Callable[[], Awaitable[ASGI]]) -> None:
        self._make = make
        self._runner: asyncio.Runner | None = None
        self._events: Events | None = None

    def __call__(self, event: Event, context: Any = None) -> Event:
        """Answer an event."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(self._answer(event, context))

    def close(self) -> None:
        """End the loop, and whatever runs in it."""
        if self._runner is not None:
            self._runner.close()
        self._runner = self._events = None

    async def _answer(self, event: Event, context: Any) -> Event:
        if self._events is None:
            self._events = Events(await self._make())
        return await self._events.answer(event, context)


async def app_of_environment() -> ASGI:
    """The app with a bus of its own, which goes on connecting if the server is not there in time.

    Raises:
        SettingsError: with every fault found.
    """
    settings = settings_of_environment()
    configure(settings.log_level, settings.log_format)
    connection = Connection(settings)
    opening = asyncio.create_task(connection.open())
    await asyncio.wait([opening], timeout=_CONNECT_SECONDS)
    app = create_app(settings, connection)
    app.state.opening = opening
    return app


handler = Handler(app_of_environment)


def _address(client: Any) -> str:
    """The address that the nearest proxy saw: a load balancer appends it to those that the client may have made up."""
    told = client[0] if client else None
    return told.rpartition(",")[2].strip() if isinstance(told, str) else ""
