"""`t1 index`: a corpus becomes an index, or is added to one.

Knows the order of the steps; reading and encoding are the library's:

    t1 index facts.jsonl -o facts.index
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thought1.cli.console import note, print_text, progress
from thought1.cli.models import holds_something, load_model, open_index, open_without_model
from thought1.cli.options import IndexOrBundledModel, TrustRemoteCode
from thought1.data.outputs import check_folder
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.data.corpus import Corpus, ValidationReport
    from thought1.data.rows import Row
    from thought1.index import Index
    from thought1.t1 import T1


def index(
    corpus: Annotated[
        Path | None,
        typer.Argument(
            metavar="CORPUS",
            help="A BEIR folder, a .jsonl, .ndjson, .csv, .tsv (also .gz) or .parquet file, or a "
            "folder of .txt, .md and .html files.",
        ),
    ] = None,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the index.")
    ],
    model: IndexOrBundledModel = None,
    trust_remote_code: TrustRemoteCode = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out rows that cannot be used; count them.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the index that is there.")
    ] = False,
    optimize: Annotated[
        bool,
        typer.Option(
            "--optimize",
            help="Compact the index afterwards, and build a vector index if it is large. "
            "Without a corpus: do only that.",
        ),
    ] = False,
) -> None:
    """Build an index, add a corpus to one, or go on after an interruption.

    The whole corpus is checked before anything is written.
    A document replaces the one that has its id; an unchanged one costs nothing.
    """
    if corpus is None:
        if not optimize:
            raise Thought1Error("name a corpus to index, or give --optimize")
        if skip_bad or overwrite or model is not None:
            raise Thought1Error("--model, --skip-bad and --overwrite need a corpus to index")
        open_without_model(output).optimize()
        print_text(f"{output}: optimized")
        return
    check_folder(output)
    start = time.perf_counter()
    begin = partial(_open, output, model, trust_remote_code, overwrite)
    summary = _build(corpus, begin, skip_bad, optimize)
    print_text(f"{output}: {summary}, {time.perf_counter() - start:.1f} s")


def _build(
    path: Path, begin: Callable[[], tuple["Index", "T1"]], skip_bad: bool, optimize: bool
) -> str:
    """Check, open, add; returns what became of the documents."""
    from thought1.data.formats import open_corpus

    corpus = open_corpus(path)
    checked = _check(corpus, skip_bad)
    target, loaded = begin()
    with progress("index", checked.documents, "documents") as bar:
        try:
            report = target.add(corpus.documents(skip_bad), on_progress=bar.update)
        except KeyboardInterrupt:
            note("what has been indexed stays; the same command goes on from there")
            raise
    if optimize:
        target.optimize()
    return (
        f"{len(target)} documents ({report.added} added, {report.unchanged} unchanged, "
        f"{report.replaced} replaced, {checked.skipped} skipped, {loaded.truncated} truncated)"
    )


def _check(corpus: "Corpus", skip_bad: bool) -> "ValidationReport":
    """Read everything once, before the first write."""
    from thought1.data.rows import BadRow

    with progress("check", None, "rows") as bar:

        def watched() -> "Iterator[Row | BadRow]":
            for row in corpus.source():
                bar.update()
                yield row

        try:
            report = replace(corpus, source=watched).validate(skip_bad)
        except BadRow as bad:
            raise Thought1Error(f"{bad} (or use --skip-bad)") from None
    for example in report.examples:
        note(f"warning: skipped {example}")
    if report.skipped > len(report.examples):
        note(f"warning: skipped {report.skipped - len(report.examples)} more rows")
    return report


def _open(
    folder: Path, model: str | None, trust_remote_code: bool, overwrite: bool
) -> tuple["Index", "T1"]:
    """The index that is there, with its model, or an empty one."""
    from thought1.index import Index

    if overwrite or not holds_something(folder):
        loaded = load_model(model, trust_remote_code)
        try:
            return Index.create(folder, loaded, overwrite=overwrite), loaded
        except Thought1Error:
            if overwrite or not holds_something(folder):
                raise
        return Index.open(folder, loaded), loaded  # made by another process in the meantime
    try:
        Index.remembered(folder)
    except Thought1Error as error:
        raise Thought1Error(
            f"{error}; name a new folder, or give --overwrite to replace a broken index"
        ) from None
    return open_index(folder, model, trust_remote_code)
