"""``python -m gateway.describe``: print the HTTP interface as OpenAPI, without a bus."""

import json
import sys
from importlib.metadata import version

from gateway.app import create_app
from gateway.connection import Connection
from gateway.openapi import document
from gateway.settings import Settings


def main() -> None:
    """Print the document, ordered, so that equal interfaces are equal texts."""
    settings = Settings(host="127.0.0.1", port=0, nats_url="", nats_password="")
    app = create_app(settings, Connection(settings, _never))
    json.dump(document(app, version("devicehub")), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


async def _never() -> None:
    """A connection that is not opened is not closed."""


if __name__ == "__main__":
    main()
