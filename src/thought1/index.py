"""Index: documents with their vectors, bound to the model that made them.

Knows how a store and a model work together, and the contracts of both; neither how vectors are
computed nor how they are kept.

    index = Index.create("facts.index", T1.from_pretrained())
    index.add(documents)
    index.search("Why do ice cubes crack in warm water?", k=10).hits
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import overload

from thought1.contracts import Reranker, Store, ThoughtWriter
from thought1.data.outputs import local
from thought1.registry import store_type
from thought1.rerank.opening import open_reranker
from thought1.search.elsewhere import check_elsewhere, write_thoughts
from thought1.search.found import IndexModel as IndexModel
from thought1.search.options import Mode, SearchOptions
from thought1.search.pipeline import search_many
from thought1.search.reranking import check_guide
from thought1.store.writer import AddReport, Writer
from thought1.types import (
    Document,
    Filter,
    Metadata,
    Receipt,
    SearchResult,
    Thought,
    Thought1Error,
    Vectors,
)

logger = logging.getLogger(__name__)

FORMAT = 2
"""Version of what an index is on disk; a program refuses an index of a later one.

Format 1 knew its model by the hash of the weights and one hash of all else, queries included."""

STORE = "lance"


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What an index remembers about itself."""

    format: int
    model: str
    identity: Mapping[str, str | int]
    """What encoded its documents, by name; in format 1 "weights" and "templates"."""
    dim: int
    thought1_version: str
    created: str
    """Time of creation, ISO 8601, UTC."""


class Index:
    """A store and the model it belongs to. Make one with `Index.create` or `Index.open`.

    Attributes:
        rerankers: by the name that `SearchOptions.rerank` gives them. Your own are put here; those
            of `registry.RERANKERS` come here when they are first asked for.
    """

    def __init__(self, path: Path, model: IndexModel, store: Store, info: IndexInfo) -> None:
        self.path = path
        self.model = model
        self.info = info
        self.rerankers: dict[str, Reranker] = {}
        self._store = store
        self._writer = Writer(store, model.encode_document_stream)

    @classmethod
    def create(cls, path: str | Path, model: IndexModel, *, overwrite: bool = False) -> "Index":
        """An empty index in the folder `path`, which is made where it is missing.

        Raises:
            Thought1Error: there is an index already (and not `overwrite`), or something else.
        """
        created = datetime.now(UTC).isoformat(timespec="seconds")
        info = IndexInfo(
            format=FORMAT,
            model=model.name,
            identity=dict(model.identities(FORMAT, created)[0]),
            dim=model.dim,
            thought1_version=_version(),
            created=created,
        )
        folder = local(path)
        store = store_type(STORE).create(folder, model.dim, asdict(info), overwrite=overwrite)
        return cls(folder, model, store, info)

    @classmethod
    def open(cls, path: str | Path, model: IndexModel) -> "Index":
        """The index at `path`; `model` must encode documents as the one that made it.

        Raises:
            Thought1Error: no index there, one of a later format, or another model is needed.
        """
        folder = local(path)
        store = store_type(STORE).open(folder)
        info = _read_info(store, folder)
        _check(info, model, folder)
        return cls(folder, model, store, info)

    @staticmethod
    def remembered(path: str | Path) -> IndexInfo:
        """What the index at `path` knows about itself, which model it needs included.

        Raises:
            Thought1Error: no index there, or one of a later format.
        """
        folder = local(path)
        return _read_info(store_type(STORE).open(folder), folder)

    def with_model(self, model: IndexModel) -> "Index":
        """The same index through another object for the same model, such as one that shares it."""
        other = Index(self.path, model, self._store, self.info)
        other.rerankers = self.rerankers
        return other

    def through(self, way: Callable[[Store], Store]) -> "Index":
        """The same index behind another way to its store, such as one that limits who reads."""
        other = Index(self.path, self.model, way(self._store), self.info)
        other.rerankers = self.rerankers
        return other

    def add(
        self, documents: Iterable[Document], *, on_progress: Callable[[int], None] | None = None
    ) -> AddReport:
        """Encode documents and store them; an id that exists already is replaced.

        Documents that are stored with the same title, text and metadata are not encoded again:
        an interrupted run is resumed by running it again. Memory does not grow with the number
        of documents. After many additions, `optimize` makes BM25 fast again.

        Args:
            on_progress: called with the number of documents done since the last call; they are
                on disk then.

        Raises:
            Thought1Error: a document cannot be stored (`storable`); the message names it. What
                was written before stays, of its block nothing is written.
        """
        return self._writer.add(documents, on_progress)

    def add_encoded(
        self,
        chunks: Iterable[tuple[Sequence[Document], Vectors]],
        *,
        on_progress: Callable[[int], None] | None = None,
    ) -> AddReport:
        """Store documents with existing vectors (n, d), chunk by chunk.

        Nothing is encoded: the vectors must be what this index's model gives for the documents.
        Each chunk is one write. Documents that are stored as they are keep their vector.

        Raises:
            Thought1Error: vectors of another number, dimension or length than 1, or what `add`
                refuses. The chunks before stay.
        """
        return self._writer.add_encoded(self._of_dimension(chunks), on_progress)

    def _of_dimension(
        self, chunks: Iterable[tuple[Sequence[Document], Vectors]]
    ) -> Iterator[tuple[Sequence[Document], Vectors]]:
        for documents, vectors in chunks:
            if vectors.ndim != 2 or vectors.shape[1] != self.info.dim:
                raise Thought1Error(
                    f"vectors have {vectors.shape[-1]} dimensions, but the index has "
                    f"{self.info.dim}: they were made by another model"
                )
            yield documents, vectors

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """The vector (d,) of each of `ids` that is stored."""
        return self._store.vectors(ids)

    def get(self, ids: Sequence[str]) -> dict[str, Document]:
        """The stored documents among `ids`, by id."""
        return self._store.get(ids)

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

        Documents that an earlier version stored twice are stored once again, the last one written.
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
        thoughts: Sequence[Thought] | Sequence[str] | None = None,
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
        thoughts: Sequence[Thought] | Sequence[str] | None = None,
    ) -> list[SearchResult]: ...

    def search(
        self,
        query: str | list[str] | tuple[str, ...],
        k: int = 10,
        *,
        mode: Mode = "hybrid",
        think: int | None = None,
        where: Filter | None = None,
        thoughts: Sequence[Thought] | Sequence[str] | None = None,
    ) -> SearchResult | list[SearchResult]:
        """The k best documents: one result for one question, a list for several.

        Args:
            mode: "hybrid", "dense" or "bm25" (`SearchOptions.mode`).
            think: maximum tokens of a thought; None is the model's own budget, 0 is not thinking.
            where: conditions on metadata, such as `{"lang": "en", "year": {"gte": 1990}}`.
            thoughts: one per question, texts or thoughts with their vectors: search with these,
                think no new ones.

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
        thoughts: Sequence[Thought] | Sequence[str] | None = None,
        writer: ThoughtWriter | None = None,
    ) -> tuple[list[SearchResult], Receipt]:
        """`search` for several questions, with the receipt of what it cost.

        Args:
            writer: writes the thoughts instead of the model, which reads them (`thought1.writers`);
                `options.think` is its budget. A question for which it has none is searched without
                a thought (`SearchResult.left_out`).

        Raises:
            Thought1Error: as `search`, or there is no such reranker, or the writer cannot work.
        """
        options = options or SearchOptions()
        reranker = self._reranker(options)
        if writer is not None:
            check_elsewhere(options)
            if thoughts is not None:
                raise ValueError("thoughts are given or written, not both")
            written = write_thoughts(writer, self.model, queries, options.think)
            return written.noted(*self.search_many(queries, options, written.thoughts))
        return search_many(self._store, self.model, queries, options, thoughts, reranker)

    def _reranker(self, options: SearchOptions) -> Reranker | None:
        """Opened and checked before anything is thought."""
        name = options.rerank
        if name is None:
            return None
        if name not in self.rerankers:
            self.rerankers[name] = open_reranker(name, self.model)
        check_guide(self.rerankers[name], options)
        return self.rerankers[name]


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
    content = dict(store.info)
    if number == 1:
        weights, templates = content.pop("weights_hash"), content.pop("templates_hash")
        content["identity"] = {"weights": weights, "templates": templates}
    return IndexInfo(**content)


def _check(info: IndexInfo, model: IndexModel, folder: Path) -> None:
    """Refuse a model that encodes documents otherwise."""
    given = model.identities(info.format, info.created)
    differing = ["dimension"] if info.dim != model.dim else []
    if info.identity not in given:
        names = dict.fromkeys([*info.identity, *given[0]])
        differing += [name for name in names if info.identity.get(name) != given[0].get(name)]
    if differing:
        raise Thought1Error(
            f"the index at {folder} needs the model {info.model!r} that it was made with; "
            f"{model.name!r} differs in {' and '.join(differing)}. Open it with that model, "
            "or make a new index with this one"
        )
    if info.identity != given[0]:
        logger.warning(
            "%s: the chat template wrote the day's date before each document when this index was "
            "made, and no longer does; create the index again to compare like with like",
            folder,
        )


def _version() -> str:
    try:
        return version("thought1")
    except PackageNotFoundError:  # run from a source folder
        return "unknown"
