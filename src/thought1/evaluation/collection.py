"""From a collection (BEIR folder) and an index to a run, its metrics, and what it cost.

Knows neither how documents are encoded nor how metrics are computed (`protocol`).

    index = Index.create("facts.index", model)
    index.add(folder.corpus())
    evaluation, run, receipt = evaluate_collection(folder, "dev", index)
    evaluation.metrics["ndcg@10"]
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from thought1.data.formats import BeirFolder
from thought1.evaluation.overlap import CheckedCorpus
from thought1.evaluation.protocol import Evaluation, evaluate
from thought1.index import Index
from thought1.search.pipeline import SearchOptions
from thought1.types import Qrels, Query, Receipt, Run, SearchResult, Thought1Error

DEPTH = 100
"""Documents per query in a run: what recall@100 needs."""

BATCH = 64
"""Queries that are searched at a time."""

Progress = Callable[[int], object]
"""Called with the number of queries done since the last call."""


def judged_queries(folder: BeirFolder, split: str) -> tuple[list[Query], Qrels]:
    """The queries that have judgements in a split, in file order, and the judgements.

    Raises:
        Thought1Error: no such split, or a judged query is missing in queries.jsonl.
    """
    qrels = folder.qrels(split)
    queries = [query for query in folder.queries() if query.id in qrels]
    missing = sorted(qrels.keys() - {query.id for query in queries})
    if missing:
        raise Thought1Error(
            f"{folder.path}: queries.jsonl lacks {len(missing)} of the queries judged in "
            f"qrels/{split}.tsv, such as {missing[0]!r}"
        )
    return queries, qrels


def evaluate_collection(
    folder: BeirFolder,
    split: str,
    index: Index,
    options: SearchOptions | None = None,
    *,
    on_progress: Progress | None = None,
) -> tuple[Evaluation, Run, Receipt]:
    """Ask the judged queries of a split.

    Args:
        index: holds the collection's documents, and no others.
        options: by default dense search to a depth of 100, with the checkpoint's own budget.

    Raises:
        Thought1Error: no such split, a judged query is missing, or ir-measures is; or the
            collection holds none of the judged documents.
    """
    queries, qrels = judged_queries(folder, split)
    CheckedCorpus(folder.corpus(), qrels).corpus.validate()
    options = options or SearchOptions(k=DEPTH, mode="dense")
    texts = [query.text for query in queries]
    results, receipt = search_in_batches(index, texts, options, on_progress=on_progress)
    run = run_of(queries, results)
    return evaluate(run, qrels), run, receipt


def run_of(queries: Sequence[Query], results: Sequence[SearchResult]) -> Run:
    """The hits of each query as a run."""
    return {
        query.id: {hit.id: hit.score for hit in result.hits}
        for query, result in zip(queries, results, strict=True)
    }


def without_identical_ids(
    queries: Sequence[Query], results: Sequence[SearchResult], depth: int = DEPTH
) -> tuple[list[SearchResult], int]:
    """The results without the document that has the query's own id, as BEIR and mteb count.

    Args:
        results: of one document more than `depth`, to which they are cut afterwards.

    Returns:
        The results, and how many documents were left out.
    """
    kept, removed = [], 0
    for query, result in zip(queries, results, strict=True):
        others = [hit for hit in result.hits if hit.id != query.id]
        removed += len(result.hits) - len(others)
        hits = (replace(hit, rank=rank) for rank, hit in enumerate(others[:depth], start=1))
        kept.append(replace(result, hits=tuple(hits)))
    return kept, removed


def search_in_batches(
    index: Index,
    queries: Sequence[str],
    options: SearchOptions,
    *,
    on_progress: Progress | None = None,
) -> tuple[list[SearchResult], Receipt]:
    """`Index.search_many`, some queries at a time, so that progress can be seen."""
    results: list[SearchResult] = []
    receipts: list[Receipt] = []
    for start in range(0, len(queries), BATCH):
        some, receipt = index.search_many(queries[start : start + BATCH], options)
        results += some
        receipts.append(receipt)
        if on_progress:
            on_progress(len(some))
    return results, _sum(receipts)


def _sum(receipts: Sequence[Receipt]) -> Receipt:
    milliseconds: dict[str, float] = {}
    for receipt in receipts:
        for step, time in receipt.milliseconds.items():
            milliseconds[step] = milliseconds.get(step, 0.0) + time
    return Receipt(
        queries=sum(receipt.queries for receipt in receipts),
        prompt_tokens=sum(receipt.prompt_tokens for receipt in receipts),
        thought_tokens=sum(receipt.thought_tokens for receipt in receipts),
        forced=sum(receipt.forced for receipt in receipts),
        milliseconds=milliseconds,
    )
