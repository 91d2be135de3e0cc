"""The NATS server: where its program is, and its configuration."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from functions.route import Route
from infra.settings import Address
from infra.stack.paths import Paths
from infra.stack.permissions import (
    HEARD_BY_INTEGRATIONS,
    HUB,
    INTEGRATIONS,
    Permissions,
    for_integrations,
    users_with,
)

OLDEST = (2, 10)

# The largest record is the revocation list, up to 7 MiB, which also travels as
# text in a JSON reply. Above 8 MiB the server warns that messages are slow.
_MAX_PAYLOAD_BYTES = 8 * 1024 * 1024


def find_program(path: str | None = None, python: Path | None = None) -> Path | None:
    """The server that came with this Python's environment, else one on the search path (the environment's, if none)."""
    beside = (python or Path(sys.executable)).with_name("nats-server")
    if beside.is_file():
        return beside
    found = shutil.which("nats-server", path=path)
    return Path(found) if found else None


def render(
    paths: Paths, *, name: str, listen: Address, passwords: Mapping[str, str], added: Sequence[Route] = ()
) -> str:
    """The configuration: passwords are in it, so it is for the server's eyes only.

    Args:
        paths: where everything lies.
        name: the server's.
        listen: where it listens.
        passwords: by user.
        added: the routes that other packages add.
    """
    reached = for_integrations(added)
    users = [_user("admin", passwords["admin"], None)]
    users += [_user(user, passwords[user], permissions) for user, permissions in users_with(added).items()]
    exports = [f"{{ service: {_quote(subject)}, accounts: [{INTEGRATIONS}] }}" for subject in reached]
    exports += [f"{{ stream: {_quote(subject)}, accounts: [{INTEGRATIONS}] }}" for subject in HEARD_BY_INTEGRATIONS]
    imports = [f"{{ service: {{ account: {HUB}, subject: {_quote(subject)} }}, share: true }}" for subject in reached]
    imports += [f"{{ stream: {{ account: {HUB}, subject: {_quote(one)} }} }}" for one in HEARD_BY_INTEGRATIONS]
    return f"""# Made by 'devicehub up'; changes are lost at the next start.
server_name: {_quote(name)}
listen: {_quote(str(listen))}
pid_file: {_quote(str(paths.nats_pid))}
max_payload: {_MAX_PAYLOAD_BYTES}

jetstream {{
  # The server makes jetstream/ in it.
  store_dir: {_quote(str(paths.nats))}
  # The default syncs every two minutes, after the acknowledgement: a power cut then loses what was promised.
  sync_interval: always
  # Streams reserve their limits, more than a small disk has free; the disk itself is the bound.
  max_file_store: 1TB
}}

accounts {{
  {HUB} {{
    jetstream: enabled
    users: [
      {_lines(users, 6)}
    ]
    exports: [
      {_lines(exports, 6)}
    ]
  }}
  {INTEGRATIONS} {{
    # Its users, made by 'devicehub nats-credentials'.
    include {_quote(paths.nats_integrations.name)}
    # 'share' makes the server say who called, in a header that it writes itself.
    imports: [
      {_lines(imports, 6)}
    ]
  }}
}}
"""


def render_integrations(users: Mapping[str, Permissions]) -> str:
    """The users of the other account by their public keys; there is no secret in it."""
    lines = [
        f"{{ nkey: {key}, permissions: {_permissions(permissions)} }}" for key, permissions in sorted(users.items())
    ]
    return f"""# Made by 'devicehub nats-credentials' and 'devicehub up'; changes are lost.
users: [
  {_lines(lines, 2)}
]
"""


def _user(name: str, password: str, permissions: Permissions | None) -> str:
    if permissions is None:
        return f"{{ user: {name}, password: {_quote(password)} }}"
    told = _permissions(permissions, 'allow_responses: { max: 1, expires: "60s" }')
    return f"{{ user: {name}, password: {_quote(password)}, permissions: {told} }}"


def _permissions(permissions: Permissions, more: str = "") -> str:
    # An empty list would allow everything.
    publish = f"allow: [\n{_subjects(permissions.publish)}\n ]" if permissions.publish else 'deny: ">"'
    return f"""{{
          publish: {{ {publish} }}
          subscribe: {{ allow: [
{_subjects(permissions.subscribe)}
          ] }}
          {more}
      }}"""


def _subjects(subjects: Sequence[str]) -> str:
    return "\n".join(f"{' ' * 12}{_quote(subject)}" for subject in subjects)


def _lines(items: list[str], indent: int) -> str:
    return f"\n{' ' * indent}".join(items)


def _quote(text: str) -> str:
    """A string of the configuration language; what is no ASCII stays as it is."""
    return json.dumps(text, ensure_ascii=False)
