"""The ``devicehub`` command: every subcommand, and nothing else.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings.
"""

import typer

from infra.cli.console import Reporting

app = typer.Typer(
    cls=Reporting,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Run a Device Hub on this machine, and look after its devices.",
)


def run() -> None:
    """The command line."""
    app()
