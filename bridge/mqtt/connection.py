"""One connection to the broker: paho parses and writes packets, the event loop tells it when.

No thread is used. A connection ends once and is not opened again; the session
makes a new one, so that nothing of the old one is sent again behind its back.
"""

import asyncio
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties

from bridge.mqtt.wire import Wire


class _Client(paho.Client):
    """paho's client over a connection that was made before, because making one blocks."""

    def __init__(self, wire: Wire, client_id: str) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True)
        self._wire = wire

    def _create_socket(self) -> Wire:
        return self._wire


class Connection:
    """A paho client whose socket the running loop reads and writes.

    ``client`` is paho's, for its callbacks and its packets.
    """

    def __init__(self, wire: Wire, *, client_id: str, user: str, password: str) -> None:
        self._wire = wire
        self._loop = asyncio.get_running_loop()
        self._reading = False
        self._flushing = False
        self._tick: asyncio.TimerHandle | None = None
        self.client: paho.Client = _Client(wire, client_id)
        self.client.username_pw_set(user, password)
        # 0: no bound of paho's own, which searches all messages at each acknowledgement.
        self.client.max_inflight_messages_set(0)
        self.client.on_socket_open = self._opened
        self.client.on_socket_close = self._closed
        self.client.on_socket_register_write = self._wants_to_write

    def start(self, keepalive_seconds: int, properties: Properties) -> None:
        """Send CONNECT for a session that is kept, and read whatever comes."""
        # The broker does not see host and port: the connection stands already.
        self.client.connect("broker", 1, keepalive_seconds, clean_start=False, properties=properties)
        if keepalive_seconds:
            self._tick = self._loop.call_later(1.0, self._misc)

    def watch(self, wanted: bool) -> None:
        """Read from the broker, or let it wait."""
        if wanted == self._reading or self._wire.fileno() < 0:
            return
        self._reading = wanted
        if wanted:
            self._loop.add_reader(self._wire.fileno(), self._read)
            # What is buffered here is not announced by the kernel.
            self._loop.call_soon(self._read)
        else:
            self._loop.remove_reader(self._wire.fileno())

    def abort(self) -> None:
        """End the connection on our side; paho finds it closed and tells ``on_disconnect``.

        Not to be called from one of paho's callbacks.
        """
        self._wire.fail()
        self.client.loop_read()

    def _read(self) -> None:
        if not self._reading:
            return
        self.client.loop_read()
        while self._reading and self._wire.has_more:
            self.client.loop_read()

    def _opened(self, _client: paho.Client, _data: Any, _wire: Any) -> None:
        self.watch(True)

    def _closed(self, _client: paho.Client, _data: Any, wire: Any) -> None:
        self._loop.remove_reader(wire.fileno())
        self._loop.remove_writer(wire.fileno())
        self._reading = False
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def _wants_to_write(self, _client: paho.Client, _data: Any, _wire: Any) -> None:
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send all packets of this turn of the loop at once; the rest when the kernel takes more."""
        self._flushing = False
        self.client.loop_write()
        if self._wire.fileno() < 0:
            return
        try:
            if self._wire.flush():
                self._loop.remove_writer(self._wire.fileno())
            else:
                self._loop.add_writer(self._wire.fileno(), self._flush)
        except OSError:
            self.abort()

    def _misc(self) -> None:
        self._tick = self._loop.call_later(1.0, self._misc)
        self.client.loop_misc()
