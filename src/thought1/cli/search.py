"""`t1 search`: ask an index.

Knows how results are shown, not how they are found:

    t1 search facts.index "Why do ice cubes crack in warm water?" --think 64 -k 5
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thought1.cli.console import (
    print_json,
    print_text,
    progress,
    receipt_data,
    receipt_line,
    result_data,
    show_result,
)
from thought1.cli.models import open_index, open_without_model, think_greedily
from thought1.cli.options import (
    Budget,
    IndexModel,
    Json,
    NoThink,
    SearchMode,
    TrustRemoteCode,
    thought_budget,
)
from thought1.cli.questions import read_questions
from thought1.cli.where import parse_where

if TYPE_CHECKING:
    from thought1.types import Receipt, SearchResult


def search(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the index.")],
    question: Annotated[
        str | None,
        typer.Argument(
            metavar="QUESTION", help="Without it, questions are read from stdin, one per line."
        ),
    ] = None,
    k: Annotated[
        int, typer.Option("-k", min=1, metavar="N", help="Most hits for a question.")
    ] = 10,
    mode: SearchMode = "hybrid",
    think: Budget = None,
    no_think: NoThink = False,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Only documents whose metadata meet this: lang=en, 'year>=1990'; also !=, >, < "
            "and <=. Numbers are compared with numbers. May be repeated; all must hold.",
        ),
    ] = None,
    model: IndexModel = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
) -> None:
    """Search an index by meaning, by words, or both."""
    from thought1.evaluation.collection import search_in_batches
    from thought1.search.pipeline import SearchOptions

    budget = thought_budget(think, no_think)
    options = SearchOptions(k, mode, budget, parse_where(where or []))
    questions = read_questions([] if question is None else [question])
    if mode == "bm25":
        index = open_without_model(folder)
    else:
        index, t1 = open_index(folder, model, trust_remote_code)
        think_greedily(t1)
    with progress("search", len(questions), "questions") as bar:
        results, receipt = search_in_batches(index, questions, options, on_progress=bar.update)
    if as_json:
        content = [result_data(result) for result in results]
        print_json({"results": content, "receipt": receipt_data(receipt)})
    else:
        _show(results, receipt)


def _show(results: "list[SearchResult]", receipt: "Receipt") -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for result in results:
        show_result(console, result)
        console.print()
    print_text(receipt_line(receipt))
