"""`t1 evaluate`: how well a model answers the judged questions of a collection.

Neither runs nor metrics are computed here (`thought1.evaluation`):

    t1 evaluate entailmentbank --split dev --mode hybrid --json
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thought1.cli.console import print_json, print_text, progress, receipt_data, receipt_line
from thought1.cli.models import (
    holds_something,
    load_model,
    open_index,
    open_without_model,
    think_greedily,
)
from thought1.cli.options import (
    Budget,
    IndexOrBundledModel,
    Json,
    NoThink,
    SearchMode,
    thought_budget,
)
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.data.formats import BeirFolder
    from thought1.evaluation.protocol import Evaluation
    from thought1.index import Index
    from thought1.search.pipeline import SearchOptions
    from thought1.t1 import T1
    from thought1.types import Receipt


def evaluate(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="A BEIR folder: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv."
        ),
    ],
    *,
    split: Annotated[str, typer.Option(metavar="NAME", help="Whose questions are asked: dev, ...")],
    mode: SearchMode = "dense",
    think: Budget = None,
    no_think: NoThink = False,
    model: IndexOrBundledModel = None,
    index_folder: Annotated[
        Path | None,
        typer.Option(
            "--index",
            metavar="DIR",
            help="Use the index of this collection in this folder, and make it where there is "
            "none; by default a temporary one is made.",
        ),
    ] = None,
    run_file: Annotated[
        Path | None, typer.Option("--run", metavar="FILE", help="Write the ranking in TREC format.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure retrieval: 100 documents for each judged question, thinking greedily."""
    from thought1.data.formats import BeirFolder, write_run
    from thought1.evaluation.collection import DEPTH, evaluate_collection, judged_queries
    from thought1.search.pipeline import SearchOptions

    options = SearchOptions(DEPTH, mode, thought_budget(think, no_think))
    collection = BeirFolder(folder)
    if run_file is not None and (run_file.is_dir() or not run_file.parent.is_dir()):
        raise Thought1Error(f"{run_file} cannot be written: no such folder, or a folder itself")
    queries, _ = judged_queries(collection, split)
    with _index(collection, index_folder, model, mode == "bm25") as (index, t1):
        if t1 is not None:
            think_greedily(t1)
        with progress("ask", len(queries), "queries") as bar:
            evaluation, run, receipt = evaluate_collection(
                collection, split, index, options, on_progress=bar.update
            )
    facts = _facts(t1, options, receipt)
    if as_json:
        print_json({**evaluation.to_json(), **facts})
    else:
        _show(evaluation, facts)
        print_text(receipt_line(receipt))
    if run_file is not None:
        write_run(run_file, run, "thought1")


@contextmanager
def _index(
    collection: "BeirFolder", index_folder: Path | None, model: str | None, words_only: bool
) -> "Iterator[tuple[Index, T1 | None]]":
    """An index of the collection, and its model, which is None where only BM25 will be asked."""
    t1: T1 | None = None
    if index_folder is not None and holds_something(index_folder):
        if words_only:
            index = open_without_model(index_folder)
        else:
            index, t1 = open_index(index_folder, model)
        _check_size(collection, index)
        yield index, t1
        return
    with TemporaryDirectory(prefix="t1-evaluate-") as scratch:
        # An index that is to stay needs vectors, whatever is asked of it now.
        if index_folder is not None or not words_only:
            t1 = load_model(model)
        index = _make(collection, index_folder or Path(scratch) / "index", t1)
        yield index, None if words_only else t1


def _make(collection: "BeirFolder", path: Path, t1: "T1 | None") -> "Index":
    from thought1.index import Index
    from thought1.search.words_only import WordsOnly

    documents = collection.corpus().validate().documents
    index = Index.create(path, t1 or WordsOnly())
    with progress("index", documents, "documents") as bar:
        index.add(collection.corpus(), on_progress=bar.update)
    index.optimize()
    return index


def _check_size(collection: "BeirFolder", index: "Index") -> None:
    documents = collection.corpus().validate().documents
    if len(index) != documents:
        raise Thought1Error(
            f"the index at {index.path} holds {len(index)} documents and the collection "
            f"{documents}: complete it with `t1 index {collection.path} -o {index.path}`, or name "
            "another folder"
        )


def _facts(t1: "T1 | None", options: "SearchOptions", receipt: "Receipt") -> dict[str, Any]:
    """What was measured; without a model there is neither its name nor a thinking budget."""
    model, budget = None, None
    if t1 is not None:
        model, budget = t1.name, options.think
        if budget is None:
            budget = t1.settings.thought.max_new_tokens
    return {
        "model": model,
        "mode": options.mode,
        "think": budget,
        "receipt": receipt_data(receipt),
    }


def _show(evaluation: "Evaluation", facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    content = evaluation.to_json()
    table = Table(box=None, pad_edge=False)
    for header in ("measure", "mean", "95% interval"):
        table.add_column(header, justify="left" if header == "measure" else "right")
    for name, value in content["metrics"].items():
        low, high = content["ci"][name]
        table.add_row(name, f"{value:.4f}", f"{low:.4f} to {high:.4f}")
    console = Console(highlight=False, markup=False)
    console.print(table)
    model, budget = facts["model"], facts["think"]
    who = "" if model is None else f", model {model}, thinking budget {budget}"
    console.print(f"{evaluation.queries} queries, {facts['mode']}{who}")
