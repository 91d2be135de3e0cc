"""The hub on the machine's message bus: takes the name, hands calls over to asyncio, and comes back when the bus does.

A call is answered from the event loop: GDBus takes answers from any thread.
Everything else of D-Bus happens in the GLib thread.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from gi.repository import Gio, GLib

from bridge.host.local.calls import MOST_BYTES, Changes, LocalCalls
from bridge.host.local.glib import GlibThread
from bridge.host.local.interface import HUB, NAME, PATH, XML, error_name
from functions.contract.bus import Bus
from functions.contract.faults import CATALOGUE
from functions.domain.faults import Fault, Malformed, Reason, Unavailable

_BUS: Final = "org.freedesktop.DBus"
_BUS_PATH: Final = "/org/freedesktop/DBus"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_ERROR: Final = "org.freedesktop.DBus.Error"
_DO_NOT_QUEUE: Final = 4
_OWNER: Final = 1
_SECONDS: Final = 5.0
_MILLISECONDS: Final = 5000
_MOST_AT_ONCE: Final = 64
_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 5.0

log = structlog.get_logger("host")


class LocalInterface:
    """Offers the hub to local programs until it is cancelled.

    Args:
        bus: where the functions are.
        version: of the hub.
        address: of the message bus; None for the system's (``DBUS_SYSTEM_BUS_ADDRESS`` counts).
    """

    def __init__(self, bus: Bus, version: str, address: str | None = None) -> None:
        self._bus = bus
        self._calls = LocalCalls(bus)
        self._version = version
        self._address = address
        self._thread = GlibThread()
        self._connection: Gio.DBusConnection | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        # Calls not answered yet; both threads change it, each change one step of the interpreter.
        self._open: set[int] = set()
        self._interfaces = Gio.DBusNodeInfo.new_for_xml(XML).interfaces
        self.offered = asyncio.Event()

    async def run(self) -> None:
        """Offer it, and offer it again whenever the bus has gone and come."""
        self._asyncio = asyncio.get_running_loop()
        self._thread.start()
        changes = Changes(self._emit)
        await changes.listen(self._bus)
        telling = asyncio.create_task(changes.run())
        try:
            await self._keep_offering()
        finally:
            telling.cancel()
            self.offered.clear()
            await self._close()
            await self._thread.end()

    async def _keep_offering(self) -> None:
        delay, problem = _FIRST_DELAY, ""
        while True:
            closed = asyncio.Event()
            try:
                await self._offer(closed)
            except (GLib.Error, Unavailable) as fault:
                told = fault.message if isinstance(fault, GLib.Error) else fault.detail
                if told != problem:
                    log.warning("local interface cannot be offered", problem=told)
                problem = told
                await self._close()
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LONGEST_DELAY)
                continue
            log.info("local interface offered", name=NAME)
            delay, problem = _FIRST_DELAY, ""
            self.offered.set()
            await closed.wait()
            self.offered.clear()
            self._connection = None
            log.warning("message bus lost")

    async def _offer(self, closed: asyncio.Event) -> None:
        """Connect, publish the objects, then take the name: who finds the name finds them.

        Raises:
            GLib.Error: the bus is not there, or does not let this user have the name.
            Unavailable: it does not answer, or another program has the name.
        """
        cancelled = Gio.Cancellable.new()
        # The library's way to connect waits for ever where a bus takes the connection and says nothing.
        timer = self._asyncio.call_later(_SECONDS, cancelled.cancel)
        try:
            connection = await self._thread.call(lambda: self._connect(closed, cancelled))
        finally:
            timer.cancel()
        self._connection = connection
        if await self._thread.call(lambda: self._take_name(connection)) != _OWNER:
            raise Unavailable(detail=f"Another program has the name {NAME} on the message bus.")

    def _connect(self, closed: asyncio.Event, cancelled: Gio.Cancellable) -> Gio.DBusConnection:
        address = self._address or Gio.dbus_address_get_for_bus_sync(Gio.BusType.SYSTEM, None)
        flags = Gio.DBusConnectionFlags
        # A connection of its own: the shared one ends the process when the bus goes, and never connects again.
        connection = Gio.DBusConnection.new_for_address_sync(
            address, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, cancelled
        )
        connection.connect("closed", lambda *_: self._asyncio.call_soon_threadsafe(closed.set))
        if connection.is_closed():
            self._asyncio.call_soon_threadsafe(closed.set)
        for interface in self._interfaces:
            connection.register_object(PATH, interface, self._take, None, None)
        return connection

    def _take_name(self, connection: Gio.DBusConnection) -> int:
        arguments = GLib.Variant("(su)", (NAME, _DO_NOT_QUEUE))
        reply = GLib.VariantType.new("(u)")
        answer = connection.call_sync(
            _BUS, _BUS_PATH, _BUS, "RequestName", arguments, reply, Gio.DBusCallFlags.NONE, _MILLISECONDS, None
        )
        return int(answer.unpack()[0])

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            try:
                await self._thread.call(lambda: connection.close_sync(None))
            except GLib.Error as problem:
                log.warning("message bus left without goodbye", problem=problem.message)

    # --- in the GLib thread -------------------------------------------------------

    def _take(
        self,
        connection: Gio.DBusConnection,
        sender: str,
        _path: str,
        interface: str,
        method: str,
        arguments: GLib.Variant,
        invocation: Gio.DBusMethodInvocation,
    ) -> None:
        if interface == _PROPERTIES:
            self._tell_property(method, arguments.unpack(), invocation)
            return
        if arguments.get_size() > MOST_BYTES:
            told = f"The arguments have {arguments.get_size()} bytes; {MOST_BYTES} are accepted."
            _refuse(invocation, Malformed(Reason.TOO_LARGE, told))
            return
        if len(self._open) >= _MOST_AT_ONCE:
            _refuse(invocation, Unavailable(Reason.RATE_LIMITED))
            return
        self._open.add(id(invocation))
        found = self._finding(interface, method, arguments.unpack(), invocation)
        # The bus knows the user by the socket; nothing that the message says is asked.
        connection.call(
            _BUS,
            _BUS_PATH,
            _BUS,
            "GetConnectionUnixUser",
            GLib.Variant("(s)", (sender,)),
            GLib.VariantType.new("(u)"),
            Gio.DBusCallFlags.NONE,
            _MILLISECONDS,
            None,
            found,
        )

    def _finding(
        self, interface: str, method: str, arguments: tuple[Any, ...], invocation: Gio.DBusMethodInvocation
    ) -> Callable[..., None]:
        def found(connection: Gio.DBusConnection, result: Gio.AsyncResult, _: Any = None) -> None:
            try:
                uid = connection.call_finish(result).unpack()[0]
            except GLib.Error:
                # The program has gone, and the answer with it.
                self._open.discard(id(invocation))
                _refuse(invocation, Unavailable(detail="The message bus does not say who calls."))
                return
            self._asyncio.call_soon_threadsafe(self._begin, uid, interface, method, arguments, invocation)

        return found

    def _tell_property(self, method: str, arguments: tuple[Any, ...], invocation: Gio.DBusMethodInvocation) -> None:
        """``Version`` is all there is; introspection has no other, so GDBus itself refuses what is unknown."""
        version = GLib.Variant("s", self._version)
        if method == "Get":
            invocation.return_value(GLib.Variant("(v)", (version,)))
        elif method == "GetAll":
            told = {"Version": version} if arguments[0] == HUB else {}
            invocation.return_value(GLib.Variant("(a{sv})", (told,)))
        else:
            invocation.return_dbus_error(f"{_ERROR}.PropertyReadOnly", "This property is not to be set.")

    # --- in the event loop --------------------------------------------------------

    def _begin(
        self, uid: int, interface: str, method: str, arguments: tuple[Any, ...], invocation: Gio.DBusMethodInvocation
    ) -> None:
        task = asyncio.create_task(self._answer(uid, interface, method, arguments, invocation))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(
        self, uid: int, interface: str, method: str, arguments: tuple[Any, ...], invocation: Gio.DBusMethodInvocation
    ) -> None:
        facts = {"interface": interface, "method": method, "uid": uid}
        fault: Fault | None = Fault()
        try:
            answer = await self._calls.answer(uid, interface, method, arguments)
            fault = None
            invocation.return_value(GLib.Variant("(s)", (answer,)))
        except Fault as refused:
            fault = refused
        finally:
            if fault is not None:
                _refuse(invocation, fault)
            self._open.discard(id(invocation))
            log.info("local call", **facts, outcome="ok" if fault is None else str(fault.reason))

    def _emit(self, interface: str, signal: str, devices: list[str]) -> None:
        connection = self._connection
        if connection is None or not self.offered.is_set():
            return
        try:
            connection.emit_signal(None, PATH, interface, signal, GLib.Variant("(as)", (devices,)))
        except GLib.Error as problem:
            log.warning("signal not sent", signal=signal, problem=problem.message)


def _refuse(invocation: Gio.DBusMethodInvocation, fault: Fault) -> None:
    invocation.return_dbus_error(error_name(fault), fault.detail or CATALOGUE[fault.reason].sentence)
