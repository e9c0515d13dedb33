"""The options of `t1 search` that name who writes the thoughts. Knows no writer."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thought1.cli.console import progress
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.contracts import ThoughtWriter
    from thought1.index import Index
    from thought1.search.options import SearchOptions
    from thought1.types import Receipt, SearchResult, Thought

Thinker = Annotated[
    str | None,
    typer.Option(
        "--thinker",
        metavar="openai:URL#MODEL",
        help="Let a chat model on an OpenAI-compatible server write the thoughts; T1 reads them. "
        "OPENAI_API_KEY is sent where it is set.",
    ),
]
Thoughts = Annotated[
    Path | None,
    typer.Option(
        "--thoughts",
        metavar="FILE",
        help='Thoughts from a file: lines {"text": ...} in the order of the questions, or with '
        '"query", the question, in any.',
    ),
]


def find_writer(
    thinker: str | None, file: Path | None, options: "SearchOptions", own: Sequence[object]
) -> "ThoughtWriter | None":
    """Who writes the thoughts, where it is not the model.

    Args:
        own: values of flags that say how the model thinks.

    Raises:
        Thought1Error: flags contradict each other, or there is no such writer.
    """
    if thinker is None and file is None:
        return None
    from thought1.search.elsewhere import check_elsewhere
    from thought1.writers.opening import open_writer

    if thinker is not None and file is not None:
        raise Thought1Error("--thinker and --thoughts contradict each other: give one of them")
    if any(value is not None for value in own):
        raise Thought1Error(
            "thoughts from elsewhere are searched with as they are: leave --adaptive, "
            "--temperature, --top-p, --seed, --no-repeat and --thought-cache out"
        )
    check_elsewhere(options)
    return open_writer(f"file:{file}" if thinker is None else thinker)


def search_with_writer(
    index: "Index",
    questions: list[str],
    options: "SearchOptions",
    writer: "ThoughtWriter | None",
    thought: str | None = None,
) -> "tuple[list[SearchResult], Receipt]":
    """Search with the thoughts of a writer, with the one given, or with the model's own."""
    from thought1.search.elsewhere import WrittenThoughts, write_thoughts
    from thought1.search.pipeline import search_in_batches

    written: WrittenThoughts | None = None
    if writer is not None:
        with progress("think", len(questions), "questions") as bar:
            written = write_thoughts(writer, index.model, questions, options.think, bar.update)
    given: Sequence[Thought] | Sequence[str] | None = None if written is None else written.thoughts
    given = given if thought is None else [thought]
    with progress("search", len(questions), "questions") as bar:
        found = search_in_batches(index, questions, options, given, on_progress=bar.update)
    return found if written is None else written.noted(*found)
