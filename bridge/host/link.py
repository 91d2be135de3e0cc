"""A connection to the system bus, on a thread of its own: signals come there, and go on to the event loop.

It is private: the shared one of GLib ends the process when the bus goes away,
and never connects again.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pydbus
from gi.repository import Gio, GLib

from functions.domain.faults import Conflict, Denied, Fault, NotFound, Reason, Unavailable

_ANSWER_SECONDS = 5.0

# What is heard of the bus: path, signal, arguments.
Heard = Callable[[str, str, tuple[Any, ...]], None]

_NOT_ALLOWED = (
    "org.freedesktop.DBus.Error.AccessDenied",
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
    "org.freedesktop.DBus.Error.AuthFailed",
)
_NO_UNIT = ("org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.DBus.Error.InvalidArgs")
_SILENT = ("org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Timeout")


class Link:
    """One connection; when it is lost it stays so, and another is made.

    Args:
        address: of the bus; None for the machine's own, or what ``DBUS_SYSTEM_BUS_ADDRESS`` names.
        name: whom to talk to on it.
        signals: interface and name of those to hear.
        heard: called for each signal, on the connection's thread.
        lost: called once when the connection is gone, on that thread.
    """

    def __init__(
        self,
        address: str | None,
        name: str,
        signals: Sequence[tuple[str, str]],
        heard: Heard,
        lost: Callable[[], None],
    ) -> None:
        self._address = address
        self._name = name
        self._signals = signals
        self._heard = heard
        self._lost = lost
        self._context = GLib.MainContext.new()
        self._loop = GLib.MainLoop.new(self._context, False)
        self._bus: Any = None

    def open(self) -> None:
        """Connect; waits until that is done.

        Raises:
            Unavailable: there is no bus.
        """
        ready: Future[None] = Future()
        threading.Thread(target=self._run, args=(ready,), name="dbus", daemon=True).start()
        try:
            ready.result(_ANSWER_SECONDS)
        except TimeoutError as problem:
            raise Unavailable(Reason.TIMEOUT, f"D-Bus does not answer within {_ANSWER_SECONDS:g} s.") from problem
        except GLib.Error as problem:
            raise Unavailable(
                detail="D-Bus cannot be reached. See whether 'dbus.service' runs on the host."
            ) from problem

    def call(self, path: str, method: str, signature: str, *arguments: Any, seconds: float = _ANSWER_SECONDS) -> Any:
        """Call ``interface.method`` of an object, and give what it answers; waits for that.

        Raises:
            Fault: what it answered instead; Unavailable where it does not answer.
        """
        interface, _, member = method.rpartition(".")
        body = GLib.Variant(signature, arguments)
        try:
            answer = self._bus.con.call_sync(
                self._name, path, interface, member, body, None, Gio.DBusCallFlags.NONE, int(seconds * 1000), None
            )
        except GLib.Error as problem:
            raise fault_of(problem, member) from problem
        return answer.unpack()

    def close(self) -> None:
        """Close it, and end its thread."""
        self._loop.quit()

    def _run(self, ready: "Future[None]") -> None:
        self._context.push_thread_default()
        try:
            try:
                self._connect()
            except GLib.Error as problem:
                ready.set_exception(problem)
                return
            ready.set_result(None)
            self._loop.run()
            self._bus.con.close_sync(None)
        except GLib.Error:
            # Closed by the other side already, which it was told of.
            return
        finally:
            self._context.pop_thread_default()

    def _connect(self) -> None:
        address = self._address or Gio.dbus_address_get_for_bus_sync(Gio.BusType.SYSTEM, None)
        self._bus = pydbus.connect(address)
        self._bus.con.connect("closed", self._closed)
        for interface, signal in self._signals:
            self._bus.subscribe(
                sender=self._name,
                iface=interface,
                signal=signal,
                signal_fired=lambda _sender, path, _interface, name, body: self._heard(path, name, body),
            )

    def _closed(self, *_: Any) -> None:
        self._loop.quit()
        self._lost()


def fault_of(problem: Any, member: str) -> Fault:
    """A refusal or failure of D-Bus, or of who was asked, in the hub's words."""
    error = Gio.DBusError.get_remote_error(problem) or ""
    said = problem.message.removeprefix(f"GDBus.Error:{error}: ").rstrip(".")
    if error in _NOT_ALLOWED:
        told = f"The host does not let the hub do this ({member}: {said}). Its polkit rules say what it may."
        return Denied(Reason.HOST_REFUSED, told)
    if error in _NO_UNIT:
        return NotFound(Reason.UNKNOWN_UNIT)
    if error in _SILENT or problem.matches(Gio.io_error_quark(), Gio.IOErrorEnum.TIMED_OUT):
        return Unavailable(Reason.TIMEOUT, f"systemd did not answer {member} in time; it may do it still.")
    if error.startswith("org.freedesktop.systemd1."):
        return Conflict(Reason.JOB_FAILED, f"systemd says: {said}.")
    return Unavailable(detail=f"systemd cannot be asked over D-Bus now ({member}: {said}).")
