"""T1 and its index as a system that is evaluated; also the index's own BM25, without a model.

Knows no judgements.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from thought1.contracts import Reranker
from thought1.data.hashing import hash_json
from thought1.evaluation.results.provenance import version_of
from thought1.evaluation.systems.base import (
    Answers,
    Bars,
    Documents,
    Progress,
    SystemFacts,
    SystemOptions,
    no_bars,
    revision_of,
    short_name,
    unknown_system,
)
from thought1.index import Index
from thought1.model.sentence_model import SentenceModel
from thought1.model.settings import anchor_weight
from thought1.opening import holds_something, load_t1, open_with_model, open_without_model
from thought1.rerank.opening import open_reranker
from thought1.search.options import SearchOptions
from thought1.search.pipeline import search_in_batches
from thought1.search.reranking import check_guide
from thought1.search.words_only import WordsOnly
from thought1.t1 import T1
from thought1.types import Receipt, SearchResult, Thought1Error, Vectors


class T1Index:
    """An index that exists, or one that `rank` makes; what is temporary stays until `close`."""

    def __init__(
        self,
        options: SearchOptions,
        model: T1 | None,
        *,
        index: Index | None = None,
        folder: Path | None = None,
        thoughts: Mapping[str, str] | None = None,
        reranker: Reranker | None = None,
    ) -> None:
        """A system that searches with `options`; their `k` is set by `rank`.

        Args:
            model: None only for a pure BM25 search whose index is not kept.
            index: of the whole collection, opened with the model.
            folder: where the index is made and stays; by default it is a temporary one.
            thoughts: query id -> the thought that is read, so that the model writes none.
            reranker: the one that the options name.
        """
        self.model = model
        self.options = options
        self.facts = facts_of(
            options,
            None if options.mode == "bm25" else model,
            given=bool(thoughts),
            reranker=reranker,
        )
        self._thoughts = thoughts or {}
        self._reranker = reranker
        self._index = index
        self._folder = folder
        self._scratch: TemporaryDirectory[str] | None = None

    def close(self) -> None:
        """Remove a temporary index."""
        if self._scratch is not None:
            self._scratch.cleanup()

    def rank(
        self, documents: Documents, queries: Mapping[str, str], depth: int, bars: Bars = no_bars
    ) -> Answers:
        """The `depth` best documents of each query, from the index or one that is made now.

        Raises:
            Thought1Error: the index holds another number of documents, the folder cannot be
                used, or the reranker fails for a query.
        """
        with bars("index", None, "documents") as bar:
            if self._index is None:
                self._index = self._make(documents, bar.update)
        self._check_size(self._index, documents)
        with bars("ask", len(queries), "queries") as bar:
            results, receipt = self._search(self._index, queries, depth, bar.update)
        found = dict(zip(queries, results, strict=True))
        return Answers(
            {query: {hit.id: hit.score for hit in one.hits} for query, one in found.items()},
            receipt,
            {query: one.thoughts for query, one in found.items() if one.thoughts},
            {query: one.evidence for query, one in found.items() if one.evidence},
        )

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """The vectors (n, d) of documents of the index, in the order of `ids`.

        Raises:
            Thought1Error: it lacks one of them.
        """
        if self._index is None:
            raise ValueError("the index is made by rank: call that first")
        found = self._index.vectors(ids)
        missing = next((id_ for id_ in ids if id_ not in found), None)
        if missing is not None:
            raise Thought1Error(f"the index at {self._index.path} lacks the document {missing!r}")
        return np.array([found[id_] for id_ in ids], np.float32)

    def _search(
        self, index: Index, queries: Mapping[str, str], depth: int, on_progress: Progress
    ) -> tuple[list[SearchResult], Receipt]:
        options, texts = replace(self.options, k=depth), list(queries.values())
        given = [self._thoughts[query] for query in queries] if self._thoughts else None
        if self._reranker is not None:
            index.rerankers[self._reranker.name] = self._reranker
        results, receipt = search_in_batches(index, texts, options, given, on_progress=on_progress)
        failed = [one.left_out[0] for one in results if one.left_out]
        if failed:
            raise Thought1Error(
                f"{len(failed)} of {len(texts)} queries were not reranked, so that nothing was "
                f"measured: {failed[0].reason}"
            )
        return results, receipt

    def _check_size(self, index: Index, documents: Documents) -> None:
        if len(index) != documents.size:
            raise Thought1Error(
                f"the index at {index.path} holds {len(index)} documents and the collection "
                f"{documents.size}: complete it with `t1 index {documents.folder} -o "
                f"{index.path}`, or name another folder"
            )

    def _make(self, documents: Documents, on_progress: Progress) -> Index:
        if self._folder is None:
            self._scratch = TemporaryDirectory(prefix="t1-evaluate-")
            self._folder = Path(self._scratch.name) / "index"
        index = Index.create(self._folder, self.model or WordsOnly())
        index.add(documents, on_progress=on_progress)
        index.optimize()
        return index


def open_t1(spec: str, options: SystemOptions) -> T1Index:
    """T1 over the index that the options name, or over one that is made when it is needed.

    Raises:
        Thought1Error: the model or index cannot be used, or the model cannot think as requested.
    """
    if spec != "t1":
        raise unknown_system(spec)
    search, folder = options.search, options.index
    words_only = search.mode == "bm25"
    there = folder if folder is not None and holds_something(folder) else None
    if there is not None and not words_only:
        return _over_index(there, options)
    reranker = _reranker(search, None) if words_only else None
    if there is not None:
        return T1Index(search, None, index=open_without_model(there), reranker=reranker)
    if words_only and folder is None:
        return T1Index(search, None, reranker=reranker)
    # An index that stays needs vectors, even if this search does not.
    model = load_t1(options.model, options.trust_remote_code)
    _check_thinking(model, options)  # before anything is encoded
    anchored = _anchored(model, options.anchor)
    reranker = reranker or _reranker(search, anchored)
    return T1Index(search, anchored, folder=folder, thoughts=options.thoughts, reranker=reranker)


def _over_index(folder: Path, options: SystemOptions) -> T1Index:
    index, model = open_with_model(folder, options.model, options.trust_remote_code)
    if isinstance(model, SentenceModel):
        raise Thought1Error(
            f"the index at {folder} was made by {model.name}, which does not think: measure a "
            "T1 that has it as its companion"
        )
    _check_thinking(model, options)
    anchored = _anchored(model, options.anchor)
    index = Index.open(folder, anchored) if options.anchor else index
    reranker = _reranker(options.search, anchored)
    return T1Index(
        options.search, anchored, index=index, thoughts=options.thoughts, reranker=reranker
    )


def _reranker(search: SearchOptions, model: object) -> Reranker | None:
    """Opened and checked before anything is encoded."""
    if search.rerank is None:
        return None
    found = open_reranker(search.rerank, model)
    check_guide(found, search)
    return found


def _check_thinking(model: T1, options: SystemOptions) -> None:
    search = options.search
    if not options.thoughts:
        model.queries.tokens(search.think, search.samples)
    if search.evidence:
        model.check_evidence(search.think)


def _anchored(model: T1, anchor: str) -> T1:
    if not anchor:
        return model
    return model.with_settings(replace(model.settings, anchor=anchor_weight(anchor) or "none"))


def facts_of(
    options: SearchOptions,
    model: T1 | None,
    *,
    given: bool = False,
    reranker: Reranker | None = None,
) -> SystemFacts:
    """What identifies the model with these options, or without one the index's BM25.

    Args:
        given: the thoughts are, so that the model writes none.
        reranker: the one that the options name.
    """
    reranking = {} if reranker is None else _reranking(options)
    scoring = [] if reranker is None else [reranker.weights_hash]
    if model is None:
        revision = f"lancedb-{version_of('lancedb')}"
        settings = hash_json([reranking, *scoring]) if reranking else None
        name = f"index-bm25{_tail(reranking)}"
        return SystemFacts(name, "bm25", revision, "bm25", settings=settings)
    thought, sampling = model.settings.thought, options.sampling
    if options.samples > 1:
        several = sampling or model.sampled
        thought = replace(thought, temperature=several.temperature, top_p=several.top_p)
    else:  # greedy unless the options say otherwise
        thought = replace(thought, temperature=0.0 if sampling is None else sampling.temperature)
    own = thought.max_new_tokens if options.think is None else options.think
    budget = None if given else own
    mode = "" if options.mode == "dense" else f"-{options.mode}"
    weight, usual = model.settings.anchor_weight, 0.0 if model.companion is None else 1.0
    anchor = "" if weight == usual else f"-anchor-{weight:g}"
    ways: dict[str, object] = {"samples": options.samples} if options.samples > 1 else {}
    ways |= {"evidence": options.evidence} if options.evidence else {}
    ways |= {"rounds": options.rounds} if options.rounds > 1 else {}
    ways |= {"fusion": options.fusion.by} if options.fusion.by != "scores" else {}
    ways |= reranking
    tail = _tail(ways)
    return SystemFacts(
        f"{short_name(model.name)}@{'given' if given else budget}{mode}{anchor}{tail}",
        "t1",
        revision_of(model.weights_hash),
        options.mode,
        budget,
        model.weights_hash,
        hash_json([model.templates_hash, asdict(thought), *([ways] if ways else []), *scoring]),
        model.name,
    )


def _tail(ways: Mapping[str, object]) -> str:
    return "".join(f"-{name}-{value}" for name, value in ways.items())


def _reranking(options: SearchOptions) -> dict[str, object]:
    """How a reranker is called and used; no folder and no address of a server."""
    kind, _, place = (options.rerank or "").partition(":")
    name = place.rpartition("#")[2] if "#" in place else short_name(place) if place else ""
    return {
        "rerank": f"{kind}-{name}" if name else kind,
        "guided" if options.rerank_guided else "depth": options.rerank_depth,
        "weight": f"{options.rerank_weight:g}",
    }
