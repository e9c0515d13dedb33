"""`t1 embed`: texts become vectors in a file. No index is involved.

Text or JSON lines in, NumPy or JSON lines out:

    t1 embed --type document --input facts.jsonl --output facts.npy
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import typer

from thought1.cli.console import print_text, progress
from thought1.cli.models import load_model, think_greedily
from thought1.cli.options import Budget, BundledModel, NoThink, TrustRemoteCode, thought_budget
from thought1.cli.questions import stdin_lines
from thought1.cli.vectors import vector_file
from thought1.types import Document, Thought1Error, Vectors

if TYPE_CHECKING:
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
            help='A .jsonl file of {"_id", "text"}, or a file with one text per line; - is stdin.',
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
        typer.Option("--type", help="What the texts are: questions, or texts to be found."),
    ],
    think: Budget = None,
    no_think: NoThink = False,
    model: BundledModel = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Embed texts; the output file appears whole or not at all."""
    budget = thought_budget(think, no_think)
    if kind == "document" and budget is not None:
        raise Thought1Error("documents are not thought about: drop --think and --no-think")
    if source != "-" and not Path(source).is_file():
        raise Thought1Error(f"{source} is no file; --input takes a file, or - for stdin")
    t1 = load_model(model, trust_remote_code)
    think_greedily(t1)
    rows = 0
    with vector_file(output, t1.dim) as write, progress("embed", None, "texts") as bar:
        for texts, vectors in _encode(t1, _read(source, kind), kind, budget):
            write([text.id for text in texts], vectors)
            rows += len(texts)
            bar.update(len(texts))
    print_text(f"{output}: {rows} vectors of {t1.dim} dimensions")


def _read(source: str, kind: Kind) -> Iterator[Document]:
    """The texts, with their ids or else their line numbers; a bad line is an error."""
    from thought1.data.formats import read_queries
    from thought1.data.jsonl import read_jsonl
    from thought1.data.rows import DEFAULT_OPTIONS, BadRow, read_lines

    path = Path(source)
    if source == "-":
        yield from (Document(str(n), text) for n, text in enumerate(stdin_lines(), start=1))
    elif not path.name.endswith((".jsonl", ".jsonl.gz")):
        for number, line in enumerate(read_lines(path, DEFAULT_OPTIONS.max_line_bytes), start=1):
            if isinstance(line, BadRow):
                raise line
            yield Document(str(number), line.text.rstrip("\r\n"))
    elif kind == "query":
        yield from (Document(query.id, query.text) for query in read_queries(path))
    else:
        for row in read_jsonl(path, DEFAULT_OPTIONS):
            if isinstance(row, BadRow):
                raise row
            yield row.document


def _encode(
    t1: "T1", texts: Iterator[Document], kind: Kind, budget: int | None
) -> Iterator[tuple[list[Document], Vectors]]:
    """Texts in their order with their vectors (n, d), some at a time."""
    if kind == "document":
        yield from t1.encode_document_stream(texts)
        return
    while batch := list(islice(texts, _BATCH)):
        vectors = t1.encode_query([text.text for text in batch], budget=budget)
        yield batch, np.asarray(vectors)
