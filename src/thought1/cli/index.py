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
from thought1.cli.encoded import GivenVectors
from thought1.cli.models import (
    Encoder,
    holds_something,
    load_encoder,
    open_index,
    open_without_model,
)
from thought1.cli.options import IndexOrBundledModel, TrustRemoteCode
from thought1.data.outputs import check_folder
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.data.corpus import Corpus, ValidationReport
    from thought1.data.rows import PassedOver, Row
    from thought1.index import Index
    from thought1.store.writer import AddReport


CorpusPath = Annotated[
    Path | None,
    typer.Argument(
        metavar="CORPUS",
        help="A BEIR folder, a .jsonl, .ndjson, .csv, .tsv (also .gz) or .parquet file, a "
        "folder of such files, or a folder of texts (.txt, .md, .mdx, .rst, .html).",
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the index.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Skip and count invalid rows.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing index.")]
Optimize = Annotated[
    bool,
    typer.Option(
        "--optimize",
        help="Compact the index afterwards, and build a vector index if it is large. "
        "Without a corpus: do only that.",
    ),
]
Prune = Annotated[
    bool | None,
    typer.Option(
        "--prune/--no-prune",
        help="Remove documents from the index that the corpus no longer contains. This is the "
        "default for a folder of texts, with its own passages; for another corpus it applies to "
        "every document that is not from a folder of texts.",
        show_default=False,
    ),
]
PassageTokens = Annotated[
    int | None,
    typer.Option(
        "--passage-tokens",
        min=1,
        metavar="N",
        help="Maximum length of a passage of a folder of texts, including its headings; by "
        "default what the model reads.",
    ),
]
Overlap = Annotated[
    int,
    typer.Option(
        "--overlap",
        min=0,
        metavar="N",
        help="Tokens that a passage may repeat from the previous one.",
    ),
]
VectorFile = Annotated[
    Path | None,
    typer.Option(
        "--vectors",
        metavar="FILE.npy",
        help="Import these vectors instead of encoding: row i belongs to document i of CORPUS. "
        "Some documents are encoded again, to check.",
    ),
]
EncoderName = Annotated[
    str | None,
    typer.Option(
        "--encoder",
        metavar="FOLDER|HUB_ID",
        help="The model that computed the vectors of --vectors.",
    ),
]


def index(
    corpus: CorpusPath = None,
    *,
    output: Output,
    model: IndexOrBundledModel = None,
    trust_remote_code: TrustRemoteCode = False,
    skip_bad: SkipBad = False,
    overwrite: Overwrite = False,
    optimize: Optimize = False,
    prune: Prune = None,
    passage_tokens: PassageTokens = None,
    overlap: Overlap = 0,
    vectors: VectorFile = None,
    encoder: EncoderName = None,
) -> None:
    """Build an index, add a corpus to one, or resume after an interruption.

    The whole corpus is checked before anything is written.
    A document replaces the one that has its id; an unchanged one costs nothing.
    """
    if corpus is None:
        if not optimize:
            raise Thought1Error("name a corpus to index, or give --optimize")
        others = (model, prune, passage_tokens, vectors, encoder)
        if skip_bad or overwrite or overlap or any(value is not None for value in others):
            raise Thought1Error("the options other than --optimize need a corpus to index")
        open_without_model(output).optimize()
        print_text(f"{output}: optimized")
        return
    check_folder(output)
    start = time.perf_counter()
    if (vectors is None) != (encoder is None):
        raise Thought1Error("--vectors and --encoder, the model that made them, belong together")
    if vectors is not None and (model is not None or skip_bad):
        raise Thought1Error(
            "with --vectors the model is --encoder, and no row may be skipped: leave --model and "
            "--skip-bad out"
        )
    wanted = _Wanted(
        output,
        model or encoder,
        trust_remote_code,
        skip_bad,
        overwrite,
        prune,
        passage_tokens,
        overlap,
        vectors,
    )
    target, summary = _build(corpus, wanted)
    if optimize:
        target.optimize()
    print_text(f"{output}: {summary}, {time.perf_counter() - start:.1f} s")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The options of one run."""

    output: Path
    model: str | None
    trust_remote_code: bool
    skip_bad: bool
    overwrite: bool
    prune: bool | None
    passage_tokens: int | None
    overlap: int
    vectors: Path | None


def _build(path: Path, wanted: _Wanted) -> tuple["Index", str]:
    """Check, open, add, remove; the index, and what became of the documents."""
    from thought1.data.formats import open_corpus

    corpus = open_corpus(path)
    if not corpus.is_text_folder and (wanted.passage_tokens or wanted.overlap):
        raise Thought1Error("--passage-tokens and --overlap need a folder of texts to split")
    if corpus.is_text_folder and wanted.vectors:
        raise Thought1Error("--vectors need a corpus of documents, not a folder of texts to split")
    checked = _check(corpus, wanted.skip_bad)
    given = GivenVectors(wanted.vectors, checked.documents) if wanted.vectors else None
    if wanted.prune and checked.skipped and not corpus.is_text_folder:
        raise Thought1Error(
            f"{checked.skipped} rows cannot be used, so that it is not known which documents are "
            "gone: correct these rows, or omit --prune"
        )
    target, loaded, corpus = _open(corpus, wanted, given)
    report, removed = _add(target, corpus, checked, wanted, given)
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
    target: "Index",
    corpus: "Corpus",
    checked: "ValidationReport",
    wanted: _Wanted,
    given: GivenVectors | None,
) -> tuple["AddReport", int | None]:
    """What was added, and how many documents were removed; None if none were to be."""
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
            if given is None:
                report = target.add(documents, on_progress=bar.update)
            else:
                report = target.add_encoded(given.chunks(documents), on_progress=bar.update)
        except KeyboardInterrupt:
            note("what has been indexed is kept; the same command resumes from there")
            raise
    if follower is None or not prune:
        return report, None
    return report, follower.remove(keep_unread=checked.skipped > 0)


def _check(corpus: "Corpus", skip_bad: bool) -> "ValidationReport":
    """Read everything once, before the first write."""
    from thought1.data.rows import BadRow

    with progress("check", None, "rows") as bar:

        def watched() -> "Iterator[Row | BadRow | PassedOver]":
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


def _open(
    corpus: "Corpus", wanted: _Wanted, given: GivenVectors | None
) -> tuple["Index", "Encoder", "Corpus"]:
    """The existing index with its model, or an empty one; and the corpus as it is read.

    Whatever can be wrong with model, lengths and given vectors is found before an index is made.
    """
    from thought1.index import Index

    folder = wanted.output
    if wanted.overwrite or not holds_something(folder):
        loaded = load_encoder(wanted.model, wanted.trust_remote_code)
        fitting = _fit(corpus, loaded, wanted, given)
        try:
            return Index.create(folder, loaded, overwrite=wanted.overwrite), loaded, fitting
        except Thought1Error:
            if wanted.overwrite or not holds_something(folder):
                raise
        # Made by another process in the meantime.
        return Index.open(folder, loaded), loaded, fitting
    try:
        Index.remembered(folder)
    except Thought1Error as error:
        raise Thought1Error(
            f"{error}; name a new folder, or give --overwrite to replace a broken index"
        ) from None
    index, loaded = open_index(folder, wanted.model, wanted.trust_remote_code)
    return index, loaded, _fit(corpus, loaded, wanted, given)


def _fit(
    corpus: "Corpus", model: "Encoder", wanted: _Wanted, given: GivenVectors | None
) -> "Corpus":
    """The corpus for this model: a folder of texts is split by the tokens of who will read it.

    Raises:
        Thought1Error: the passages are too long, or the given vectors are not the model's.
    """
    from thought1.data.formats import CorpusOptions, open_corpus
    from thought1.data.passages import Splitter

    if given is not None:
        given.check(corpus, model)
    if not corpus.is_text_folder:
        return corpus
    limit = model.document_room
    tokens = limit if wanted.passage_tokens is None else wanted.passage_tokens
    if tokens > limit:
        raise Thought1Error(
            f"--passage-tokens {tokens} is more than the {limit} tokens of a text that the model "
            "reads"
        )
    splitter = Splitter(tokens, wanted.overlap, model.spans)
    return open_corpus(corpus.path, options=CorpusOptions(splitter=splitter))
