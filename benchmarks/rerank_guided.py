"""A walk that the reranker guides against the first documents, at equal numbers of documents read.

    python benchmarks/rerank_guided.py FOLDER --split train --ids IDS --kept KEPT \
        --reranker t1 --budgets 25,50,100 --json OUT

The search is as in rerank.py: with the bare question, or after thoughts about it. A document's
score is computed once and serves both ways, all budgets and weights; the rankings are those of the
search itself (`thought1.search.guided`, `thought1.search.reranking.fused_scores`). Differences are
paired, with 95% bootstrap intervals over questions: to the search alone, and of the walk to the
first documents.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from collection import Collection, load_collection
from record import exit_code, origin, write_json
from rerank import MEASURE, judged, numbers, search_parser, searched
from search import difference, fill
from search_thoughts import Thinking

from thought1.contracts import Reranker
from thought1.evaluation.statistics.protocol import bootstrap_ci, paired_bootstrap
from thought1.model.place import locate
from thought1.rerank.opening import open_reranker
from thought1.search.guided import guided
from thought1.search.options import SearchOptions
from thought1.search.reranking import check_guide, fused_scores
from thought1.search.steps import GUIDED_DEPTH
from thought1.store.lance import LanceStore
from thought1.t1 import T1
from thought1.types import Ranking


@dataclass
class Reader:
    """What a reranker says about the documents of one question, each read once."""

    reranker: Reranker
    collection: Collection
    query: str
    known: dict[str, float] = field(default_factory=dict)

    def __call__(self, ids: Sequence[str]) -> dict[str, float]:
        """The scores of these documents."""
        fresh = [id_ for id_ in ids if id_ not in self.known]
        if fresh:
            texts = [self.collection.documents[id_] for id_ in fresh]
            given = self.reranker.rerank(self.collection.queries[self.query], texts)
            self.known.update(zip(fresh, given.scores, strict=True))
        return {id_: self.known[id_] for id_ in ids}


def rankings(
    store: LanceStore,
    read: Reader,
    ranking: Ranking,
    budgets: Sequence[int],
    weights: Sequence[float],
) -> dict[str, Ranking]:
    """What each way makes of one question's ranking."""
    made: dict[str, Ranking] = {"search alone": ranking}
    for budget in budgets:
        first = ranking[:budget]
        read([id_ for id_, _ in first])
        for way, known in (("first", first), ("walk", guided(store, read, ranking, budget))):
            scores = [read.known[id_] for id_, _ in known]
            seen = {id_ for id_, _ in known}
            behind = [item for item in ranking if item[0] not in seen]
            for weight in weights:
                made[f"{way}, {budget} read, weight {weight:g}"] = fused_scores(
                    known, scores, weight, behind
                )
    return made


def table(values: dict[str, dict[str, float]]) -> str:
    """All ways as Markdown."""
    lines = [["way", "nDCG@10", "minus search alone", "walk minus first"], ["---"] * 4]
    for name, own in values.items():
        low, high = bootstrap_ci(list(own.values()))
        other = values.get(name.replace("walk", "first"))
        lines.append(
            [
                name,
                f"{np.mean(list(own.values())):.4f} [{low:.3f}, {high:.3f}]",
                "" if name == "search alone" else difference(own, values["search alone"]),
                difference(own, other) if other is not None and other is not own else "",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def run_benchmark(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Search, read, print, write."""
    budgets, weights = numbers(options.budgets, int), numbers(options.weights, float)
    collection = load_collection(options.folder, options.split, options.ids)
    model = T1.from_pretrained(locate(options.model), dtype="float32")
    thinking = Thinking(model, collection, options.kept)
    run = searched(thinking, GUIDED_DEPTH, options.thoughts)
    run = dict(list(run.items())[: options.questions])
    reranker = open_reranker(options.reranker, model)
    check_guide(reranker, SearchOptions(rerank=options.reranker, rerank_guided=True))
    made: dict[str, dict[str, Ranking]] = {}
    read, began = 0, perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        store = fill(Path(folder), thinking)
        for query, ranking in run.items():
            reader = Reader(reranker, collection, query)
            for name, found in rankings(store, reader, ranking, budgets, weights).items():
                made.setdefault(name, {})[query] = found
            read += len(reader.known)
    seconds = perf_counter() - began
    values = {name: dict(judged(collection, one).per_query[MEASURE]) for name, one in made.items()}
    print(f"{len(run)} questions, {len(collection.documents)} documents")
    both = f"{read / len(run):.0f} documents, {seconds / len(run):.1f} s"
    print(f"read for a question, by both ways together: {both}\n")
    print(table(values))
    if options.json:
        content = {"questions": len(run), "documents": len(collection.documents)}
        rows = [_shown(name, values) for name in values]
        write_json(options.json, {**origin("rerank_guided.py", arguments), **content, "rows": rows})


def _shown(name: str, values: dict[str, dict[str, float]]) -> dict[str, Any]:
    own = values[name]
    row: dict[str, Any] = {"name": name, MEASURE: float(np.mean(list(own.values())))}
    row["minus search alone"] = asdict(paired_bootstrap(own, values["search alone"]))
    if "walk" in name:
        first = values[name.replace("walk", "first")]
        row["walk minus first"] = asdict(paired_bootstrap(own, first))
    return {**row, "values": own}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = search_parser("A walk that the reranker guides.")
    parser.add_argument("--reranker", default="t1", help="as of t1 search --rerank, pointwise")
    parser.add_argument("--budgets", default="25,50,100", help="documents that are read")
    parser.add_argument("--weights", default="0.5", help="of the reranker")
    options = parser.parse_args(arguments)
    return exit_code(lambda: run_benchmark(options, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
