"""A query's way from text to hits: the steps in their order, and the receipt of what they cost.

Knows which steps a mode needs; what a step does is its own business (`steps`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from thought1.contracts import Reranker, Store
from thought1.search.adaptive import Adaptive
from thought1.search.evidence import Read
from thought1.search.explain import Explain
from thought1.search.found import Found, SearchStep, Thinker
from thought1.search.group import Group, Surround
from thought1.search.options import SearchOptions
from thought1.search.reranking import Rerank
from thought1.search.rounds import Rounds
from thought1.search.several import Combine, Confide, FallBack
from thought1.search.steps import (
    Bm25,
    Decide,
    Dense,
    Embed,
    Fetch,
    Fuse,
    Stages,
    Think,
    ThinkAdaptively,
)
from thought1.search.tracing import span
from thought1.types import Explanation, Hit, Ranking, Receipt, SearchResult, Thought

BATCH = 64
"""Queries that are searched at a time where progress is to be seen."""

Progress = Callable[[int], object]
"""Called with the number of queries done since the last call."""


def plan(
    store: Store,
    model: Thinker,
    options: SearchOptions,
    *,
    thought: bool = False,
    reranker: Reranker | None = None,
) -> list[SearchStep]:
    """The steps of a search, in their order.

    Args:
        thought: the thoughts are there already.
        reranker: the one that the options name.
    """
    steps = _retrieving(store, model, options, thought)
    if reranker is not None:
        steps.append(Rerank(store, reranker, options))
    return [*steps, *_showing(store, model, options)]


def _showing(store: Store, model: Thinker, options: SearchOptions) -> list[SearchStep]:
    """The hits' documents, and why each was found."""
    steps: list[SearchStep] = [Group(store, options)] if options.group_by else []
    steps.append(Fetch(store, options))
    steps += [Surround(store, options)] if options.neighbours else []
    return [*steps, Explain(store, model, options)] if options.explain else steps


def _retrieving(
    store: Store, model: Thinker, options: SearchOptions, thought: bool
) -> list[SearchStep]:
    steps: list[SearchStep] = []
    if options.adaptive is not None and not thought:
        return _adapting(store, model, options, options.adaptive)
    if options.evidence:
        steps = _reading(store, model, options)
    if options.mode != "bm25":
        steps += [] if thought else [Think(model, options)]
        steps += [Rounds(store, model, options)] if options.rounds > 1 else []
        several = options.samples > 1
        steps += [Confide()] if several else []
        plain = options.combine == "mean"
        steps.append(Dense(store, options) if plain else Combine(store, model, options))
        steps += [FallBack(store, options)] if options.min_confidence is not None else []
    if options.mode != "dense" and not options.evidence:
        steps.append(Bm25(store, options))
    if options.mode == "hybrid":
        steps.append(Fuse(options))
    if options.checkpoints:
        steps.append(Stages(store, options))
    return steps


def _adapting(
    store: Store, model: Thinker, options: SearchOptions, rule: Adaptive
) -> list[SearchStep]:
    """The gate, if there is one, and a thought that may end early; words are searched for first."""
    steps: list[SearchStep] = []
    if options.mode == "hybrid" or (rule.gate and rule.gate.signal == "agreement"):
        steps.append(Bm25(store, options))
    if rule.gate is not None:
        bare = replace(options, think=0, adaptive=None, sampling=None)
        steps += [Think(model, bare, "first-embed"), Dense(store, options, "first-dense")]
        steps.append(Decide(options, rule.gate))
    steps += [ThinkAdaptively(store, model, options, rule), Dense(store, options)]
    if options.mode == "hybrid":
        steps.append(Fuse(options))
    return steps


def _reading(store: Store, model: Thinker, options: SearchOptions) -> list[SearchStep]:
    """A search with the bare query, whose first documents are read; its ranking by words serves
    the search after the thought too."""
    bare = replace(
        options,
        think=0,
        samples=1,
        evidence=0,
        rounds=1,
        sampling=None,
        combine="mean",
        min_confidence=None,
        checkpoints=(),
    )
    steps: list[SearchStep] = [
        Think(model, bare, "first-embed"),
        Dense(store, options, "first-dense"),
    ]
    if options.mode == "hybrid":
        steps += [Bm25(store, options, "first-bm25"), Fuse(options, "first-fuse")]
    return [*steps, Read(store, model, options)]


def search_many(
    store: Store,
    model: Thinker,
    queries: Sequence[str],
    options: SearchOptions,
    thoughts: Sequence[Thought] | Sequence[str] | None = None,
    reranker: Reranker | None = None,
) -> tuple[list[SearchResult], Receipt]:
    """Answer queries, and say what that cost.

    Args:
        thoughts: one per query: search with these, think no new ones. Texts are read by the model,
            in the step "embed"; of thoughts with their vectors the receipt counts no tokens.
        reranker: the one that the options name.

    Returns:
        One result per query, in their order. The score of a hit is the cosine similarity
        (dense), BM25, the fusion score (hybrid), or the one of `reranking.fused_scores`.

    Raises:
        Thought1Error: the filter is wrong, or the model cannot think as the options say.
        ValueError: thoughts do not fit the queries or options, or have no vector.
    """
    queries = list(queries)
    if thoughts is not None and len(thoughts) != len(queries):
        raise ValueError(f"{len(queries)} queries but {len(thoughts)} thoughts")
    if thoughts is not None and (options.samples > 1 or options.evidence or options.checkpoints):
        raise ValueError(
            "where thoughts are given, none is sampled, nothing is read first, and there are no "
            "checkpoints"
        )
    if (reranker is None) != (options.rerank is None):
        raise ValueError("a reranker is named by the options and given, or neither")
    if options.evidence:
        model.check_evidence(options.think)
    given = [] if thoughts is None or options.mode == "bm25" else list(thoughts)
    texts = [thought for thought in given if isinstance(thought, str)]
    if texts and len(texts) != len(given):
        raise ValueError("thoughts are all texts, or all have their vectors")
    ready = [thought for thought in given if isinstance(thought, Thought)]
    found = Found(queries, [[thought] for thought in ready] or [()] * len(queries))
    steps: list[SearchStep] = [Embed(model, texts)] if texts else []
    steps += plan(store, model, options, thought=bool(given), reranker=reranker)
    milliseconds = _run(steps if queries else [], found, options)
    receipt = Receipt(
        len(queries),
        found.prompt_tokens,
        found.thought_tokens,
        found.forced,
        milliseconds,
        found.rerank_calls,
        found.rerank_tokens,
        found.cached,
        len(found.left_out),
    )
    return _results(found, options.offset), receipt


def _run(steps: Sequence[SearchStep], found: Found, options: SearchOptions) -> dict[str, float]:
    """Run the steps, each in a span; the milliseconds of each."""
    milliseconds: dict[str, float] = {}
    described = {"queries": len(found.queries), "mode": options.mode, "k": options.k}
    with span("search", described) as later:
        for step in steps:
            start = time.perf_counter()
            with span(step.name, {}):
                step(found)
            milliseconds[step.name] = 1000 * (time.perf_counter() - start)
        later |= {"thought_tokens": found.thought_tokens, "left_out": len(found.left_out)}
    return milliseconds


class Searcher(Protocol):
    """What answers several queries at once; an `Index` is one."""

    def search_many(
        self,
        queries: Sequence[str],
        options: SearchOptions | None = None,
        thoughts: Sequence[Thought] | Sequence[str] | None = None,
    ) -> tuple[list[SearchResult], Receipt]:
        """One result per query, and what it cost."""


def search_in_batches(
    searcher: Searcher,
    queries: Sequence[str],
    options: SearchOptions,
    thoughts: Sequence[Thought] | Sequence[str] | None = None,
    *,
    on_progress: Progress | None = None,
) -> tuple[list[SearchResult], Receipt]:
    """`search_many`, some queries at a time, so that progress can be seen."""
    results: list[SearchResult] = []
    receipts: list[Receipt] = []
    for start in range(0, len(queries), BATCH):
        part = slice(start, start + BATCH)
        given = None if thoughts is None else thoughts[part]
        some, receipt = searcher.search_many(queries[part], options, given)
        results += some
        receipts.append(receipt)
        if on_progress:
            on_progress(len(some))
    return results, _sum(receipts)


def _results(found: Found, offset: int) -> list[SearchResult]:
    results = []
    nothing: list[tuple[()]] = [()] * len(found.queries)
    read, stages = found.read or nothing, found.stages or nothing
    rounds = found.rounds or nothing
    sure: Sequence[float | None] = found.confidence or [None] * len(found.queries)
    groups: Sequence[Mapping[str, Ranking]] = found.members or [{}] * len(found.queries)
    why: Sequence[Mapping[str, Explanation]] = found.explanations or [{}] * len(found.queries)
    for place, (query, thoughts, ids, ranking) in enumerate(
        zip(found.queries, found.thoughts, read, found.rankings, strict=True)
    ):
        # A document may have been deleted between search and fetch.
        hits = [(found.documents[id_], score) for id_, score in ranking if id_ in found.documents]
        shown = [thought for thought in thoughts if thought.finish_reason != "none"]
        results.append(
            SearchResult(
                query,
                tuple(
                    Hit(
                        document.id,
                        score,
                        rank,
                        document.text,
                        document.title,
                        document.metadata,
                        why[place].get(document.id),
                        tuple(groups[place].get(document.id, ())),
                        *found.neighbours.get(document.id, ((), ())),
                    )
                    for rank, (document, score) in enumerate(hits, start=offset + 1)
                ),
                shown[0] if shown else None,
                tuple(shown[1:]),
                tuple(ids),
                tuple(rounds[place]),
                sure[place],
                place in found.fell_back,
                tuple(stages[place]),
                (found.left_out[place],) if place in found.left_out else (),
            )
        )
    return results


def _sum(receipts: Sequence[Receipt]) -> Receipt:
    milliseconds: dict[str, float] = {}
    for receipt in receipts:
        for step, spent in receipt.milliseconds.items():
            milliseconds[step] = milliseconds.get(step, 0.0) + spent
    return Receipt(
        queries=sum(receipt.queries for receipt in receipts),
        prompt_tokens=sum(receipt.prompt_tokens for receipt in receipts),
        thought_tokens=sum(receipt.thought_tokens for receipt in receipts),
        forced=sum(receipt.forced for receipt in receipts),
        milliseconds=milliseconds,
        rerank_calls=sum(receipt.rerank_calls for receipt in receipts),
        rerank_tokens=sum(receipt.rerank_tokens for receipt in receipts),
        cached=sum(receipt.cached for receipt in receipts),
        left_out=sum(receipt.left_out for receipt in receipts),
    )
