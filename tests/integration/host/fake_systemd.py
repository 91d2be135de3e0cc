"""A stand-in for systemd on a bus of its own, for what a real one does not do on command: errors, silence, leaving.

Run as ``python fake_systemd.py ADDRESS``; it says ``ready`` once it has systemd's name. It knows any unit, and takes
lines ``METHOD DOING`` on standard input, each answered with ``ok``. DOING is ``answer``, ``silent``, ``vanish`` or the
name of an error of D-Bus; of the method ``job`` it is how jobs end: a result, ``held`` (until ``end RESULT``) or
``unsaid``.
"""

import os
import sys
import threading
from typing import Any

from gi.repository import Gio, GLib

NAME, PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
MANAGER, UNIT = f"{NAME}.Manager", f"{PATH}/unit/demo"
ORDER = '<arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="o" direction="out"/>'
XML = f"""
<node>
  <interface name="{MANAGER}">
    <method name="Subscribe"/>
    <method name="LoadUnit"><arg type="s" direction="in"/><arg type="o" direction="out"/></method>
    <method name="StartUnit">{ORDER}</method>
    <method name="StopUnit">{ORDER}</method>
    <method name="RestartUnit">{ORDER}</method>
  </interface>
  <interface name="org.freedesktop.DBus.Properties">
    <method name="GetAll"><arg type="s" direction="in"/><arg type="a{{sv}}" direction="out"/></method>
  </interface>
</node>
"""


class FakeSystemd:
    """Answers as systemd, or as it was told to."""

    def __init__(self, address: str) -> None:
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        self._bus = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
        self._manager, self._properties = Gio.DBusNodeInfo.new_for_xml(XML).interfaces
        self._doing: dict[str, str] = {}
        self._held: list[Any] = []
        self._jobs = 0
        self._job: tuple[str, str, int] | None = None
        self._bus.register_object(PATH, self._manager, self._called, None, None)
        self._bus.register_object(UNIT, self._properties, self._called, None, None)
        Gio.bus_own_name_on_connection(self._bus, NAME, Gio.BusNameOwnerFlags.NONE, lambda *_: _say("ready"), None)

    def obey(self, line: str) -> None:
        """Do as a line says from now on."""
        method, doing = line.split()
        if method == "end" and self._job is not None:
            job, unit, registration = self._job
            self._bus.unregister_object(registration)
            self._tell(job, unit, doing)
        self._doing[method] = doing
        _say("ok")

    def _called(self, _bus: Any, _who: str, _path: str, _face: str, method: str, told: Any, call: Any) -> None:
        doing = self._doing.get(method, "answer")
        if doing == "vanish":
            os._exit(0)
        elif doing == "silent":
            self._held.append(call)
        elif doing != "answer":
            call.return_dbus_error(doing, "It says why.")
        elif method == "Subscribe":
            call.return_value(None)
        elif method == "LoadUnit":
            call.return_value(GLib.Variant("(o)", (UNIT,)))
        elif method == "GetAll":
            call.return_value(GLib.Variant("(a{sv})", (self._facts(told.unpack()[0]),)))
        else:
            self._order(told.unpack()[0], call)

    def _facts(self, interface: str) -> dict[str, Any]:
        if interface == f"{NAME}.Service":
            return {"MainPID": GLib.Variant("u", 1), "NRestarts": GLib.Variant("u", self._jobs)}
        words = {"Id": "demo.service", "LoadState": "loaded", "ActiveState": "active", "SubState": "running"}
        return {name: GLib.Variant("s", word) for name, word in words.items()}

    def _order(self, unit: str, call: Any) -> None:
        self._jobs += 1
        job, result = f"{PATH}/job/{self._jobs}", self._doing.get("job", "done")
        if result == "held":
            registration = self._bus.register_object(job, self._properties, self._called, None, None)
            self._job = (job, unit, registration)
        call.return_value(GLib.Variant("(o)", (job,)))
        if result not in ("held", "unsaid"):
            self._tell(job, unit, result)

    def _tell(self, job: str, unit: str, result: str) -> None:
        body = GLib.Variant("(uoss)", (self._jobs, job, unit, result))
        self._bus.emit_signal(None, PATH, MANAGER, "JobRemoved", body)


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until standard input ends."""
    loop, fake = GLib.MainLoop(), FakeSystemd(sys.argv[1])

    def listen() -> None:
        for line in sys.stdin:
            GLib.idle_add(fake.obey, line)
        GLib.idle_add(loop.quit)

    threading.Thread(target=listen, daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
