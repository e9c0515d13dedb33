"""`t1 worlds`: a generated encyclopedia, and questions that only composed facts answer.

One folder in BEIR's layout, with a thought for each question:

    t1 worlds worlds/standard --seed 0
"""

from pathlib import Path
from typing import Annotated

import typer

from thought1.cli.console import print_text
from thought1.data.outputs import check_folder
from thought1.data.worlds import Style, WorldSettings, check_target, make_world, write_world

_STANDARD = WorldSettings()


def worlds(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="The new folder.")],
    *,
    seed: Annotated[int, typer.Option(help="Random seed of the world.")] = _STANDARD.seed,
    entities: Annotated[
        int, typer.Option(help="Invented entities; each has two documents.")
    ] = _STANDARD.entities,
    distractors: Annotated[
        int, typer.Option(help="Documents about no entity.")
    ] = _STANDARD.distractors,
    questions: Annotated[
        int, typer.Option(help="Composed training questions, in addition to single hops.")
    ] = _STANDARD.questions,
    tests: Annotated[int, typer.Option(help="Test questions of each kind.")] = _STANDARD.tests,
    thoughts: Annotated[
        Style, typer.Option(help="short: the steps only; long: with irrelevant facts.")
    ] = _STANDARD.thoughts,
    share_thoughts: Annotated[
        float, typer.Option(help="Share of the composed training questions that keep a thought.")
    ] = _STANDARD.share_thoughts,
    share_indexed: Annotated[
        float,
        typer.Option(help="Share of the entities whose facts only documents state; tests of them."),
    ] = _STANDARD.share_indexed,
    reading: Annotated[
        int, typer.Option(help="Training questions that only shown documents answer.")
    ] = _STANDARD.reading,
) -> None:
    """Generate a world: documents, questions, judgements, thoughts and evidence."""
    check_target(folder)
    check_folder(folder)
    settings = WorldSettings(
        seed=seed,
        entities=entities,
        distractors=distractors,
        questions=questions,
        tests=tests,
        thoughts=thoughts,
        share_thoughts=share_thoughts,
        share_indexed=share_indexed,
        reading=reading,
    )
    world = make_world(settings)
    write_world(world, folder)
    counts = world.counts()
    print_text(
        f"{folder}: {counts['entities']} entities, {counts['facts']} facts, "
        f"{counts['documents']} documents, {counts['train']} training and {counts['test']} "
        f"composed test questions, {counts['words']} words"
    )
