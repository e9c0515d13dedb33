"""Documents as rows of a LanceDB table and back. Knows no table and no search."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from thought1.store.lance_filter import COLUMN, filterable
from thought1.types import Document, StoredRow, Thought1Error, Vectors

COLUMNS = ["id", "title", "body", "metadata"]
"""What `to_document` reads."""


def schema(dim: int) -> pa.Schema:
    """The columns, for vectors of `dim` dimensions."""
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("title", pa.string()),
            # Title, line break, text: what BM25 indexes, so that it is one BM25 over both. The
            # text is cut from it again, to be stored once.
            pa.field("body", pa.string()),
            pa.field("vector", pa.list_(pa.float32(), dim)),
            pa.field("content_hash", pa.string()),
            pa.field("metadata", pa.string()),  # as the user gave it
            pa.field(COLUMN, pa.json_()),  # the same, to be filtered on
        ]
    )


def to_arrow(rows: Sequence[StoredRow], dim: int) -> pa.Table:
    """One row per document, in their order.

    Raises:
        Thought1Error: text that is not valid Unicode, metadata that cannot be stored.
        ValueError: a vector is not of shape (dim,).
    """
    vectors = np.asarray([row.vector for row in rows], dtype=np.float32)
    if vectors.shape != (len(rows), dim):
        raise ValueError(f"vectors of shape {vectors.shape}, not {(len(rows), dim)}")
    documents = [row.document for row in rows]
    try:
        texts = {
            COLUMN: [filterable(d) for d in documents],  # first: it checks the metadata
            "id": [d.id for d in documents],
            "title": [d.title for d in documents],
            "body": [f"{d.title}\n{d.text}" for d in documents],
            "content_hash": [row.content_hash for row in rows],
            "metadata": [json.dumps(dict(d.metadata), ensure_ascii=False) for d in documents],
        }
        columns = {name: pa.array(values, pa.string()) for name, values in texts.items()}
    except UnicodeEncodeError as error:
        raise Thought1Error(f"a document holds text that is not valid Unicode: {error}") from error
    columns[COLUMN] = pa.ExtensionArray.from_storage(pa.json_(), columns[COLUMN])
    columns["vector"] = pa.FixedSizeListArray.from_arrays(vectors.ravel(), dim)
    return pa.table(columns, schema=schema(dim))


def to_document(row: Mapping[str, Any]) -> Document:
    """The document of a row that has COLUMNS."""
    title = row["title"]
    text = row["body"][len(title) + 1 :]
    return Document(row["id"], text, title, json.loads(row["metadata"]))


def to_vectors(table: pa.Table | pa.RecordBatch, dim: int) -> Vectors:
    """The column of vectors, (n, dim)."""
    column = table["vector"]
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in chunks]
    return np.concatenate([np.zeros(0, np.float32), *parts]).reshape(-1, dim)


def to_rows(batch: pa.RecordBatch, dim: int) -> list[StoredRow]:
    """The rows of a batch that has COLUMNS, content hash and vector."""
    fields = batch.select([*COLUMNS, "content_hash"]).to_pylist()
    return [
        StoredRow(to_document(row), vector, row["content_hash"])
        for row, vector in zip(fields, to_vectors(batch, dim), strict=True)
    ]
