"""The default store: LanceDB, which keeps documents, vectors and BM25 index in one folder.

Knows neither model nor prompts nor fusion. One table; each write is one commit, which a kill of
the process leaves whole or undone; several processes may read and write (lance_commits.py), and
every read sees the latest commit.

The store's `info` lives in the table's schema metadata: it is written by the same commit as the
table, is part of every version, and so can neither be lost nor be out of step with the data.

BM25 is Lucene's (k1 = 1.2, b = 0.75) over title and text; what a word is, `word_index` says. An
index that an earlier version of this program made keeps the analysis that it was made with.
Rows added since the last `optimize` are found too, by a scan; where indexed and new rows meet,
their scores use the statistics of each part, so rankings are exact again after `optimize`.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from lancedb.index import BTree, IvfFlat

from thought1.store.lance_commits import (
    alone,
    ensure_key,
    reason,
    remove_doubles,
    retrying,
    unusable,
)
from thought1.store.lance_connection import connect
from thought1.store.lance_filter import quote, to_sql, unmet
from thought1.store.lance_rows import (
    document_columns,
    rewrites,
    schema,
    to_arrow,
    to_document,
    to_rows,
    to_vectors,
)
from thought1.store.lance_search import matching, nearest, partitions
from thought1.store.lance_words import word_index
from thought1.store.search_text import search_text
from thought1.types import (
    DiskFull,
    Document,
    Filter,
    IndexUnavailable,
    Metadata,
    Ranking,
    StoredRow,
    Thought1Error,
    Vectors,
)

EXACT_LIMIT = 100_000
"""Up to this many documents every vector is compared: about 50 ms at 384 dimensions."""

_TABLE = "documents"
_FOLDER = f"{_TABLE}.lance"
_VECTOR_INDEX = "vector_ivf"
_INFO = b"thought1"
_BLOCK = 1000
"""Ids in one SQL expression."""
_UNINDEXED_IDS = 100_000
"""Rows written by one handle after which the index of ids is made again: to look ids up among
rows that it lacks means to read them all."""
_QUERIES = 64
"""Query vectors in one scan."""

_FAULTY = ("Error parsing statement", "Schema error", "Error during planning")
"""What LanceDB says of a query that no table could answer."""

T = TypeVar("T")


class LanceStore:
    """A `Store` in a local folder. Make one with `LanceStore.create` or `LanceStore.open`."""

    def __init__(self, table: Any, path: Path) -> None:
        self._table = table
        self._path = path
        metadata = table.schema.metadata or {}
        if _INFO not in metadata:
            raise Thought1Error(f"{path} is a LanceDB folder, but not an index of Thought 1")
        self._info: dict[str, Any] = json.loads(metadata[_INFO])
        self._columns: pa.Schema = table.schema
        self._dim: int = table.schema.field("vector").type.list_size
        self._unindexed_ids = 0
        self.exact_limit = EXACT_LIMIT
        self._retrying(self._ensure_indexes)

    @classmethod
    def create(
        cls, path: Path, dim: int, info: Mapping[str, Any], *, overwrite: bool = False
    ) -> "LanceStore":
        """An empty store for vectors of `dim` dimensions; missing folders are made.

        With `overwrite`, an existing store is replaced in one commit. A failure leaves
        nothing; a kill leaves a folder without a store, in which it can be repeated.

        Raises:
            Thought1Error: the path holds a store already (and not `overwrite`), or other files.
        """
        _refuse_other_content(path)
        made = next((p for p in [*reversed(path.parents), path] if not p.exists()), None)
        columns = schema(dim).with_metadata({_INFO: json.dumps(dict(info)).encode()})
        mode = "overwrite" if overwrite else "create"
        try:
            # LanceDB alone lets two creations at the same time replace one another.
            with alone(path):
                table = connect(path).create_table(_TABLE, schema=columns, mode=mode)
            return cls(table, path)
        except BaseException as error:
            # Another process may have made a store here in the meantime: leave that alone.
            if made is not None and not any(path.glob(f"{_FOLDER}/_versions/*.manifest")):
                shutil.rmtree(made, ignore_errors=True)
            if isinstance(error, ValueError) and "already exists" in str(error):
                raise Thought1Error(
                    f"there is an index at {path} already: open it to add to it, or replace it "
                    "with overwrite=True"
                ) from error
            if isinstance(error, DiskFull):
                raise
            if isinstance(error, OSError | RuntimeError | IndexUnavailable):
                raise Thought1Error(f"no index can be made at {path}: {reason(error)}") from error
            raise

    @classmethod
    def open(cls, path: Path) -> "LanceStore":
        """The store at `path`.

        Raises:
            Thought1Error: there is none, or it cannot be read.
        """
        if not path.is_dir():
            raise Thought1Error(f"there is no index at {path}")
        # Where there is none yet, another process may be making it: wait for that.
        made = any(path.glob(f"{_FOLDER}/_versions/*.manifest"))
        try:
            with nullcontext() if made else alone(path):
                if not (path / _FOLDER).is_dir():
                    raise Thought1Error(f"there is no index at {path}")
                table = connect(path).open_table(_TABLE)
        except ValueError as error:
            raise Thought1Error(
                f"there is no index at {path}, only the rest of an interrupted creation: create "
                "it again, with overwrite=True"
            ) from error
        except (OSError, RuntimeError) as error:
            raise IndexUnavailable(
                f"the index at {path} cannot be read: {reason(error)}"
            ) from error
        return cls(table, path)

    @property
    def info(self) -> Mapping[str, Any]:
        """What was given as `info` when the store was created."""
        return self._info

    def upsert(self, rows: Sequence[StoredRow]) -> None:
        """Add rows in one commit; a row whose id exists replaces it, the last one wins.

        Of writers at the same time, the one that commits last wins.

        Raises:
            Thought1Error: text that is not valid Unicode, metadata that cannot be stored.
            ValueError: vectors of another dimension than the store's.
        """
        unique = list({row.document.id: row for row in rows}.values())
        if unique:
            self._retrying(ensure_key, self._table)
            merge = self._table.merge_insert("id").when_matched_update_all()
            merge = merge.when_not_matched_insert_all()
            # A merge that commits during a compaction may store an id twice.
            with alone(self._path):
                self._retrying(merge.execute, to_arrow(unique, self._columns))
            self._unindexed_ids += len(unique)
        if self._unindexed_ids >= _UNINDEXED_IDS:
            self._retrying(self._index_ids)
            self._unindexed_ids = 0

    def delete(self, ids: Sequence[str]) -> int:
        """Remove documents; returns how many existed."""
        deleted = (self._retrying(self._table.delete, some) for some in _among(ids))
        return sum(result.num_deleted_rows for result in deleted)

    def count(self) -> int:
        """Number of documents."""
        rows: int = self._retrying(self._table.count_rows)
        return rows

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """Content hash of each of `ids` that is stored."""
        return {row["id"]: row["content_hash"] for row in self._rows(ids, ["id", "content_hash"])}

    def get(self, ids: Sequence[str]) -> dict[str, Document]:
        """The stored documents among `ids`."""
        return {
            row["id"]: to_document(row) for row in self._rows(ids, document_columns(self._columns))
        }

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """The vector (d,) of each of `ids` that is stored, as it was given."""
        found: dict[str, Vectors] = {}
        for some in _among(ids):
            table = self._retrying(self._found, some, ["id", "vector"])
            found.update(zip(table["id"].to_pylist(), to_vectors(table, self._dim), strict=True))
        return found

    def scan(self, batch_size: int = 1000) -> Iterator[list[StoredRow]]:
        """Every row once, at most `batch_size` at a time, in no particular order.

        The rows are those of the moment at which it begins.
        """
        columns = [*document_columns(self._columns), "content_hash", "vector"]
        for batch in self._retrying(
            lambda: self._table.search().select(columns).to_batches(batch_size)
        ):
            yield to_rows(batch, self._dim)

    def metadata(self) -> dict[str, Metadata]:
        """Id and metadata of every document."""
        rows = self._retrying(self._found, None, ["id", "metadata"]).to_pylist()
        return {row["id"]: json.loads(row["metadata"]) for row in rows}

    def search_dense(self, vectors: Vectors, k: int, where: Filter | None = None) -> list[Ranking]:
        """The k documents of highest cosine similarity, for each row of `vectors` (n, d).

        Exact up to `exact_limit` documents, before `optimize`, and always with a filter.

        Raises:
            Thought1Error: the filter is wrong, or no document has one of its fields.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self._dim:
            raise ValueError(f"vectors of shape {vectors.shape}, not (n, {self._dim})")
        condition = self._condition(k, where)
        rankings: list[Ranking] = []
        for start in range(0, len(vectors), _QUERIES):
            block = vectors[start : start + _QUERIES]
            rankings += self._retrying(nearest, self._table, block, k, condition)
        return self._checked(rankings, where)

    def search_bm25(
        self,
        queries: Sequence[str],
        k: int,
        where: Filter | None = None,
        among: Sequence[str] | None = None,
    ) -> list[Ranking]:
        """The k best documents by BM25 over title and text, for each query.

        A query is plain words, no syntax; one without any indexable word finds nothing.

        Args:
            among: only documents with these ids, with the scores that they have among all.

        Raises:
            Thought1Error: the filter is wrong, or no document has one of its fields.
        """
        condition = self._condition(k, where)
        if rewrites(self._columns):
            queries = [search_text(query) for query in queries]
        if among is not None:
            return self._among_them(queries, k, condition, among)
        rankings = [self._retrying(matching, self._table, query, k, condition) for query in queries]
        return self._checked(rankings, where)

    def _among_them(
        self, queries: Sequence[str], k: int, condition: str, among: Sequence[str]
    ) -> list[Ranking]:
        if not among:
            return [[] for _ in queries]
        if self._all_words_indexed():
            both = " AND ".join(f"({each})" for each in (condition, _one_of(among)) if each)
            return [self._retrying(matching, self._table, query, k, both) for query in queries]
        # Rows that no index knows yet are scored against those alone that meet the condition.
        some, everything = set(among), max(1, self.count())
        found = (
            self._retrying(matching, self._table, query, everything, condition) for query in queries
        )
        return [[one for one in ranking if one[0] in some][:k] for ranking in found]

    def _all_words_indexed(self) -> bool:
        names = [index.name for index in self._table.list_indices() if "body" in index.columns]
        stats = [self._table.index_stats(name) for name in names]
        return any(found is not None and not found.num_unindexed_rows for found in stats)

    def optimize(self) -> None:
        """Compact, refresh the BM25 index and, above `exact_limit`, build the vector index.

        Of an id that an earlier version of this program stored twice the last row stays. The space
        of replaced and deleted rows is freed. Others may read meanwhile; writers of this machine
        wait while it compacts.
        """
        self._retrying(ensure_key, self._table)
        self._retrying(remove_doubles, self._table)
        self._retrying(self._drop_stale_index)
        with alone(self._path):
            self._retrying(self._compact)
        if self.count() > self.exact_limit:
            self._retrying(self._index_vectors)

    def _drop_stale_index(self) -> None:
        # Rebuilt rather than extended: its partitions fit the rows it was made from. Until
        # then, and if a kill comes in between, search is exact.
        stats = self._table.index_stats(_VECTOR_INDEX)
        if stats is not None and stats.num_unindexed_rows > 0:
            self._table.drop_index(_VECTOR_INDEX)

    def _compact(self) -> None:
        # This may remove what a reader is reading, who then finds the latest version by trying
        # again (_retrying). Not 0, of which LanceDB warns.
        self._table.optimize(cleanup_older_than=timedelta(milliseconds=1))

    def _index_vectors(self) -> None:
        if self._table.index_stats(_VECTOR_INDEX) is None:
            config = IvfFlat(
                distance_type="cosine",
                num_partitions=partitions(self._table.count_rows()),
                # By default 256 rows for each partition. Where rows were deleted, LanceDB draws
                # them one by one, which takes longer than all the rest.
                sample_rate=64,
            )
            self._table.create_index("vector", config=config, name=_VECTOR_INDEX)

    def _index_ids(self) -> None:
        self._table.create_index("id", config=BTree(), replace=True)

    def _ensure_indexes(self) -> None:
        # On creation, and on opening where a kill came between the table and its indexes.
        present = {column for index in self._table.list_indices() for column in index.columns}
        if "id" not in present:
            self._index_ids()
        if "body" not in present:
            self._table.create_index("body", config=word_index())

    def _retrying(self, operation: Callable[..., T], *arguments: object) -> T:
        try:
            return retrying(self._path, operation, *arguments)
        except ValueError as error:
            if self._faulty(error):
                raise
            raise unusable(self._path, error) from error

    def _faulty(self, error: ValueError) -> bool:
        """Whether a query is to blame, and not a damaged table, which lacks columns as well."""
        if not any(words in str(error) for words in _FAULTY):
            return False
        try:
            names: list[str] = retrying(self._path, lambda: self._table.schema.names)
        except ValueError:
            return False
        return names == list(self._columns.names)

    def _condition(self, k: int, where: Filter | None) -> str:
        if k < 1:
            raise ValueError(f"k is a number of documents, 1 or more, not {k}")
        return to_sql(where) if where else ""

    def _checked(self, rankings: list[Ranking], where: Filter | None) -> list[Ranking]:
        """Nothing found may mean a misspelt field or another kind of values: that is said."""
        if where and not any(rankings) and self.count():
            for condition, problem in unmet(where):
                if not self._retrying(self._table.count_rows, condition):
                    raise Thought1Error(problem)
        return rankings

    def _rows(self, ids: Sequence[str], columns: list[str]) -> Iterator[dict[str, Any]]:
        for some in _among(ids):
            yield from self._retrying(self._found, some, columns).to_pylist()

    def _found(self, condition: str | None, columns: list[str]) -> pa.Table:
        """These columns of the rows, a block at most where there is a condition."""
        search = self._table.search().select(columns)
        return (search if condition is None else search.where(condition).limit(_BLOCK)).to_arrow()


def _refuse_other_content(path: Path) -> None:
    if path.exists() and (not path.is_dir() or any(p.name != _FOLDER for p in path.iterdir())):
        raise Thought1Error(f"{path} contains something other than an index; choose another folder")


def _among(ids: Sequence[str]) -> Iterator[str]:
    """SQL for "id is one of these", block by block."""
    unique = list(dict.fromkeys(ids))
    for start in range(0, len(unique), _BLOCK):
        yield _one_of(unique[start : start + _BLOCK])


def _one_of(ids: Sequence[str]) -> str:
    return f"id IN ({', '.join(map(quote, ids))})"
