"""Index: documents with their vectors, bound to the model that made them.

Knows how a store and a model work together, and the contracts of both; neither how vectors are
computed nor how they are kept.

    index = Index.create("facts.index", T1.from_pretrained())
    index.add(documents)
    index.search("Why do ice cubes crack in warm water?", k=10).hits
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol, overload

from thought1.registry import store_type
from thought1.search.pipeline import Mode, SearchOptions, Thinker, search_many
from thought1.store.writer import AddReport, Writer
from thought1.types import (
    Document,
    Filter,
    Metadata,
    Receipt,
    SearchResult,
    Store,
    Thought,
    Thought1Error,
    Vectors,
)

FORMAT = 1
"""Version of what an index is on disk; a program refuses an index of a later one."""

STORE = "lance"


class IndexModel(Thinker, Protocol):
    """What an index needs of a model; `T1` is one."""

    @property
    def dim(self) -> int:
        """Dimension d of the vectors."""

    @property
    def name(self) -> str:
        """The folder or hub id it was loaded from."""

    @property
    def weights_hash(self) -> str:
        """Changes with the weights."""

    @property
    def templates_hash(self) -> str:
        """Changes with whatever else decides a vector."""

    def encode_document_stream(
        self, documents: Iterable[Document]
    ) -> Iterator[tuple[list[Document], Vectors]]:
        """Chunks of the documents, in their order, with their vectors (n, d)."""


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What an index remembers about itself."""

    format: int
    model: str
    weights_hash: str
    templates_hash: str
    dim: int
    thought1_version: str
    created: str
    """Time of creation, ISO 8601, UTC."""


class Index:
    """A store and the model it belongs to. Make one with `Index.create` or `Index.open`."""

    def __init__(self, path: Path, model: IndexModel, store: Store, info: IndexInfo) -> None:
        self.path = path
        self.model = model
        self.info = info
        self._store = store
        self._writer = Writer(store, model.encode_document_stream)

    @classmethod
    def create(cls, path: str | Path, model: IndexModel, *, overwrite: bool = False) -> "Index":
        """An empty index in the folder `path`, which is made where it is missing.

        Raises:
            Thought1Error: there is an index already (and not `overwrite`), or something else.
        """
        info = IndexInfo(
            format=FORMAT,
            model=model.name,
            weights_hash=model.weights_hash,
            templates_hash=model.templates_hash,
            dim=model.dim,
            thought1_version=_version(),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        folder = Path(path)
        store = store_type(STORE).create(folder, model.dim, asdict(info), overwrite=overwrite)
        return cls(folder, model, store, info)

    @classmethod
    def open(cls, path: str | Path, model: IndexModel) -> "Index":
        """The index at `path`, which must have been made with `model`.

        Raises:
            Thought1Error: no index there, one of a later format, or another model is needed.
        """
        folder = Path(path)
        store = store_type(STORE).open(folder)
        info = _read_info(store, folder)
        differing = [
            word
            for word, needed, given in [
                ("dimension", info.dim, model.dim),
                ("weights", info.weights_hash, model.weights_hash),
                ("templates", info.templates_hash, model.templates_hash),
            ]
            if needed != given
        ]
        if differing:
            raise Thought1Error(
                f"the index at {folder} needs the model {info.model!r} that it was made with; "
                f"{model.name!r} differs in {' and '.join(differing)}. Open it with that model, "
                "or make a new index with this one"
            )
        return cls(folder, model, store, info)

    @staticmethod
    def remembered(path: str | Path) -> IndexInfo:
        """What the index at `path` knows about itself, which model it needs included.

        Raises:
            Thought1Error: no index there, or one of a later format.
        """
        return _read_info(store_type(STORE).open(Path(path)), Path(path))

    def add(
        self, documents: Iterable[Document], *, on_progress: Callable[[int], None] | None = None
    ) -> AddReport:
        """Encode documents and store them; an id that is there already is replaced.

        Documents that are stored with the same title, text and metadata are not encoded again:
        an interrupted run is resumed by running it again. Memory does not grow with the number
        of documents. After many additions, `optimize` makes BM25 fast again.

        Args:
            on_progress: called with the number of documents done since the last call; they are
                on disk then.

        Raises:
            Thought1Error: a text is not valid Unicode, or metadata cannot be stored. What was
                written before stays.
        """
        return self._writer.add(documents, on_progress)

    def delete(self, ids: Sequence[str]) -> int:
        """Remove documents; returns how many existed."""
        return self._store.delete(ids)

    def metadata(self) -> Mapping[str, Metadata]:
        """Id and metadata of every document, without its text; all of it in memory."""
        return self._store.metadata()

    def __len__(self) -> int:
        """Number of documents."""
        return self._store.count()

    def optimize(self) -> None:
        """Compact the folder, refresh the BM25 index and, above a size, build a vector index.

        The vector index makes dense search approximate; a search with a filter stays exact.
        """
        self._store.optimize()

    @overload
    def search(
        self,
        query: str,
        k: int = 10,
        *,
        mode: Mode = "hybrid",
        think: int | None = None,
        where: Filter | None = None,
        thoughts: Sequence[Thought] | None = None,
    ) -> SearchResult: ...

    @overload
    def search(
        self,
        query: list[str] | tuple[str, ...],
        k: int = 10,
        *,
        mode: Mode = "hybrid",
        think: int | None = None,
        where: Filter | None = None,
        thoughts: Sequence[Thought] | None = None,
    ) -> list[SearchResult]: ...

    def search(
        self,
        query: str | list[str] | tuple[str, ...],
        k: int = 10,
        *,
        mode: Mode = "hybrid",
        think: int | None = None,
        where: Filter | None = None,
        thoughts: Sequence[Thought] | None = None,
    ) -> SearchResult | list[SearchResult]:
        """The k best documents: one result for one question, a list for several.

        Args:
            mode: "hybrid", "dense" or "bm25" (`SearchOptions.mode`).
            think: most tokens of a thought; None is the model's own budget, 0 is not thinking.
            where: conditions on metadata, such as `{"lang": "en", "year": {"gte": 1990}}`.
            thoughts: one per question, with their vectors: search with these, think no new ones.

        Raises:
            Thought1Error: a value is out of range, or the filter is wrong.
        """
        single = isinstance(query, str)
        queries = [query] if isinstance(query, str) else query
        options = SearchOptions(k, mode, think, where)
        results, _ = self.search_many(queries, options, thoughts)
        return results[0] if single else results

    def search_many(
        self,
        queries: Sequence[str],
        options: SearchOptions | None = None,
        thoughts: Sequence[Thought] | None = None,
    ) -> tuple[list[SearchResult], Receipt]:
        """`search` for several questions, with the receipt of what it cost."""
        return search_many(self._store, self.model, queries, options or SearchOptions(), thoughts)


def _read_info(store: Store, path: Path) -> IndexInfo:
    number = store.info.get("format")
    if not isinstance(number, int):
        raise Thought1Error(f"{path} was not written as an index")
    if number > FORMAT:
        written_by = store.info.get("thought1_version", "a later version")
        raise Thought1Error(
            f"the index at {path} has format {number}, made by thought1 {written_by}; this program "
            f"reads formats up to {FORMAT}: pip install --upgrade thought1"
        )
    return IndexInfo(**store.info)


def _version() -> str:
    try:
        return version("thought1")
    except PackageNotFoundError:  # run from a source folder
        return "unknown"
