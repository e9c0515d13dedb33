"""`t1 train`: run a recipe.

Knows nothing of what a recipe holds; on several processes, torchrun starts it:

    t1 train recipes/nano-cpu.toml output=runs/mine stages.0.max_steps=100
    torchrun --nproc-per-node 2 -m thought1.cli train recipes/nano-cpu.toml
"""

import logging
import os
import sys
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from thought1.cli.console import print_text
from thought1.cli.models import quiet_libraries
from thought1.types import Thought1Error

_NEEDED = ("accelerate", "tensorboard")
"""What training imports, sooner or later, and searching does not."""


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A TOML file; see recipes/.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            help="Values that override the recipe's; stages are numbered from 0: "
            "stages.0.learning_rate=1e-4.",
        ),
    ] = None,
) -> None:
    """Train a model from a recipe, or resume an interrupted training."""
    from thought1.training.recipe.read import load_recipe

    loaded = load_recipe(recipe, overrides or [])
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise Thought1Error(
            f'training needs {" and ".join(missing)}: pip install "thought1[train]"'
        )
    from thought1.training.run import train as run

    quiet_libraries()
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun has started
    if first:
        logging.getLogger("thought1").setLevel(logging.INFO)
    with redirect_stdout(sys.stderr):  # the trainer prints its log
        folder = run(loaded)
    if first:
        print_text(f"the model is in {folder}")
