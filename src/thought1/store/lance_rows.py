"""Documents as rows of a LanceDB table and back. Knows no table and no search."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from thought1.store.lance_commits import id_field
from thought1.store.lance_filter import COLUMN, filterable
from thought1.store.search_text import search_text
from thought1.types import Document, StoredRow, Thought1Error, Vectors

_TEXT = "text"
"""Tables made before this column exists index texts as they are given."""


def document_columns(columns: pa.Schema) -> list[str]:
    """The columns that `to_document` reads, of a table with these."""
    return [name for name in ("id", "title", "body", _TEXT, "metadata") if name in columns.names]


def rewrites(columns: pa.Schema) -> bool:
    """Whether a table indexes its words as `search_text` writes them."""
    return _TEXT in columns.names


def schema(dim: int) -> pa.Schema:
    """The columns, for vectors of `dim` dimensions."""
    return pa.schema(
        [
            id_field(),
            pa.field("title", pa.string()),
            # Title, line break, text, as search_text writes them: what BM25 indexes, so that it
            # is one BM25 over both. The text is cut from it again, to be stored once.
            pa.field("body", pa.string()),
            pa.field(_TEXT, pa.string()),  # as the user gave it, where that is not in the body
            pa.field("vector", pa.list_(pa.float32(), dim)),
            pa.field("content_hash", pa.string()),
            pa.field("metadata", pa.string()),  # as the user gave it
            pa.field(COLUMN, pa.json_()),  # the same, to be filtered on
        ]
    )


def to_arrow(rows: Sequence[StoredRow], columns: pa.Schema) -> pa.Table:
    """One row per document, in their order, for a table with these columns.

    Raises:
        Thought1Error: text that is not valid Unicode, metadata that cannot be stored.
        ValueError: a vector is not of the table's dimension.
    """
    dim = columns.field("vector").type.list_size
    vectors = np.asarray([row.vector for row in rows], dtype=np.float32)
    if vectors.shape != (len(rows), dim):
        raise ValueError(f"vectors of shape {vectors.shape}, not {(len(rows), dim)}")
    documents = [row.document for row in rows]
    given = [f"{d.title}\n{d.text}" for d in documents]
    bodies = [search_text(body) for body in given] if rewrites(columns) else given
    try:
        texts = {
            COLUMN: [filterable(d) for d in documents],  # first: it checks the metadata
            "id": [d.id for d in documents],
            "title": [d.title for d in documents],
            "body": bodies,
            _TEXT: [
                None if body == whole else d.text
                for d, body, whole in zip(documents, bodies, given, strict=True)
            ],
            "content_hash": [row.content_hash for row in rows],
            "metadata": [json.dumps(dict(d.metadata), ensure_ascii=False) for d in documents],
        }
        arrays = {name: pa.array(values, pa.string()) for name, values in texts.items()}
    except UnicodeEncodeError as error:
        raise Thought1Error(f"a document holds text that is not valid Unicode: {error}") from error
    arrays[COLUMN] = pa.ExtensionArray.from_storage(pa.json_(), arrays[COLUMN])
    arrays["vector"] = pa.FixedSizeListArray.from_arrays(vectors.ravel(), dim)
    # not `columns` itself, in which LanceDB gives JSON as the bytes that it keeps
    wanted = pa.schema([field for field in schema(dim) if field.name in columns.names])
    return pa.table([arrays[name] for name in wanted.names], schema=wanted)


def to_document(row: Mapping[str, Any]) -> Document:
    """The document of a row that has `document_columns`."""
    text = row.get(_TEXT)
    if text is None:
        # Earlier versions stored a missing title as "None".
        text = row["body"][len(str(row["title"])) + 1 :]
    return Document(row["id"], text, row["title"] or "", json.loads(row["metadata"]))


def to_vectors(table: pa.Table | pa.RecordBatch, dim: int) -> Vectors:
    """The column of vectors, (n, dim)."""
    column = table["vector"]
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in chunks]
    return np.concatenate([np.zeros(0, np.float32), *parts]).reshape(-1, dim)


def to_rows(batch: pa.RecordBatch, dim: int) -> list[StoredRow]:
    """The rows of a batch that has `document_columns`, content hash and vector."""
    fields = batch.drop_columns(["vector"]).to_pylist()
    return [
        StoredRow(to_document(row), vector, row["content_hash"])
        for row, vector in zip(fields, to_vectors(batch, dim), strict=True)
    ]
