"""``devicehub doctor``: what is wrong, and how to mend it."""

from typing import TYPE_CHECKING, Any

import typer

from infra.cli.console import FAILED, say, say_json
from infra.cli.options import AsJson, Data

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.doctor.finding import Finding


def doctor(context: typer.Context, as_json: AsJson = False, data: Data = None) -> None:
    """Look at the machine and at the hub, and say how to mend what is wrong.

    The exit code is 0 only if all is well. Nothing is changed.
    """
    import asyncio

    from infra.doctor.examining import examine
    from infra.settings import Settings

    environ = dict(context.obj) | ({"HUB_DATA_DIR": str(data)} if data is not None else {})
    found = asyncio.run(examine(Settings.from_env(environ)))
    wrong = sum(not one.is_well for each in found.values() for one in each)
    if as_json:
        say_json({"well": not wrong, "checks": [_plain(name, each) for name, each in found.items()]})
    else:
        _show(found, wrong)
    if wrong:
        raise typer.Exit(FAILED)


def _plain(name: str, found: "list[Finding]") -> dict[str, Any]:
    return {
        "check": name,
        "well": all(one.is_well for one in found),
        "findings": [
            {"well": one.is_well, "what": one.what, **({} if one.is_well else {"mend": one.mend})} for one in found
        ],
    }


def _show(found: "Mapping[str, list[Finding]]", wrong: int) -> None:
    width = max(map(len, found))
    for name, each in found.items():
        for one in each:
            say(f"{'ok   ' if one.is_well else 'WRONG'}  {name:<{width}}  {one.what}")
            if not one.is_well:
                say(f"{'':<{width + 9}}{one.mend}")
            name = ""
    say("", "All is well." if not wrong else f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong.")
