"""`t1 think`: what the model writes about a question before it embeds it.

No index is involved:

    t1 think "Why do ice cubes crack in warm water?" --think 48 --temperature 0.7 --seed 1
"""

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from thought1.cli.console import print_json, show_thought, thought_data
from thought1.cli.models import load_model
from thought1.cli.options import BundledModel, Json, TrustRemoteCode
from thought1.cli.questions import read_questions
from thought1.types import Sampling, Thought1Error

if TYPE_CHECKING:
    from thought1.settings import ThoughtSettings

NoRepeat = Annotated[
    int | None,
    typer.Option(
        "--no-repeat",
        min=0,
        metavar="N",
        help="No N tokens in a row twice in a thought; 0: any.",
    ),
]


def think(
    questions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUESTION", help="Without it, questions are read from stdin, one per line."
        ),
    ] = None,
    model: BundledModel = None,
    trust_remote_code: TrustRemoteCode = False,
    budget: Annotated[
        int | None,
        typer.Option(
            "--think",
            min=1,
            metavar="N",
            help="Most tokens of a thought; by default what the model's settings say.",
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            metavar="T",
            help="0 always takes the likeliest token; by default what the model's settings say.",
        ),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=1.0,
            metavar="P",
            help="Sample among the likeliest tokens that reach this probability together.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="The same seed gives a question the same thought."),
    ] = None,
    no_repeat: NoRepeat = None,
    as_json: Json = False,
) -> None:
    """Write a thought about each question."""
    asked = read_questions(questions or [])
    t1 = load_model(model, trust_remote_code)
    sampling = _sampling(t1.settings.thought, temperature, top_p, seed)
    if no_repeat is not None:
        sampling = replace(sampling, no_repeat_ngram=no_repeat)
    show = sys.stderr.isatty()
    thoughts = t1.think(asked, budget=budget, sampling=sampling, show_progress_bar=show)
    if as_json:
        rows = zip(asked, thoughts, strict=True)
        print_json({"thoughts": [{"query": q, **thought_data(t)} for q, t in rows]})
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for question, thought in zip(asked, thoughts, strict=True):
        show_thought(console, question, thought)
        console.print()


def _sampling(
    own: "ThoughtSettings", temperature: float | None, top_p: float | None, seed: int | None
) -> Sampling:
    """What the flags say, and the model's own settings where they say nothing."""
    sampling = Sampling(
        own.temperature if temperature is None else temperature,
        own.top_p if top_p is None else top_p,
        seed or 0,
        own.no_repeat_ngram,
    )
    if sampling.temperature == 0 and (top_p is not None or seed is not None):
        raise Thought1Error("--top-p and --seed need a --temperature above 0")
    return sampling
