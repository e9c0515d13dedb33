"""`t1 index`: a corpus becomes an index, or is added to one.

Knows the order of the steps; reading and encoding are the library's:

    t1 index facts.jsonl -o facts.index
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thought1.cli.console import note, plain, print_text, progress
from thought1.cli.models import holds_something, load_model, open_index, open_without_model
from thought1.cli.options import IndexOrBundledModel
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.data.corpus import Corpus, ValidationReport
    from thought1.data.rows import BadRow, PassedOver, Row
    from thought1.index import Index
    from thought1.store.writer import AddReport
    from thought1.t1 import T1


def index(
    corpus: Annotated[
        Path | None,
        typer.Argument(
            metavar="CORPUS",
            help="A BEIR folder, a .jsonl, .csv, .tsv or .parquet file, a folder of such files, "
            "or a folder of texts (.txt, .md, .mdx, .rst, .html).",
        ),
    ] = None,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the index.")
    ],
    model: IndexOrBundledModel = None,
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
    prune: Annotated[
        bool | None,
        typer.Option(
            "--prune/--no-prune",
            help="Remove from the index what the corpus no longer holds. A folder of texts does "
            "so by default, with its own passages; for another corpus it means every document "
            "that came from no folder of texts.",
            show_default=False,
        ),
    ] = None,
    passage_tokens: Annotated[
        int | None,
        typer.Option(
            "--passage-tokens",
            min=1,
            metavar="N",
            help="Longest passage of a folder of texts, the headings before it included; by "
            "default what the model reads.",
        ),
    ] = None,
    overlap: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Most tokens that a passage repeats of the last."),
    ] = 0,
) -> None:
    """Build an index, add a corpus to one, or go on after an interruption.

    The whole corpus is checked before anything is written.
    A document replaces the one that has its id; an unchanged one costs nothing.
    """
    if corpus is None:
        if not optimize:
            raise Thought1Error("name a corpus to index, or give --optimize")
        if skip_bad or overwrite or passage_tokens or overlap or (model, prune) != (None, None):
            raise Thought1Error("the options other than --optimize need a corpus to index")
        open_without_model(output).optimize()
        print_text(f"{output}: optimized")
        return
    start = time.perf_counter()
    wanted = _Wanted(output, model, skip_bad, overwrite, prune, passage_tokens, overlap)
    target, summary = _build(corpus, wanted)
    if optimize:
        target.optimize()
    print_text(f"{output}: {summary}, {time.perf_counter() - start:.1f} s")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The options of one run."""

    output: Path
    model: str | None
    skip_bad: bool
    overwrite: bool
    prune: bool | None
    passage_tokens: int | None
    overlap: int


def _build(path: Path, wanted: _Wanted) -> tuple["Index", str]:
    """Check, open, add, remove; the index, and what became of the documents."""
    from thought1.data.formats import open_corpus

    corpus = open_corpus(path)
    if not corpus.is_text_folder and (wanted.passage_tokens or wanted.overlap):
        raise Thought1Error("--passage-tokens and --overlap need a folder of texts to split")
    checked = _check(corpus, wanted.skip_bad)
    if wanted.prune and checked.skipped and not corpus.is_text_folder:
        raise Thought1Error(
            f"{checked.skipped} rows cannot be used, so that it is not known which documents are "
            "gone: mend these rows, or do without --prune"
        )
    target, loaded, corpus = _open(corpus, wanted)
    report, removed = _add(target, corpus, checked, wanted)
    counts = [
        f"{report.added} added",
        f"{report.unchanged} unchanged",
        f"{report.replaced} replaced",
        f"{checked.skipped} skipped",
        f"{loaded.truncated} truncated",
    ]
    if removed is not None:
        counts.append(f"{removed} removed")
    if passed_over := sum(checked.passed_over.values()):
        counts.append(f"{passed_over} passed over")
    return target, f"{len(target)} documents ({', '.join(counts)})"


def _add(
    target: "Index", corpus: "Corpus", checked: "ValidationReport", wanted: _Wanted
) -> tuple["AddReport", int | None]:
    """What was added, and how many documents were removed; None where none were to be."""
    from thought1.follow import Follower

    prune = corpus.is_text_folder if wanted.prune is None else wanted.prune
    follower = None
    documents = corpus.documents(wanted.skip_bad)
    if corpus.is_text_folder or prune:
        follower = Follower(target, corpus.path if corpus.is_text_folder else None)
        documents = follower.watch(documents)
    # How many passages the model's tokens will make is not known before.
    total = None if corpus.is_text_folder else checked.documents
    with progress("index", total, "documents") as bar:
        try:
            report = target.add(documents, on_progress=bar.update)
        except KeyboardInterrupt:
            note("what has been indexed stays; the same command goes on from there")
            raise
    if follower is None or not prune:
        return report, None
    return report, follower.remove(keep_unread=checked.skipped > 0)


def _check(corpus: "Corpus", skip_bad: bool) -> "ValidationReport":
    """Read everything once, before the first write."""
    with progress("check", None, "rows") as bar:

        def watched() -> "Iterator[Row | BadRow | PassedOver]":
            for row in corpus.source():
                bar.update()
                yield row

        report = replace(corpus, source=watched).validate(skip_bad)
    for example in report.examples:
        note(f"warning: skipped {example}")
    if report.skipped > len(report.examples):
        note(f"warning: skipped {report.skipped - len(report.examples)} more rows")
    for line in _passed_over(report.passed_over):
        note(f"passed over: {line}")
    return report


def _passed_over(counts: "Mapping[PassedOver, int]") -> Iterator[str]:
    """One line for each reason: "2 .jsonl, 1 .pdf (not a kind of text that is read)"."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for entry, count in sorted(counts.items(), key=lambda item: (-item[1], item[0].what)):
        reasons[entry.why].append(f"{count} {plain(entry.what)}")
    for why, entries in reasons.items():
        yield f"{', '.join(entries)} ({plain(why)})"


def _open(corpus: "Corpus", wanted: _Wanted) -> tuple["Index", "T1", "Corpus"]:
    """The index that is there, with its model, or an empty one; and the corpus as it is read.

    Whatever can be wrong with model and lengths is found before an index is made.
    """
    from thought1.index import Index

    folder = wanted.output
    if wanted.overwrite or not holds_something(folder):
        loaded = load_model(wanted.model)
        fitting = _fit(corpus, loaded, wanted)
        return Index.create(folder, loaded, overwrite=wanted.overwrite), loaded, fitting
    try:
        Index.remembered(folder)
    except Thought1Error as error:
        raise Thought1Error(
            f"{error}; name a new folder, or give --overwrite to replace a broken index"
        ) from None
    index, loaded = open_index(folder, wanted.model)
    return index, loaded, _fit(corpus, loaded, wanted)


def _fit(corpus: "Corpus", model: "T1", wanted: _Wanted) -> "Corpus":
    """A folder of texts, split by the tokens of the model that will read the passages."""
    from thought1.data.formats import CorpusOptions, open_corpus
    from thought1.data.passages import Splitter

    if not corpus.is_text_folder:
        return corpus
    settings = model.settings
    room = model.renderer.room(settings.document, settings.max_document_tokens - 1)
    tokens = room if wanted.passage_tokens is None else wanted.passage_tokens
    if tokens > room:
        raise Thought1Error(
            f"--passage-tokens {tokens} is more than the {room} tokens of a text that the model "
            "reads"
        )
    splitter = Splitter(tokens, wanted.overlap, model.renderer.spans)
    return open_corpus(corpus.path, options=CorpusOptions(splitter=splitter))
