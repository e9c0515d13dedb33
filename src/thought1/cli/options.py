"""Options that several commands share, so that they read the same everywhere.

What stands on the command line only; what an option does is the business of the commands.
"""

from typing import Annotated

import typer

from thought1.search.pipeline import Mode
from thought1.types import Thought1Error

_MODEL = "FOLDER|HUB_ID"

BundledModel = Annotated[
    str | None,
    typer.Option("--model", metavar=_MODEL, help="The model; by default the bundled t1-nano."),
]
IndexModel = Annotated[
    str | None,
    typer.Option(
        "--model", metavar=_MODEL, help="The model; by default the one the index was made with."
    ),
]
IndexOrBundledModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar=_MODEL,
        help="The model; by default the one the index was made with, and the bundled t1-nano "
        "for a new index.",
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code",
        help="Run Python code that lies in the model's folder, if the model needs it.",
    ),
]
Budget = Annotated[
    int | None,
    typer.Option(
        "--think",
        min=0,
        metavar="N",
        help="Most tokens of a thought; by default what the model's settings say.",
    ),
]
NoThink = Annotated[
    bool, typer.Option("--no-think", help="Embed the bare query, which is quicker.")
]
SearchMode = Annotated[
    Mode,
    typer.Option(
        "--mode",
        help="dense: by the model's vectors; bm25: by words, without the model; hybrid: both.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")]


def thought_budget(think: int | None, no_think: bool) -> int | None:
    """Tokens of a thought: what the flags say, None for the model's own budget."""
    if think is not None and no_think:
        raise Thought1Error("--think and --no-think contradict each other: give one of them")
    return 0 if no_think else think
