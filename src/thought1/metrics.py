"""Ranking metrics of one query, and of a whole run, with the semantics of trec_eval.

Shared by evaluation and rewards. Knows neither files, nor torch, nor an evaluation library; tests
bind it to ir-measures and pytrec_eval. Source: trec_eval (https://github.com/usnistgov/trec_eval),
m_ndcg_cut.c, m_recall.c, m_recip_rank.c and form_res_rels.c.

A document is relevant from grade 1 on. A ranking is a sequence of distinct document ids, best
first; `order` makes one from scores.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from thought1.types import Qrels, Run, Thought1Error

Grades = Mapping[str, int]
"""document id -> relevance grade, for one query."""

Cut = int | None
"""How many documents of a ranking count, from the first; None is all of them."""


def order(scores: Mapping[str, float]) -> list[str]:
    """Document ids by descending score; ties by descending document id.

    As trec_eval does, scores are compared as float32: what differs only beyond that is a tie.
    The id that comes last in the alphabet wins a tie, by code point, so "9" comes before "10".

    Raises:
        Thought1Error: A score is not a number (NaN), which no order can place.
    """
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, as in C
        rounded = np.fromiter(scores.values(), dtype=np.float64).astype(np.float32).tolist()
    pairs = sorted(zip(rounded, scores, strict=True), reverse=True)
    unordered = [doc for score, doc in pairs if math.isnan(score)]
    if unordered:
        raise Thought1Error(
            f"the score of document {unordered[0]!r} is not a number (NaN); "
            f"a run needs a number for each document"
        )
    return [doc for _, doc in pairs]


def ndcg(ranking: Sequence[str], relevance: Grades, k: Cut) -> float:
    """nDCG@k: gain = grade, discount = log2(rank + 1), ideal over all judged documents.

    0 for a query without a relevant document. Järvelin and Kekäläinen 2002, in trec_eval's form.
    """
    ideal = _dcg(sorted(relevance.values(), reverse=True)[:k])
    if ideal == 0:
        return 0.0
    return _dcg([relevance.get(doc, 0) for doc in ranking[:k]]) / ideal


def recall(ranking: Sequence[str], relevance: Grades, k: Cut) -> float:
    """Share of the relevant documents among the first k; 0 if none is relevant."""
    relevant = {doc for doc, grade in relevance.items() if grade > 0}
    if not relevant:
        return 0.0
    return sum(doc in relevant for doc in ranking[:k]) / len(relevant)


def reciprocal_rank(ranking: Sequence[str], relevance: Grades, k: Cut) -> float:
    """1 / rank of the first relevant document among the first k; 0 if there is none."""
    for rank, doc in enumerate(ranking[:k], start=1):
        if relevance.get(doc, 0) > 0:
            return 1.0 / rank
    return 0.0


Metric = Callable[[Sequence[str], Grades, Cut], float]

METRICS: Mapping[str, Metric] = MappingProxyType(
    {"ndcg": ndcg, "recall": recall, "mrr": reciprocal_rank}
)
"""The part of a measure's name before "@"."""

MAX_CUT = 1_000_000
"""Deepest cut: no search returns more."""

UNCUT = "mrr"
"""The one measure that is also reported over the whole ranking: trec_eval's recip_rank."""


def parse_measure(name: str) -> tuple[str, Cut]:
    """Split "ndcg@10" into ("ndcg", 10), and "mrr", which has no cut, into ("mrr", None).

    Raises:
        Thought1Error: The name has another form; the message lists the forms.
    """
    if name == UNCUT:
        return UNCUT, None
    match = re.fullmatch(r"(\w+)@([1-9][0-9]{0,6})", name)
    if match is None or match[1] not in METRICS or int(match[2]) > MAX_CUT:
        forms = ", ".join(f"{kind}@K" for kind in METRICS)
        raise Thought1Error(
            f"unknown measure {name!r}: use one of {forms}, with K from 1 to {MAX_CUT:,}, "
            f"or {UNCUT}"
        )
    return match[1], int(match[2])


def evaluate_run(run: Run, qrels: Qrels, measures: Sequence[str]) -> dict[str, dict[str, float]]:
    """Value of each measure for each query of `qrels`: measure -> query id -> value.

    As in ir-measures, a query of the qrels that the run lacks has the value 0, and a query of
    the run that the qrels lack is left out.

    Raises:
        Thought1Error: A measure is unknown, or a score is not a number.
    """
    parsed = {name: parse_measure(name) for name in measures}
    rankings = {query: order(run.get(query, {})) for query in qrels}
    return {
        name: {
            query: METRICS[kind](rankings[query], relevance, k)
            for query, relevance in qrels.items()
        }
        for name, (kind, k) in parsed.items()
    }


def _dcg(grades: Sequence[int]) -> float:
    """Negative grades gain nothing, as in trec_eval."""
    return sum(grade / math.log2(rank + 1) for rank, grade in enumerate(grades, 1) if grade > 0)
