"""Systems that T1 is compared with, in the same command and over the same documents.

    bm25                bm25s with its own settings (`bm25`)
    bm25-query          BM25 with a weighted query, as BRIGHT's official one (`bm25`)
    st:FOLDER_OR_ID     a sentence-transformers model, with its own prompts
    openai:URL#MODEL    a model on a server that speaks OpenAI's embeddings protocol

All documents are scored, nothing is approximate. Knows neither judgements nor metrics.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from thought1.data.corpus import Corpus
from thought1.evaluation.bm25 import PlainBM25, QueryBM25, WordScores, best
from thought1.evaluation.collection import DEPTH
from thought1.evaluation.openai_server import OpenAIServer
from thought1.evaluation.provenance import version_of
from thought1.evaluation.systems import Progress, SystemFacts, revision_of, short_name
from thought1.model.sentence_identity import weights_of
from thought1.model.sentence_model import SentenceModel
from thought1.search.exact import exact_run
from thought1.search.pipeline import BATCH
from thought1.types import (
    Document,
    Hit,
    Ranking,
    Receipt,
    SearchResult,
    Thought1Error,
    Vectors,
)

WORDS: Mapping[str, Callable[[], WordScores]] = {"bm25": PlainBM25, "bm25-query": QueryBM25}

_WINDOW = 512
"""Documents that are encoded at a time, so that progress can be seen."""


@dataclass(slots=True)
class Cost:
    """What the queries have cost so far."""

    tokens: int = 0
    milliseconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def clock(self, step: str) -> Iterator[None]:
        """Add the time of the block to a step."""
        start = time.perf_counter()
        yield
        spent = 1000 * (time.perf_counter() - start)
        self.milliseconds[step] = self.milliseconds.get(step, 0.0) + spent


class Ranker(Protocol):
    """Ranks the documents that it has read."""

    def index(self, documents: Mapping[str, str], on_progress: Progress) -> None:
        """Read the documents: id -> title and text."""

    def rank(self, queries: Sequence[str], cost: Cost) -> list[Ranking]:
        """The best documents of each query."""


class Embedder(Protocol):
    """Texts as vectors (n, d), L2-normalised float32."""

    tokens: int
    """Read so far, as far as they are counted."""

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents."""

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries."""


class WordRanker:
    """BM25; documents without a word of the query are not in its ranking."""

    def __init__(self, kind: str, depth: int = DEPTH) -> None:
        self._words = WORDS[kind]()
        self._depth = depth
        self._ids: list[str] = []

    def index(self, documents: Mapping[str, str], on_progress: Progress) -> None:
        """Read the documents."""
        self._ids = list(documents)
        self._words.index(list(documents.values()))
        on_progress(len(documents))

    def rank(self, queries: Sequence[str], cost: Cost) -> list[Ranking]:
        """The best documents of each query."""
        with cost.clock("bm25"):
            found = [best(self._words.scores(query), self._depth) for query in queries]
        return [[(self._ids[row], score) for row, score in rows] for rows in found]


class DenseRanker:
    """Exact search by cosine."""

    def __init__(self, embedder: Embedder, depth: int = DEPTH) -> None:
        self._embedder = embedder
        self._depth = depth
        self._ids: list[str] = []
        self._documents_ND: Vectors = np.zeros((0, 0), dtype=np.float32)

    def index(self, documents: Mapping[str, str], on_progress: Progress) -> None:
        """Encode the documents."""
        self._ids, texts = list(documents), list(documents.values())
        parts = []
        for start in range(0, len(texts), _WINDOW):
            parts.append(self._embedder.embed_documents(texts[start : start + _WINDOW]))
            on_progress(len(parts[-1]))
        self._documents_ND = np.concatenate(parts)

    def rank(self, queries: Sequence[str], cost: Cost) -> list[Ranking]:
        """The best documents of each query."""
        before = self._embedder.tokens
        with cost.clock("embed"):
            queries_QD = self._embedder.embed_queries(queries)
        cost.tokens += self._embedder.tokens - before
        with cost.clock("dense"):
            numbers = [str(number) for number in range(len(queries))]
            run = exact_run(numbers, queries_QD, self._ids, self._documents_ND, self._depth)
        return [list(run[number].items()) for number in numbers]


class Baseline:
    """A ranker as a system: over a corpus, with hits and a receipt."""

    def __init__(self, facts: SystemFacts, ranker: Ranker) -> None:
        self.facts = facts
        self._ranker = ranker
        self._documents: dict[str, Document] = {}

    def prepare(self, corpus: Corpus, on_progress: Progress) -> int:
        """Read the documents; returns their number."""
        self._documents = {document.id: document for document in corpus}
        texts = {document.id: document.full_text for document in self._documents.values()}
        self._ranker.index(texts, on_progress)
        return len(texts)

    def search(
        self, queries: list[str], on_progress: Progress
    ) -> tuple[list[SearchResult], Receipt]:
        """The best documents of each query, and what it cost."""
        cost = Cost()
        results = []
        for start in range(0, len(queries), BATCH):
            asked = queries[start : start + BATCH]
            rankings = self._ranker.rank(asked, cost)
            pairs = zip(asked, rankings, strict=True)
            results += [SearchResult(query, self._hits(ranking)) for query, ranking in pairs]
            on_progress(len(asked))
        return results, Receipt(len(queries), cost.tokens, 0, 0, cost.milliseconds)

    def _hits(self, ranking: Ranking) -> tuple[Hit, ...]:
        found = [(self._documents[id_], score) for id_, score in ranking]
        return tuple(
            Hit(document.id, score, rank, document.text, document.title)
            for rank, (document, score) in enumerate(found, start=1)
        )


def open_baseline(spec: str, depth: int = DEPTH, *, trust_remote_code: bool = False) -> Baseline:
    """The system that `spec` names: one of the forms above; `depth` documents of each query.

    Raises:
        Thought1Error: it has none of these forms, its model cannot be loaded, or a package that
            it needs is not installed.
    """
    if spec in WORDS:
        return Baseline(words_facts(spec), WordRanker(spec, depth))
    facts, embedder = open_embedder(spec, trust_remote_code=trust_remote_code)
    return Baseline(facts, DenseRanker(embedder, depth))


def words_facts(kind: str) -> SystemFacts:
    """What answers where a kind of `WORDS` does."""
    return SystemFacts(kind, kind, f"bm25s-{version_of('bm25s')}", mode="bm25")


def open_embedder(spec: str, *, trust_remote_code: bool = False) -> tuple[SystemFacts, Embedder]:
    """The model behind `st:...` or `openai:...`, and what is known about it.

    Raises:
        Thought1Error: as `open_baseline`.
    """
    kind, _, rest = spec.partition(":")
    if kind == "st" and rest:
        model = SentenceModel.load(rest, trust_remote_code=trust_remote_code)
        weights = weights_of(rest)
        facts = SystemFacts(
            short_name(rest),
            kind,
            revision_of(weights),
            weights=weights,
            settings=model.settings,
            model=rest,
        )
        return facts, model
    url, _, name = rest.partition("#")
    if kind == "openai" and url and name:
        # What runs behind the address, and whether it stays, cannot be known.
        return SystemFacts(name, kind, revision_of(None), model=name), _Served(url, name)
    raise Thought1Error(
        f"there is no system {spec!r}: use t1, bm25, bm25-query, st:FOLDER_OR_ID or "
        "openai:URL#MODEL"
    )


class _Served(OpenAIServer):
    """A server's model, which reads documents and queries alike."""

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        return self.embed(texts)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.embed(texts)
