"""Make schema-3.0.0.json of the npm package @asyncapi/specs: ``npm pack @asyncapi/specs && python make.py THE.tgz``."""

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

# What a validator does not look at; as the name of a property each of them has a schema, which is no text.
SAID = ("$comment", "description", "markdownDescription", "title")


def bare(value: Any) -> Any:
    """A schema without what it says for people."""
    if isinstance(value, dict):
        return {
            name: bare(one)
            for name, one in value.items()
            if not (name in SAID and isinstance(one, str)) and not (name == "examples" and isinstance(one, list))
        }
    return [bare(one) for one in value] if isinstance(value, list) else value


def main() -> None:
    with tarfile.open(sys.argv[1]) as package:
        held = package.extractfile("package/schemas/3.0.0.json")
        assert held is not None
        schema = json.load(held)
    written = json.dumps(bare(schema), separators=(",", ":"))
    Path(__file__).with_name("schema-3.0.0.json").write_text(written + "\n", encoding="utf-8")


main()
