"""`t1 models`: which models are available, what a bundled one needs, and the cache.

t1 models
t1 models get t1-mini-companion
t1 models clear
"""

from typing import Annotated

import typer

from thought1.cli.command import Command
from thought1.cli.console import print_json, print_text
from thought1.cli.options import Json
from thought1.types import Thought1Error

models = typer.Typer(
    name="models",
    help="List the available models, install what one needs, or clear the cache.",
    invoke_without_command=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A bundled model.")]
Yes = Annotated[bool, typer.Option("--yes", help="Install without confirmation.")]


@models.callback()
def list_models(context: typer.Context, as_json: Json = False) -> None:
    """List the models that are bundled, installed and cached."""
    if context.invoked_subcommand is not None:
        return
    from dataclasses import asdict

    from thought1.model.inventory import models as at_hand
    from thought1.model.model_cache import kept

    found, copies = at_hand(), kept()
    if as_json:
        held = [{**asdict(one), "folder": str(one.folder)} for one in copies]
        print_json({"models": [asdict(one) for one in found], "kept": held})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("model", "", "needs"):
        table.add_column(column, overflow="fold")
    for one in found:
        needs = [f"{part} (missing)" if part in one.missing else part for part in one.needs]
        table.add_row(one.name, one.kind, ", ".join(needs))
    console = Console(highlight=False, markup=False)
    console.print(table)
    if copies:
        size = sum(one.bytes for one in copies)
        names = ", ".join(dict.fromkeys(one.model or "a broken copy" for one in copies))
        where = f"{size / 1e6:.0f} MB in {copies[0].folder.parent}"
        line = f"cached dequantised, to load faster ({where}; t1 models clear removes it): {names}"
        console.print(f"\n{line}", soft_wrap=True)


@models.command(cls=Command)
def get(name: Name, yes: Yes = False) -> None:
    """Install what a bundled model needs: its base and its companion, by this Python's pip."""
    from thought1.model.inventory import check, commands, install

    steps = commands(name)
    for step in steps:
        print_text(" ".join(step))
    if steps and not yes and not typer.confirm("Run this?", err=True):
        raise Thought1Error("nothing was installed")
    install(steps)
    check(name)
    print_text(f"{name}: everything it needs is installed")


@models.command(cls=Command)
def clear() -> None:
    """Clear the cache of GGUF files, which makes them load faster; the files are kept."""
    from thought1.model import model_cache

    try:
        size = model_cache.clear()
    except OSError as error:
        raise Thought1Error(f"{error.filename} cannot be removed: {error.strerror}") from None
    print_text(f"{size / 1e6:.0f} MB removed")
