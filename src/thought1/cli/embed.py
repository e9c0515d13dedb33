"""`t1 embed`: texts become vectors in a file. No index is involved.

Plain text or any file that `t1 index` reads in, NumPy or JSON lines out:

    t1 embed --type document --input facts.jsonl --output facts.npy
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import typer

from thought1.cli.console import print_text, progress
from thought1.cli.models import load_model
from thought1.cli.options import Budget, BundledModel, NoThink, TrustRemoteCode, thought_budget
from thought1.cli.questions import stdin_lines
from thought1.cli.vectors import check_vector_file, vector_file
from thought1.types import Document, Thought1Error, Vectors

if TYPE_CHECKING:
    from thought1.data.corpus import Corpus
    from thought1.t1 import T1

Kind = Literal["query", "document"]

_BATCH = 256
"""Queries that are embedded at a time."""


def embed(
    *,
    source: Annotated[
        str,
        typer.Option(
            "--input",
            metavar="FILE|-",
            help='A .jsonl, .ndjson, .csv, .tsv (also .gz) or .parquet file of "_id" and "text", '
            "or a .txt file with one text per line, as on stdin (-).",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help='.npy: one row per text, in their order; .jsonl: lines of {"_id", "vector"}.',
        ),
    ],
    kind: Annotated[
        Kind,
        typer.Option("--type", help="Whether the texts are queries or documents."),
    ],
    think: Budget = None,
    no_think: NoThink = False,
    model: BundledModel = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Embed texts; the output file is written atomically."""
    budget = thought_budget(think, no_think)
    if kind == "document" and budget is not None:
        raise Thought1Error("documents are encoded without thinking: drop --think and --no-think")
    if source != "-" and not Path(source).is_file():
        raise Thought1Error(f"{source} is not a file; --input takes a file, or - for stdin")
    check_vector_file(output)
    texts = _read(source, kind)
    t1 = load_model(model, trust_remote_code)
    rows = 0
    with vector_file(output, t1.dim) as write, progress("embed", None, "texts") as bar:
        for some, vectors in _encode(t1, texts, kind, budget):
            write([text.id for text in some], vectors)
            rows += len(some)
            bar.update(len(some))
    print_text(f"{output}: {rows} vectors of {t1.dim} dimensions")


def _read(source: str, kind: Kind) -> Iterator[Document]:
    """The texts, with their ids or else their line numbers; a bad line is an error."""
    from thought1.data.files import find_reader
    from thought1.data.formats import open_corpus, read_queries
    from thought1.data.plain import read_plain

    path = Path(source)
    if source == "-" or not find_reader(path):
        lines = stdin_lines() if source == "-" else read_plain(path)
        return (Document(str(number), text) for number, text in enumerate(lines, start=1))
    if kind == "query":
        return (Document(query.id, query.text) for query in read_queries(path))
    return _documents(open_corpus(path))


def _documents(corpus: "Corpus") -> Iterator[Document]:
    """All of them, whether an id is given twice or not."""
    from thought1.data.rows import Row

    for row in corpus.source():
        if isinstance(row, Thought1Error):
            raise row
        if isinstance(row, Row):
            yield row.document


def _encode(
    t1: "T1", texts: Iterator[Document], kind: Kind, budget: int | None
) -> Iterator[tuple[list[Document], Vectors]]:
    """Texts in their order with their vectors (n, d), some at a time."""
    if kind == "document":
        yield from t1.encode_document_stream(texts)
        return
    while batch := list(islice(texts, _BATCH)):
        queries = [text.text for text in batch]
        vectors = t1.encode_query(queries, budget=budget, sampling=t1.greedy)
        yield batch, np.asarray(vectors)
