"""What rerankers bring: nDCG@10, milliseconds, calls and tokens, beside the search they follow.

    python benchmarks/rerank.py FOLDER --split train --ids IDS --kept KEPT \
        --reranker cross-encoder:runs/cross-encoder --depths 25,50,100 --json OUT

The search is dense or hybrid (`--mode`): with the bare question (t1-mini-companion at budget 0 is
all-MiniLM-L6-v2), after one greedy thought (`--thoughts 1`), or with the mean of several sampled
ones.
Each document is scored once, at the largest depth, and all depths and weights are read from these
scores by the fusion of the search itself (`thought1.search.reranking.fused_scores`); of a reranker
that looks at documents together (openai:) give one depth alone. Differences are paired, with 95%
bootstrap intervals over questions (thought1.evaluation.statistics.protocol). The row oracle knows
the judgements: a bound, no way of searching.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from collection import Collection, load_collection
from record import exit_code, origin, write_json
from search import bare_thought, collection_parser, difference, fill
from search_thoughts import Thinking

from thought1.evaluation.statistics.protocol import (
    Evaluation,
    bootstrap_ci,
    evaluate,
    paired_bootstrap,
)
from thought1.model.place import locate
from thought1.rerank.opening import open_reranker
from thought1.search.exact import exact_run
from thought1.search.options import SearchOptions
from thought1.search.pipeline import search_many
from thought1.search.reranking import fused_scores
from thought1.search.vectors import fused
from thought1.t1 import T1
from thought1.types import Ranking, Reranked, Thought1Error, Vectors

MEASURE = "ndcg@10"
SHOWN = 100
"""Hits of a question that are judged."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way of searching."""

    name: str
    evaluation: Evaluation
    milliseconds: float
    """Of the reranker, for a question."""
    tokens: float = 0.0

    @property
    def values(self) -> dict[str, float]:
        """nDCG@10 of each question."""
        return dict(self.evaluation.per_query[MEASURE])


@dataclass(frozen=True, slots=True)
class Scored:
    """What a reranker gave for the first documents of each question."""

    given: dict[str, Reranked]
    milliseconds: float
    """For one document."""
    tokens: float
    """Likewise."""


def searched(
    thinking: Thinking, depth: int, thoughts: int = 0, mode: str = "dense"
) -> dict[str, Ranking]:
    """The first `depth` documents of each question, after so many thoughts about it."""
    questions, documents = thinking.collection.queries, thinking.collection.documents
    vectors_QD = query_vectors(thinking, thoughts)
    if mode == "hybrid":
        return of_both(thinking, depth, vectors_QD)
    run = exact_run(questions, vectors_QD, list(documents), thinking.documents(), depth)
    return {query: list(found.items()) for query, found in run.items()}


def of_both(thinking: Thinking, depth: int, vectors_QD: Vectors) -> dict[str, Ranking]:
    """The vectors' ranking and that of the question's words, as the search fuses them."""
    given = [bare_thought(0, vector) for vector in vectors_QD]
    with tempfile.TemporaryDirectory() as folder:
        store = fill(Path(folder), thinking)
        results, _ = search_many(
            store, thinking.model, thinking.queries, SearchOptions(k=depth, mode="hybrid"), given
        )
    return {
        query: [(hit.id, hit.score) for hit in result.hits]
        for query, result in zip(thinking.collection.queries, results, strict=True)
    }


def query_vectors(thinking: Thinking, thoughts: int) -> Vectors:
    """Of the bare questions (0), after one greedy thought (1), or the mean of sampled ones."""
    if thoughts > 1:
        return fused(thinking.sampled(thoughts).vectors_QKD)
    if thoughts == 1:
        return thinking.greedy().vectors_QCD[:, -1]
    return np.asarray(thinking.model.encode_query(thinking.queries, budget=0))


def scored(
    name: str, model: object, collection: Collection, run: dict[str, Ranking], depth: int
) -> Scored:
    """Let a reranker read the first `depth` documents of each question."""
    reranker = open_reranker(name, model)
    given: dict[str, Reranked] = {}
    began = perf_counter()
    for query, ranking in run.items():
        texts = [collection.documents[id_] for id_, _ in ranking[:depth]]
        given[query] = reranker.rerank(collection.queries[query], texts)
    read = sum(len(one.scores) for one in given.values())
    tokens = sum(one.tokens for one in given.values())
    return Scored(given, 1000 * (perf_counter() - began) / read, tokens / read)


def reranked(
    run: dict[str, Ranking], found: Scored, depth: int, weight: float
) -> dict[str, Ranking]:
    """The run in the order of a search that is reranked."""
    return {
        query: fused_scores(
            ranking[:depth], found.given[query].scores[:depth], weight, ranking[depth:]
        )
        for query, ranking in run.items()
    }


def oracle(collection: Collection, run: dict[str, Ranking], depth: int) -> dict[str, Ranking]:
    """The first documents by their judgements."""
    grades = collection.qrels
    return {
        query: fused_scores(
            ranking[:depth],
            [float(grades[query].get(id_, 0)) for id_, _ in ranking[:depth]],
            1.0,
            ranking[depth:],
        )
        for query, ranking in run.items()
    }


def judged(collection: Collection, run: dict[str, Ranking]) -> Evaluation:
    """nDCG@10 of each question; places decide, so that equal scores keep their order."""
    scores = {
        query: {id_: -float(place) for place, (id_, _) in enumerate(ranking[:SHOWN])}
        for query, ranking in run.items()
    }
    return evaluate(scores, {query: collection.qrels[query] for query in run}, [MEASURE])


def rows(
    collection: Collection,
    run: dict[str, Ranking],
    found: dict[str, Scored],
    depths: Sequence[int],
    weights: Sequence[float],
) -> list[Row]:
    """The search, each reranker at each depth and weight, and the oracle."""
    made = [Row("search alone", judged(collection, run), 0.0)]
    for name, one in found.items():
        for depth in depths:
            for weight in weights:
                ranked = judged(collection, reranked(run, one, depth, weight))
                label = f"{name}, depth {depth}, weight {weight:g}"
                made.append(Row(label, ranked, depth * one.milliseconds, depth * one.tokens))
    for depth in depths:
        best = judged(collection, oracle(collection, run, depth))
        made.append(Row(f"oracle, depth {depth}", best, 0.0))
    return made


def table(made: Sequence[Row]) -> str:
    """All rows as Markdown."""
    lines = [["way", "nDCG@10", "minus search alone", "tokens", "ms"], ["---"] * 5]
    for row in made:
        low, high = bootstrap_ci(list(row.values.values()))
        lines.append(
            [
                row.name,
                f"{row.evaluation.metrics[MEASURE]:.4f} [{low:.3f}, {high:.3f}]",
                "" if row is made[0] else difference(row.values, made[0].values),
                f"{row.tokens:.0f}",
                f"{row.milliseconds:.0f}",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def run_benchmark(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Search, rerank, print, write."""
    depths = numbers(options.depths, int)
    weights = numbers(options.weights, float)
    collection = load_collection(options.folder, options.split, options.ids)
    model = T1.from_pretrained(locate(options.model), dtype="float32")
    thinking = Thinking(model, collection, options.kept)
    run = searched(thinking, max(SHOWN, *depths), options.thoughts, options.mode)
    if options.questions:
        run = dict(list(run.items())[: options.questions])
    found = {}
    for name in options.reranker:
        # What a model is called by, without the folders of a machine.
        kind, _, place = name.partition(":")
        label = f"{kind}:{Path(place).name}" if kind == "cross-encoder" else name
        found[label] = scored(name, model, collection, run, max(depths))
    made = rows(collection, run, found, depths, weights)
    print(f"{len(run)} questions, {len(collection.documents)} documents\n")
    print(table(made))
    if options.json:
        content = {"questions": len(run), "documents": len(collection.documents)}
        report = {**origin("rerank.py", arguments), **content, "rows": list(map(_shown, made))}
        for row in report["rows"]:
            row["minus search alone"] = asdict(paired_bootstrap(row["values"], made[0].values))
        write_json(options.json, report)


def _shown(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        MEASURE: row.evaluation.metrics[MEASURE],
        "ci": bootstrap_ci(list(row.values.values())),
        "milliseconds": row.milliseconds,
        "tokens": row.tokens,
        "values": row.values,
    }


def numbers(text: str, kind: type) -> list[Any]:
    """Numbers with commas between them.

    Raises:
        Thought1Error: something else.
    """
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise Thought1Error(f"{text!r}: give numbers with commas between them") from None


def search_parser(description: str) -> argparse.ArgumentParser:
    """The options of the search that is reranked."""
    parser = collection_parser(description, "t1-mini-companion")
    parser.add_argument("--questions", type=int, metavar="N", help="only the first N of them")
    parser.add_argument(
        "--thoughts", type=int, default=0, help="about each question, before the search"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = search_parser("What rerankers bring.")
    parser.add_argument(
        "--reranker", action="append", default=[], help="as of t1 search --rerank; may be repeated"
    )
    parser.add_argument("--mode", default="dense", choices=("dense", "hybrid"))
    parser.add_argument("--depths", default="25,50,100")
    parser.add_argument("--weights", default="0.5,1")
    options = parser.parse_args(arguments)
    return exit_code(lambda: run_benchmark(options, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
