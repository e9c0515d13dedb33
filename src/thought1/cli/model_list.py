"""`t1 models`: which models are at hand, and what a bundled one needs.

t1 models
t1 models get t1-mini-companion
"""

from typing import Annotated

import typer

from thought1.cli.command import Command
from thought1.cli.console import print_json, print_text
from thought1.cli.options import Json
from thought1.types import Thought1Error

models = typer.Typer(
    name="models",
    help="List the models at hand, or get what one needs.",
    invoke_without_command=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A bundled model.")]
Yes = Annotated[bool, typer.Option("--yes", help="Install without a question.")]


@models.callback()
def list_models(context: typer.Context, as_json: Json = False) -> None:
    """List the models that are bundled, installed and cached."""
    if context.invoked_subcommand is not None:
        return
    from dataclasses import asdict

    from thought1.inventory import models as at_hand

    found = at_hand()
    if as_json:
        print_json({"models": [asdict(one) for one in found]})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("model", "", "needs"):
        table.add_column(column, overflow="fold")
    for one in found:
        needs = [f"{part} (missing)" if part in one.missing else part for part in one.needs]
        table.add_row(one.name, one.kind, ", ".join(needs))
    Console(highlight=False, markup=False).print(table)


@models.command(cls=Command)
def get(name: Name, yes: Yes = False) -> None:
    """Install what a bundled model needs: its base and its companion, by this Python's pip."""
    from thought1.inventory import check, commands, install

    steps = commands(name)
    for step in steps:
        print_text(" ".join(step))
    if steps and not yes and not typer.confirm("Run this?", err=True):
        raise Thought1Error("nothing was installed")
    install(steps)
    check(name)
    print_text(f"{name}: all that it needs is there")
