"""`t1 think`: what the model writes about a question before it embeds it.

No index is involved:

    t1 think "Why do ice cubes crack in warm water?" --think 48 --temperature 0.7 --seed 1
"""

import sys
from typing import Annotated

import typer

from thought1.cli.console import print_json, show_thoughts
from thought1.cli.models import load_model
from thought1.cli.options import (
    BundledModel,
    Json,
    NoRepeat,
    Seed,
    Temperature,
    TopP,
    TrustRemoteCode,
    thought_sampling,
)
from thought1.cli.questions import read_questions


def think(
    questions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="QUESTION", help="By default, questions are read from stdin, one per line."
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
            help="Maximum tokens of a thought; by default that of the model's settings.",
        ),
    ] = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    seed: Seed = None,
    no_repeat: NoRepeat = None,
    as_json: Json = False,
) -> None:
    """Write a thought about each question."""
    texts = read_questions(questions or [])
    t1 = load_model(model, trust_remote_code)
    own = t1.settings.thought.sampling
    sampling = thought_sampling(own, temperature, top_p, seed, no_repeat)
    show = sys.stderr.isatty()
    thoughts = t1.think(texts, budget=budget, sampling=sampling, show_progress_bar=show)
    if as_json:
        rows = zip(texts, thoughts, strict=True)
        print_json({"thoughts": [{"query": q, **t.to_json()} for q, t in rows]})
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for question, thought in zip(texts, thoughts, strict=True):
        show_thoughts(console, question, [thought])
        console.print()
