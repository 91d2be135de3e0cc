"""The plain pages at ``/`` and ``/docs``: what to do next. They need no script and nothing from elsewhere."""

import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Final

from fastapi import FastAPI, Request
from starlette.responses import Response

from gateway.calls import gateway_of

_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")

_STYLE: Final = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}
pre{padding:.75rem 1rem;overflow-x:auto;border:1px solid #8886;border-radius:.4rem}
code{font:14px/1.5 ui-monospace,monospace}
"""
_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_FRAME: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Device Hub</title>
<style>{style}</style>
</head>
<body>
{content}
</body>
</html>
"""
_PAGE: Final = """<h1>Device Hub is running</h1>
<p>Version {version}. <a href="/readyz">/readyz</a> tells whether every part of it is ready.</p>
<h2>Ask it something</h2>
<p>Programs show an API token. Make one on the machine that the hub runs on:</p>
<pre><code>devicehub token create my-app --scope devices:read --scope twins:read --scope twins:write</code></pre>
<p>It is shown once. Keep it in a variable, then list the devices, and read and change a twin:</p>
<pre><code>TOKEN=dh_…
curl -H "Authorization: Bearer $TOKEN" {base}/api/devices
curl -H "Authorization: Bearer $TOKEN" {base}/api/devices/DEVICE/twin
curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
  -X PATCH -d '{{"desired": {{"rate": 12}}}}' {base}/api/devices/DEVICE/twin</code></pre>
<p><a href="/docs">/docs</a> shows all there is to ask, <a href="/openapi.json">/openapi.json</a> tells machines.</p>
<h2>Let a device join</h2>
<pre><code>devicehub enrolment open --minutes 30
devicehub device create my-device --out my-device</code></pre>"""
_NO_DOCS: Final = """<h1>The interface of Device Hub</h1>
<p>It is described for machines: <a href="/openapi.json">/openapi.json</a> has every address of HTTP.
Of what is said over NATS, MQTT and the WebSocket, /asyncapi.json.</p>
<h2>To read it here</h2>
<p>The viewer is a part of the web interface, and this gateway was given none that has it. Until then any reader
of OpenAPI 3.1 shows that description.</p>
<p>A gateway that runs by itself is given the folder of a built web interface with <code>HUB_WEBUI_DIR</code>,
and then started again.</p>"""


def add_routes(app: FastAPI) -> None:
    """Add the page at the top."""
    app.add_api_route("/", read_page, methods=["GET"], include_in_schema=False)


def add_docs(app: FastAPI) -> None:
    """Add the page in the place of the viewer of the description."""
    app.add_api_route("/docs", read_no_docs, methods=["GET"], include_in_schema=False)


async def read_page(request: Request) -> Response:
    """The commands on it can be copied: they name the hub as the reader reached it."""
    host = request.headers.get("host", "")
    if _HOST.fullmatch(host) is None:
        host = "localhost:8080"
    base = escape(f"{request.scope['scheme']}://{host}")
    return _page(_PAGE.format(version=escape(gateway_of(request).version), base=base))


async def read_no_docs(request: Request) -> Response:
    """How to get the viewer, and what there is without it."""
    return _page(_NO_DOCS)


def _page(content: str) -> Response:
    page = _FRAME.format(style=_STYLE, content=content)
    return Response(page, headers={"Content-Security-Policy": _POLICY}, media_type="text/html")
