"""T1 and its index as a system that is evaluated; also the index's own BM25, without a model.

Knows neither where models come from nor judgements.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from thought1.data.corpus import Corpus
from thought1.data.hashing import hash_json
from thought1.evaluation.provenance import version_of
from thought1.evaluation.systems import Progress, SystemFacts, revision_of, short_name
from thought1.index import Index
from thought1.search.options import SearchOptions
from thought1.search.pipeline import search_in_batches
from thought1.search.words_only import WordsOnly
from thought1.t1 import T1
from thought1.types import Receipt, SearchResult, Thought, Thought1Error, Vectors


class IndexSystem:
    """An index that exists, or one that `prepare` makes. Use it as a context manager."""

    def __init__(
        self,
        options: SearchOptions,
        model: T1 | None,
        *,
        index: Index | None = None,
        folder: Path | None = None,
        thoughts: Sequence[str] = (),
    ) -> None:
        """A system that searches with `options`.

        Args:
            model: None only where nothing but BM25 is asked, and no folder is to be kept.
            index: of the whole collection, opened with the model.
            folder: where the index is made and stays; by default it is a temporary one.
            thoughts: of the queries that `search` will be given, in their order: these are read,
                and the model writes none.
        """
        self.model = model
        self.options = options
        self.facts = facts_of(
            options, None if options.mode == "bm25" else model, given=bool(thoughts)
        )
        self._thoughts = thoughts
        self._index = index
        self._folder = folder
        self._scratch: TemporaryDirectory[str] | None = None

    def __enter__(self) -> "IndexSystem":
        return self

    def __exit__(self, *_: object) -> None:
        if self._scratch is not None:
            self._scratch.cleanup()

    def prepare(self, corpus: Corpus, on_progress: Progress) -> int:
        """Make the index, or check that the one given holds as many documents.

        Raises:
            Thought1Error: it holds others, or the folder cannot be used.
        """
        documents = corpus.validate().documents
        if self._index is None:
            self._index = self._make(corpus, on_progress)
        elif len(self._index) != documents:
            raise Thought1Error(
                f"the index at {self._index.path} holds {len(self._index)} documents and the "
                f"collection {documents}: complete it with `t1 index {corpus.path.parent} -o "
                f"{self._index.path}`, or name another folder"
            )
        return documents

    def search(
        self, queries: list[str], on_progress: Progress
    ) -> tuple[list[SearchResult], Receipt]:
        """The best documents of each query, and what it cost."""
        if self._index is None:
            raise ValueError("search before prepare")
        if not self._thoughts or self.model is None:
            return search_in_batches(self._index, queries, self.options, on_progress=on_progress)
        start = perf_counter()
        given = read_given(self.model, queries, self._thoughts)
        spent = 1000 * (perf_counter() - start)
        results, receipt = search_in_batches(
            self._index, queries, self.options, given, on_progress=on_progress
        )
        tokens = self.model.count_prompt_tokens(queries) + sum(len(t.token_ids) for t in given)
        milliseconds = {"embed": spent, **receipt.milliseconds}
        return results, replace(receipt, prompt_tokens=tokens, milliseconds=milliseconds)

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """The vectors (n, d) of documents of the index, in the order of `ids`.

        Raises:
            Thought1Error: it lacks one of them.
        """
        if self._index is None:
            raise ValueError("vectors before prepare")
        found = self._index.vectors(ids)
        missing = next((id_ for id_ in ids if id_ not in found), None)
        if missing is not None:
            raise Thought1Error(f"the index at {self._index.path} lacks the document {missing!r}")
        return np.array([found[id_] for id_ in ids], np.float32)

    def _make(self, corpus: Corpus, on_progress: Progress) -> Index:
        if self._folder is None:
            self._scratch = TemporaryDirectory(prefix="t1-evaluate-")
            self._folder = Path(self._scratch.name) / "index"
        index = Index.create(self._folder, self.model or WordsOnly())
        index.add(corpus, on_progress=on_progress)
        index.optimize()
        return index


def read_given(model: T1, queries: list[str], thoughts: Sequence[str]) -> list[Thought]:
    """The thoughts, one per query, with the vectors behind them; the model writes nothing."""
    vectors_QD = np.asarray(model.encode_query(queries, thoughts=thoughts))
    rows = zip(thoughts, model.renderer.text(thoughts), vectors_QD, strict=True)
    return [Thought(text, tuple(ids), "edited", vector_D) for text, ids, vector_D in rows]


def facts_of(options: SearchOptions, model: T1 | None, *, given: bool = False) -> SystemFacts:
    """What answers: the model, or without one the index's BM25.

    Args:
        given: the thoughts are, so that the model writes none.
    """
    if model is None:
        return SystemFacts("index-bm25", "bm25", f"lancedb-{version_of('lancedb')}", "bm25")
    thought, asked = model.settings.thought, options.sampling
    if options.samples > 1:
        several = asked or model.sampled
        thought = replace(thought, temperature=several.temperature, top_p=several.top_p)
    else:  # greedy unless the options say otherwise
        thought = replace(thought, temperature=0.0 if asked is None else asked.temperature)
    own = thought.max_new_tokens if options.think is None else options.think
    budget = None if given else own
    mode = "" if options.mode == "dense" else f"-{options.mode}"
    weight, usual = model.settings.anchor_weight, 0.0 if model.companion is None else 1.0
    anchor = "" if weight == usual else f"-anchor-{weight:g}"
    ways = {"samples": options.samples} if options.samples > 1 else {}
    ways |= {"evidence": options.evidence} if options.evidence else {}
    tail = "".join(f"-{name}-{value}" for name, value in ways.items())
    return SystemFacts(
        f"{short_name(model.name)}@{'given' if given else budget}{mode}{anchor}{tail}",
        "t1",
        revision_of(model.weights_hash),
        options.mode,
        budget,
        model.weights_hash,
        hash_json([model.templates_hash, asdict(thought), *([ways] if ways else [])]),
        model.name,
    )
