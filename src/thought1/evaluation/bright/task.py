"""A subset of BRIGHT as a task: exclusions, judgements, and the additional protocols.

The protocols differ in what may be ranked and in what counts as relevant, so one ranking is enough
for all. They also differ in their prompts, which change the vectors: that difference needs a second
ranking with another instruction. Knows no models.
"""

from collections.abc import Mapping
from pathlib import Path

from thought1.data.bright import EXAMPLES, BrightSubset
from thought1.evaluation.bright.protocols import PROTOCOLS
from thought1.evaluation.overlap import Checks
from thought1.evaluation.systems.base import Documents
from thought1.evaluation.task import ScoringProtocol, Task
from thought1.types import Qrels, Query, Run, Thought1Error

KIND = "bright"

DEPTH = 1000
"""Documents of a ranking after exclusion, as in the official code."""
MEASURES = ("ndcg@10", "recall@1")


def task_name(subset: str, long: bool, query_set: str) -> str:
    """The name under which a result is kept."""
    parts = (KIND, subset, "long" * long, query_set * (query_set != EXAMPLES))
    return "-".join(filter(None, parts))


def bright_task(
    subset: BrightSubset, source: str = "", hashes: Mapping[str, str] | None = None
) -> Task:
    """The task of a subset, measured by the official protocol and the additional ones.

    Args:
        source: a folder or a hub id, as it was given.
        hashes: of the subset's files (`BrightSubset.hashes`), where a result is to hold them.
    """
    official, adjusted = subset.qrels(), _with_copies(subset)

    def read() -> tuple[Documents, Checks | None]:
        # The pool was checked against the judgements when the subset was loaded.
        return Documents(subset.documents, len(subset.pool), Path(source)), None

    return Task(
        task_name(subset.name, subset.long, subset.query_set),
        str(Path(source)),
        subset.query_set,
        [Query(query.id, query.text) for query in subset.queries],
        official,
        hashes or {},
        read,
        KIND,
        excluded={query.id: query.excluded & subset.pool for query in subset.queries},
        depth=DEPTH,
        measures=MEASURES,
        alternatives=tuple(
            ScoringProtocol(
                protocol.name, adjusted if protocol.adds_copies else official, protocol.excludes
            )
            for protocol in PROTOCOLS[1:]
        ),
        check=lambda run: _check_run(subset, run),
    )


def added_copies(subset: BrightSubset) -> int:
    """Judgements that the adjusted qrels add."""
    return _size(_with_copies(subset)) - _size(subset.qrels())


def _check_run(subset: BrightSubset, run: Run) -> None:
    """Refuse a run that cannot be of this subset."""
    missing = [query.id for query in subset.queries if query.id not in run]
    if missing:
        raise Thought1Error(
            f"{subset.name}: the ranking lacks {len(missing)} of {len(subset.queries)} queries, "
            f"such as {missing[0]!r}; a mean over the others would be another figure"
        )
    for query in subset.queries:
        if strange := run[query.id].keys() - subset.pool:
            raise Thought1Error(
                f"{subset.name}: the ranking of query {query.id!r} holds a document that the "
                f"subset lacks: {min(strange)!r}"
            )


def _with_copies(subset: BrightSubset) -> Qrels:
    """The qrels and every copy of a gold document, excluded ones left out: none can be found."""
    return {
        query.id: {
            copy: 1
            for gold in sorted(query.gold)
            for copy in sorted(subset.copies.get(gold, frozenset((gold,))) - query.excluded)
        }
        for query in subset.queries
        if query.gold
    }


def _size(qrels: Qrels) -> int:
    return sum(map(len, qrels.values()))
