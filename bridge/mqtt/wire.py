"""Where the broker listens, and the connection to it as paho reads and writes it."""

import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

_CHUNK_BYTES = 16 * 1024
_CONNECT_SECONDS = 5.0
_LINGER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Tls:
    """Files for mutual TLS towards a broker on another host."""

    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """A unix socket's path, or host and port with mutual TLS."""

    path: str = ""
    host: str = ""
    port: int = 8883
    tls: Tls | None = None

    @classmethod
    def parse(cls, url: str, tls: Tls | None = None) -> Self:
        """Read ``unix:PATH`` or ``mqtts://HOST[:PORT]``.

        Raises:
            ValueError: another form, or a host without the files for TLS.
        """
        if url.startswith("unix:") and len(url) > len("unix:"):
            return cls(path=url.removeprefix("unix:"))
        parts = urlsplit(url)
        if parts.scheme != "mqtts" or not parts.hostname:
            raise ValueError(f"'{url}' is neither unix:PATH nor mqtts://HOST:PORT")
        if tls is None:
            raise ValueError(f"{url} needs the files of a CA, a client certificate and its key")
        return cls(host=parts.hostname, port=parts.port or 8883, tls=tls)

    @property
    def keepalive_seconds(self) -> int:
        """None on a unix socket, where the kernel tells at once when the other end is gone."""
        return 0 if self.path else 60

    def connect(self) -> socket.socket:
        """Connect and shake hands; this blocks, so it belongs on a thread.

        Raises:
            OSError: the broker is not there, or its certificate is wrong.
        """
        if self.path:
            plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                plain.settimeout(_CONNECT_SECONDS)
                plain.connect(self.path)
            except OSError:
                plain.close()
                raise
            return plain
        if self.tls is None:
            raise OSError("no TLS files are given")
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self.tls.ca))
        context.load_cert_chain(self.tls.certificate, self.tls.key)
        plain = socket.create_connection((self.host, self.port), timeout=_CONNECT_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return context.wrap_socket(plain, server_hostname=self.host)
        except OSError:
            plain.close()
            raise


class Wire:
    """A socket with a buffer each way.

    paho asks for single bytes and sends packet by packet, a system call each
    time. Here it takes from and puts into memory; the session calls
    ``flush()`` once for all that was sent in one turn of the loop.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._chunk = b""
        self._at = 0
        self._out = bytearray()
        self._broken = False

    @property
    def has_more(self) -> bool:
        """Whether there is something to read that the kernel will not announce again."""
        if self._at < len(self._chunk):
            return True
        return isinstance(self._socket, ssl.SSLSocket) and not self._broken and self._socket.pending() > 0

    def recv(self, size: int) -> bytes:
        """Up to ``size`` bytes; nothing when the other end has closed. Raises BlockingIOError if there are none yet."""
        if self._broken:
            return b""
        if self._at == len(self._chunk):
            self._chunk = self._socket.recv(_CHUNK_BYTES)
            self._at = 0
        taken = self._chunk[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def send(self, data: bytes | bytearray) -> int:
        """Keep what is to be sent until ``flush()``."""
        self._out += data
        return len(data)

    def flush(self) -> bool:
        """Send what the kernel takes now; whether that was all.

        Raises:
            OSError: the connection is gone.
        """
        while self._out:
            try:
                sent = self._socket.send(self._out)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return False
            del self._out[:sent]
        return True

    def fail(self) -> None:
        """Read as closed from now on, whatever is still buffered."""
        self._broken = True
        self._chunk, self._at = b"", 0
        self._out = bytearray()

    def close(self) -> None:
        """Send the rest, let the other end read it, and close.

        A socket that is closed with something unread in it takes with it what
        the other end has not read yet (a reset): the last answers and
        acknowledgements. So what still comes is read and dropped until the
        other end closes too, for a second at most.
        """
        try:
            if not self._broken:
                self._socket.settimeout(_LINGER_SECONDS)
                self._socket.sendall(self._out)
                self._socket.shutdown(socket.SHUT_WR)
                self._drop_what_comes()
        except OSError:
            # The other end is gone or does not answer: nothing more can be told to it.
            # Not cleared: TLS looks at the buffer through views, which the exception still holds.
            self._out = bytearray()
        finally:
            self._socket.close()

    def _drop_what_comes(self) -> None:
        deadline = time.monotonic() + _LINGER_SECONDS
        while self._socket.recv(_CHUNK_BYTES) and time.monotonic() < deadline:
            pass

    def fileno(self) -> int:
        """The descriptor that the loop watches."""
        return self._socket.fileno()

    def setblocking(self, flag: bool) -> None:
        """As a socket's."""
        self._socket.setblocking(flag)
