"""From a collection (BEIR folder) and an index to a run, its metrics, and what it cost.

Knows neither how documents are encoded nor how metrics are computed (`protocol`).

    index = Index.create("facts.index", model)
    index.add(folder.corpus())
    evaluation, run, receipt = evaluate_collection(folder, "dev", index)
    evaluation.metrics["ndcg@10"]
"""

from collections.abc import Iterable, Sequence

from thought1.data.formats import BeirFolder
from thought1.evaluation.overlap import CheckedCorpus
from thought1.evaluation.statistics.protocol import Evaluation, evaluate
from thought1.index import Index
from thought1.search.options import SearchOptions
from thought1.search.pipeline import Progress, search_in_batches
from thought1.types import Qrels, Query, Receipt, Run, SearchResult, Thought1Error

DEPTH = 100
"""Documents per query in a run: what recall@100 needs."""


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
    """Search for the judged queries of a split.

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
    run = run_of((query.id for query in queries), results)
    return evaluate(run, qrels), run, receipt


def run_of(query_ids: Iterable[str], results: Sequence[SearchResult]) -> Run:
    """The hits of each query as a run; as many ids as results."""
    return {
        id_: {hit.id: hit.score for hit in result.hits}
        for id_, result in zip(query_ids, results, strict=True)
    }
