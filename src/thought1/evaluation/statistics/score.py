"""A run of any system against its judgements, by the rules that official numbers follow.

Decides what is scored: excluded documents leave the ranking before any cut, every judged query is
answered or accounted for, every judged query can be answered. How it is scored is the business of
`thought1.evaluation.statistics.protocol`. Knows neither models nor files.

    found = score_run(read_run(path), read_qrels(judgements), ["ndcg@10", "mrr"])
    found.evaluation.metrics["ndcg@10"]
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Literal

from thought1.evaluation.overlap import two_sides
from thought1.evaluation.statistics.protocol import Evaluation, evaluate, some_ids
from thought1.metrics import parse_measure
from thought1.types import Qrels, Run, Thought1Error

SCORE_MEASURES = ("ndcg@10", "recall@1", "recall@100", "mrr")

Missing = Literal["error", "zero", "skip"]
"""A judged query that the run lacks: is refused, counts 0 as in `trec_eval -c`, or is left out."""

Exclusions = Mapping[str, Set[str]]
"""query id -> documents that must not count for it."""


@dataclass(frozen=True, slots=True)
class ScoringRules:
    """What is done before anything is measured."""

    missing: Missing = "error"
    excluded: Exclusions = field(default_factory=dict)
    ignore_identical_ids: bool = False
    """Whether a document with the query's own id leaves its ranking."""


@dataclass(frozen=True, slots=True)
class RunScore:
    """The numbers of one run, and what one has to know to believe them."""

    evaluation: Evaluation
    missing: int
    """Judged queries that the run lacks; counted as zero or left out, as the rules say."""
    unjudged: int
    """Queries of the run without judgements, which are left out."""
    removed: int
    """Documents that the exclusions took out of the run."""
    relevant_excluded: int
    """Relevant documents among the excluded ones: no ranking can hold them, and they still count
    as relevant."""
    unjudged_excluded: int
    """Queries with exclusions but without judgements."""
    short: int
    """Queries with fewer documents left than the deepest cut; right only where no more exist."""
    identical: int = 0
    """Judged queries whose ranking holds a document of their own id; left out if the rules say."""
    unretrieved: int = 0
    """Relevant documents that the run holds for no query, as where the index lacks them."""

    def to_json(self, *, per_query: bool = False) -> dict[str, Any]:
        """What `t1 score --json` prints; `per_query` adds query id -> measure -> value."""
        content = self.evaluation.to_json() | {
            "missing": self.missing,
            "unjudged": self.unjudged,
            "removed": self.removed,
            "relevant_excluded": self.relevant_excluded,
            "unjudged_excluded": self.unjudged_excluded,
            "short": self.short,
            "identical_ids": self.identical,
            "unretrieved": self.unretrieved,
        }
        return content | {"per_query": self.by_query()} if per_query else content

    def by_query(self) -> dict[str, dict[str, float]]:
        """query id -> measure -> value."""
        table = self.evaluation.per_query
        queries = next(iter(table.values()))
        return {query: {name: table[name][query] for name in table} for query in queries}


def score_run(
    run: Run,
    qrels: Qrels,
    measures: Sequence[str] = SCORE_MEASURES,
    rules: ScoringRules | None = None,
) -> RunScore:
    """Score a run over every query of `qrels`.

    Unlike `evaluate`, which leaves out a query without a relevant document, this refuses one:
    official tools count it as 0, others drop it, and the number does not show which.

    Raises:
        Thought1Error: the run is empty, answers no judged query or holds no judged document; a
            judged query is missing and the rules do not say how it counts; a query has no relevant
            document; no query with exclusions is judged, or no excluded document is in the run;
            what `evaluate` raises.
    """
    rules = rules or ScoringRules()
    cuts = [k for _, k in map(parse_measure, measures) if k is not None]
    _check_judged(qrels)
    unjudged_excluded = _check_excluded(rules.excluded, qrels)
    missing = _missing(run, qrels, rules.missing)
    unretrieved = _check_documents(run, qrels, rules.excluded)
    if rules.missing == "skip":
        qrels = {query: grades for query, grades in qrels.items() if query in run}
    kept: Run = {}
    removed = relevant_excluded = identical = 0
    for query in qrels:
        scores = run.get(query, {})
        without = rules.excluded.get(query, frozenset())
        left = {doc: score for doc, score in scores.items() if doc not in without}
        removed += len(scores) - len(left)
        identical += query in left
        own = query if rules.ignore_identical_ids else None
        kept[query] = {doc: score for doc, score in left.items() if doc != own}
        relevant_excluded += sum(qrels[query].get(doc, 0) > 0 for doc in without)
    return RunScore(
        evaluate(kept, qrels, measures),
        missing=len(missing),
        unjudged=len(run.keys() - qrels.keys()),
        removed=removed,
        relevant_excluded=relevant_excluded,
        unjudged_excluded=unjudged_excluded,
        identical=identical,
        unretrieved=unretrieved,
        short=sum(len(scores) < max(cuts, default=0) for scores in kept.values()),
    )


def _check_judged(qrels: Qrels) -> None:
    barren = {query for query, grades in qrels.items() if max(grades.values(), default=0) < 1}
    if len(barren) == len(qrels):
        raise Thought1Error(
            "the qrels hold no query with a relevant document (grade 1 or more): "
            "check that they belong to this collection and split"
        )
    if barren:
        raise Thought1Error(
            f"{len(barren)} of the {len(qrels)} judged queries have no relevant document (grade 1 "
            f"or more), so that no ranking can score on them: {some_ids(barren)}; take their lines "
            "out of the qrels"
        )


def _check_excluded(excluded: Exclusions, qrels: Qrels) -> int:
    """How many queries with exclusions are not judged."""
    unknown = excluded.keys() - qrels.keys()
    if unknown and len(unknown) == len(excluded):
        raise Thought1Error(
            f"documents are excluded for {len(unknown)} queries that the qrels lack, and for no "
            f"other: {two_sides('the exclusions name', unknown, 'the qrels', qrels)}; check that "
            "they belong together"
        )
    return len(unknown)


def _check_documents(run: Run, qrels: Qrels, excluded: Exclusions) -> int:
    """How many relevant documents the run holds for no judged query."""
    retrieved = {doc for query in qrels for doc in run.get(query, {})}
    judged = {doc for grades in qrels.values() for doc in grades}
    if retrieved and not retrieved & judged:
        raise Thought1Error(
            f"the run holds none of the {len(judged)} judged documents: "
            f"{two_sides('it has', retrieved, 'the qrels', judged)}; check that they belong "
            "together, and that their ids are written alike"
        )
    out = {doc for docs in excluded.values() for doc in docs}
    if out and not out & retrieved:
        raise Thought1Error(
            f"the run holds none of the {len(out)} excluded documents, so that they change "
            f"nothing: {two_sides('it has', retrieved, 'the exclusions', out)}; check that their "
            "ids are written alike, or leave the exclusions out"
        )
    relevant = {doc for grades in qrels.values() for doc, grade in grades.items() if grade > 0}
    return len(relevant - retrieved)


def _missing(run: Run, qrels: Qrels, rule: Missing) -> Set[str]:
    if not run:
        raise Thought1Error("the run is empty: it needs documents for each judged query")
    missing = qrels.keys() - run.keys()
    if len(missing) == len(qrels):
        raise Thought1Error(
            f"the run answers none of the {len(qrels)} judged queries: "
            f"{two_sides('it has queries such as', run, 'the qrels', qrels)}; check that they "
            "belong together"
        )
    if missing and rule == "error":
        raise Thought1Error(
            f"the run lacks {len(missing)} of the {len(qrels)} judged queries: {some_ids(missing)};"
            " a mean over fewer queries is another number: search for each of them, or say how "
            "they count (`t1 score --missing zero` or skip; `t1 compare --missing zero`)"
        )
    return missing
