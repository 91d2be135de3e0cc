"""XML-RPC to a supervisor over its unix socket."""

import http.client
import os
import socket
import xmlrpc.client
from pathlib import Path
from typing import Any

_ANSWER_SECONDS = 10.0


def call(path: Path, method: str, *arguments: Any) -> Any:
    """Call a method of a supervisor; waits for the answer.

    Raises:
        OSError, http.client.HTTPException: it does not answer.
        xmlrpc.client.Fault: what it answered instead.
    """
    with xmlrpc.client.ServerProxy("http://supervisor", transport=_Transport(path)) as proxy:
        return getattr(proxy, method)(*arguments)


class _Transport(xmlrpc.client.Transport):
    """XML-RPC over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        """A connection to the socket, whatever the host; closed with the transport."""
        connection = _Connection(self._path)
        self._connection = host, connection
        return connection


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(os.fspath(self._path))
        except OSError:
            connection.close()
            raise
        self.sock = connection
