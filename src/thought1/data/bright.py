"""BRIGHT's collections, from the hub or from a folder in the same layout.

It gives queries, gold and excluded ids, and a stream of documents. It knows neither models, nor
protocols, nor metrics (`thought1.evaluation.bright`). Layout and columns: the card of the data set
`xlangai/BRIGHT`; arXiv 2407.12883.

    subset = BrightSource("xlangai/BRIGHT").load("biology")
    subset.queries[0].gold, sum(1 for _ in subset.documents())
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from thought1.data.hashing import hash_file
from thought1.data.rows import quote, show_path
from thought1.types import Document, Qrels, Thought1Error

LONG = (
    "biology",
    "earth_science",
    "economics",
    "psychology",
    "robotics",
    "stackoverflow",
    "sustainable_living",
    "pony",
)
"""The subsets that have `long_documents`."""
SHORT = (*LONG[:7], "leetcode", "pony", "aops", "theoremqa_questions", "theoremqa_theorems")
"""All subsets, in the order of published tables."""
EXAMPLES = "examples"
"""The original queries."""
REASONED = (
    "Gemini-1.0_reason",
    "claude-3-opus_reason",
    "gpt4_reason",
    "grit_reason",
    "llama3-70b_reason",
)
"""The query sets in which a language model's reasoning replaces the query."""
NOTHING = "N/A"
"""The id that says that there is none."""

_BATCH_ROWS = 256  # rows of a Parquet file that are in memory at a time
_INSTRUCTIONS = Path(__file__).with_name("bright_instructions.json")


@dataclass(frozen=True, slots=True)
class BrightQuery:
    """One query, without the sentinel "N/A" among its ids."""

    id: str
    text: str
    gold: frozenset[str]
    excluded: frozenset[str]
    """Documents that must not be ranked for it, those that are not in the pool included."""


@dataclass(frozen=True, slots=True)
class BrightSubset:
    """One subset: short or long documents, and one query set."""

    name: str
    long: bool
    query_set: str
    queries: tuple[BrightQuery, ...]
    pool: frozenset[str]
    """The ids of all documents."""
    copies: Mapping[str, frozenset[str]]
    """Id -> the ids with the same content, itself included, outer white space not counted; an id
    whose content is unique has no entry."""
    missing_excluded: int
    """Pairs of a query and an excluded id that the pool lacks."""
    query_files: tuple[Path, ...]
    document_files: tuple[Path, ...]

    def documents(self) -> Iterator[Document]:
        """The documents in file order, some hundred in memory at a time."""
        for path in self.document_files:
            for row in _rows(path, {"id": False, "content": False}):
                yield Document(row["id"], row["content"])

    def qrels(self) -> Qrels:
        """Grade 1 for each gold id; a query without gold has no entry."""
        return {q.id: dict.fromkeys(sorted(q.gold), 1) for q in self.queries if q.gold}

    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file, by its place in the layout."""
        files = (*self.query_files, *self.document_files)
        return {f"{path.parent.name}/{path.name}": hash_file(path) for path in files}


@dataclass(frozen=True, slots=True)
class BrightSource:
    """Where the Parquet files are: a folder, or a hub id (owner/name)."""

    place: str
    revision: str | None = None
    """Of the hub's data set; a folder has none."""

    def check(self, subset: str, *, long: bool = False, queries: str = EXAMPLES) -> None:
        """Check what can fail early in `load`: the names, and the existence of a folder's files.

        Raises:
            Thought1Error: an unknown subset or query set, or a file is missing.
        """
        if subset not in SHORT:
            raise Thought1Error(f"BRIGHT has no subset {quote(subset)}; it has: {', '.join(SHORT)}")
        if long and subset not in LONG:
            raise Thought1Error(
                f"the subset {subset} has no long documents; these have: {', '.join(LONG)}"
            )
        if queries not in (EXAMPLES, *REASONED):
            known = ", ".join((EXAMPLES, *REASONED))
            raise Thought1Error(f"BRIGHT has no query set {quote(queries)}; it has: {known}")
        if Path(self.place).is_dir():
            for config in (queries, _documents(long)):
                _shards(Path(self.place), config, subset)

    def load(self, subset: str, *, long: bool = False, queries: str = EXAMPLES) -> BrightSubset:
        """Read the queries and check them against the ids of the pool.

        Raises:
            Thought1Error: an unknown subset or query set, a file or column is missing, an id
                occurs twice, a gold id is not in the pool or is excluded, or the hub cannot
                deliver.
        """
        self.check(subset, long=long, queries=queries)
        config = _documents(long)
        folder = self._folder([f"{name}/{subset}-*.parquet" for name in (queries, config)])
        query_files = _shards(folder, queries, subset)
        document_files = _shards(folder, config, subset)
        pool, copies = _read_pool(document_files)
        found = _read_queries(query_files, "gold_ids_long" if long else "gold_ids")
        _check_queries(found, pool, query_files[0])
        return BrightSubset(
            name=subset,
            long=long,
            query_set=queries,
            queries=found,
            pool=pool,
            copies=copies,
            missing_excluded=sum(len(query.excluded - pool) for query in found),
            query_files=query_files,
            document_files=document_files,
        )

    def _folder(self, patterns: Sequence[str]) -> Path:
        if Path(self.place).is_dir():
            return Path(self.place)
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", self.place):
            raise Thought1Error(f"{self.place}: no such folder, and not a hub id (owner/name)")
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        try:
            return Path(
                snapshot_download(
                    self.place,
                    repo_type="dataset",
                    revision=self.revision,
                    allow_patterns=list(patterns),
                )
            )
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise Thought1Error(
                f"{self.place}: no such folder here, and the hub could not deliver the data set "
                f"({reason})"
            ) from None


@cache
def _instructions() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(_INSTRUCTIONS.read_text(encoding="utf-8"))
    return content


def instruction_for(choice: str, subset: str, *, long: bool = False) -> str:
    """The sentence that a system is given with the queries of a subset.

    `choice` is "official", "generic" or "mteb" (bright_instructions.json), else the sentence.
    """
    sentences = _instructions().get(choice)
    if sentences is None:
        return choice
    sentence: str = sentences["long" if long else "short"][subset]
    return sentence


def _documents(long: bool) -> str:
    return "long_documents" if long else "documents"


def _shards(folder: Path, config: str, subset: str) -> tuple[Path, ...]:
    """The files of one subset: SUBSET-00000-of-00002.parquet and so on, all of them."""
    form = re.compile(rf"{subset}-[0-9]+-of-[0-9]+\.parquet")
    found = sorted(p for p in (folder / config).glob("*.parquet") if form.fullmatch(p.name))
    if not found:
        raise Thought1Error(f"{show_path(folder)} lacks {config}/{subset}-00000-of-00001.parquet")
    total = found[0].stem.rpartition("-")[2]
    expected = [f"{subset}-{i:05}-of-{total}.parquet" for i in range(int(total))]
    names = [path.name for path in found]
    if names != expected:
        missing = sorted(set(expected) ^ set(names))
        raise Thought1Error(
            f"{show_path(folder / config)} does not hold exactly the {int(total)} parts of "
            f"{subset}: see {missing[0]}"
        )
    return tuple(found)


def _read_pool(paths: Sequence[Path]) -> tuple[frozenset[str], dict[str, frozenset[str]]]:
    """All ids, and id -> ids of the same content where there are several."""
    ids: set[str] = set()
    same: dict[bytes, list[str]] = defaultdict(list)
    for path in paths:
        for row in _rows(path, {"id": False, "content": False}):
            name = row["id"]
            if name in ids:
                raise Thought1Error(f"{show_path(path)}: the id {quote(name)} occurs twice")
            ids.add(name)
            content = row["content"].strip().encode()
            same[hashlib.blake2b(content, digest_size=16).digest()].append(name)
    groups = [frozenset(group) for group in same.values() if len(group) > 1]
    return frozenset(ids), {name: group for group in groups for name in group}


def _read_queries(paths: Sequence[Path], gold: str) -> tuple[BrightQuery, ...]:
    columns = {"id": False, "query": False, "excluded_ids": True, gold: True}
    queries: dict[str, BrightQuery] = {}
    for path in paths:
        for row in _rows(path, columns):
            if row["id"] in queries:
                raise Thought1Error(f"{show_path(path)}: the id {quote(row['id'])} occurs twice")
            lists = (frozenset(row[name]) - {NOTHING} for name in (gold, "excluded_ids"))
            queries[row["id"]] = BrightQuery(row["id"], row["query"], *lists)
    return tuple(queries.values())


def _check_queries(queries: Sequence[BrightQuery], pool: frozenset[str], path: Path) -> None:
    if not any(query.gold for query in queries):
        raise Thought1Error(f"{show_path(path)} holds no query with a gold id")
    for query in queries:
        place = f"{show_path(path)}: query {quote(query.id)}"
        if unknown := sorted(query.gold - pool):
            raise Thought1Error(f"{place} has a gold id that the pool lacks: {quote(unknown[0])}")
        if both := sorted(query.gold & query.excluded):
            raise Thought1Error(f"{place} both excludes and seeks {quote(both[0])}")


def _rows(path: Path, columns: Mapping[str, bool]) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file; a column is a text, or (True) a list of texts, never null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    name, number = show_path(path), 0
    try:
        with pq.ParquetFile(path) as file:
            _check_schema(name, file.schema_arrow, columns)
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=list(columns)):
                for row in batch.to_pylist():
                    number += 1
                    for column, listed in columns.items():
                        value = row[column]
                        if value is None or (listed and None in value):
                            raise Thought1Error(f"{name}: row {number}: {column} is null")
                    yield row
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise Thought1Error(f"{name} cannot be read as Parquet: {error}") from error


def _check_schema(name: str, schema: Any, columns: Mapping[str, bool]) -> None:
    import pyarrow.types as kinds

    for column, listed in columns.items():
        if column not in schema.names:
            raise Thought1Error(f"{name} has no column {column}; it has: {', '.join(schema.names)}")
        kind = schema.field(column).type
        if listed and (kinds.is_list(kind) or kinds.is_large_list(kind)):
            kind, listed = kind.value_type, False
        if listed or not (kinds.is_string(kind) or kinds.is_large_string(kind)):
            wanted = "lists of texts" if columns[column] else "texts"
            found = schema.field(column).type
            raise Thought1Error(f"{name}: the column {column} must hold {wanted}, not {found}")
