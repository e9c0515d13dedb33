"""Runs the questions of a calibration, once with the full budget. Knows no rule."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import numpy as np

from thought1.metrics import evaluate_run
from thought1.search.adaptive import TOP, Signal, shared, signal
from thought1.search.calibration import Observed
from thought1.search.options import SearchOptions
from thought1.search.pipeline import Searcher, search_in_batches
from thought1.types import Qrels, Ranking, SearchResult, Thought1Error

MEASURE = "ndcg@10"

Numbers = list[float]


def observe(
    searcher: Searcher,
    questions: Mapping[str, str],
    qrels: Qrels,
    options: SearchOptions,
    on_progress: Callable[[int], object] | None = None,
) -> Observed:
    """Think about each question that has a relevant document, and search at every checkpoint.

    Args:
        questions: id -> text.
        options: with the checkpoints to try, the first of them 0.

    Raises:
        Thought1Error: no question has a relevant document, or the model cannot think.
    """
    judged = {id_: text for id_, text in questions.items() if _answered(qrels.get(id_, {}))}
    if not judged:
        raise Thought1Error("no question has a relevant document: do questions and qrels belong?")
    if options.checkpoints[:1] != (0,):
        raise ValueError("the bare query is the first checkpoint")
    texts = list(judged.values())
    options = replace(options, k=TOP, offset=0)
    results, _ = search_in_batches(searcher, texts, options, on_progress=on_progress)
    rows = [_row(result, options.checkpoints) for result in results]
    return Observed(
        options.checkpoints,
        _quality(judged, qrels, results, len(options.checkpoints)),
        np.array([tokens for tokens, _, _ in rows]),
        np.array([cosines for _, cosines, _ in rows]),
        np.array([overlaps for _, _, overlaps in rows]),
        _signals(searcher, texts, options),
    )


def _answered(grades: Mapping[str, int]) -> bool:
    return any(grade > 0 for grade in grades.values())


def _row(
    result: SearchResult, checkpoints: Sequence[int]
) -> tuple[list[float], list[float], list[float]]:
    """Tokens, cosines and overlaps of one question, at each checkpoint."""
    thought = result.thought
    tokens = [0.0 if thought is None else min(len(thought.token_ids), n) for n in checkpoints]
    vectors = [] if thought is None else [np.asarray(s.vector) for s in thought.checkpoints]
    cosines = [float(a @ b) for a, b in pairwise(vectors)] or [1.0] * (len(checkpoints) - 1)
    lists = [[id_ for id_, _ in stage.ranking] for stage in result.stages]
    return tokens, [0.0, *cosines], [0.0, *(shared(a, b) for a, b in pairwise(lists))]


def _signals(
    searcher: Searcher, texts: Sequence[str], options: SearchOptions
) -> dict[Signal, np.ndarray]:
    """What the bare queries find, by vector and by words."""
    bare = replace(options, think=None, checkpoints=(), sampling=None)
    dense, _ = searcher.search_many(texts, replace(bare, mode="dense", think=0))
    words, _ = searcher.search_many(texts, replace(bare, mode="bm25"))
    pairs = [(_ranking(one), _ranking(other)) for one, other in zip(dense, words, strict=True)]
    return {name: np.array([signal(name, *pair) for pair in pairs]) for name in get_args(Signal)}


def _ranking(result: SearchResult) -> Ranking:
    return [(hit.id, hit.score) for hit in result.hits]


def _quality(
    judged: Mapping[str, str], qrels: Qrels, results: Sequence[SearchResult], count: int
) -> np.ndarray:
    kept = {id_: qrels[id_] for id_ in judged}
    columns = []
    for c in range(count):
        run = {
            id_: dict(result.stages[c].ranking) for id_, result in zip(judged, results, strict=True)
        }
        values = evaluate_run(run, kept, [MEASURE])[MEASURE]
        columns.append([values[id_] for id_ in judged])
    return np.array(columns).T
