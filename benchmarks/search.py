"""What ways of searching with thoughts bring: quality, tokens and milliseconds, in one table.

    python benchmarks/search.py FOLDER --split train --ids IDS --model models/t1-mini-companion \
        --samples 8 --kept FOLDER --json OUT

Every row is a search by `SearchOptions` through the steps of `t1 search`, over a real store; only
the model is replaced, by one that repeats what the model has thought before (`search_thoughts`),
so that a question is thought about once for all rows; rows that read first (`--evidence N`) think
anew. Differences are paired, with 95% bootstrap intervals over questions
(thought1.evaluation.statistics.protocol). Rows called oracle know the judgements.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from collection import load_collection
from record import exit_code, origin, write_json
from scipy.stats import spearmanr
from search_thoughts import CHECKPOINTS, Greedy, Sampled, Thinking

from thought1.evaluation.collection import run_of
from thought1.evaluation.statistics.protocol import (
    Evaluation,
    bootstrap_ci,
    evaluate,
    paired_bootstrap,
)
from thought1.model.place import locate
from thought1.search.options import SearchOptions
from thought1.search.pipeline import search_many
from thought1.store.lance import LanceStore
from thought1.t1 import T1
from thought1.types import Document, Sampling, SearchResult, StoredRow, Thought, Thought1Error

MEASURE = "ndcg@10"
RULES = ("mean", "rank", "agreement", "like-bare", "like-bm25", "like-others")
ROUNDS = (2, 3)
UNSURE = (0.1, 0.25, 0.5)
"""Shares of the questions, those with the lowest confidence, that fall back to hybrid."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way of searching."""

    section: str
    name: str
    evaluation: Evaluation
    tokens: float
    """Mean of the tokens thought about a question."""
    milliseconds: float
    """Mean for a question, thinking included."""
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, float]:
        """nDCG@10 of each question."""
        return dict(self.evaluation.per_query[MEASURE])


class Repeating:
    """A `Thinker` that thinks what the model thought before."""

    def __init__(self, thinking: Thinking, greedy: Greedy, sampled: Sampled | None) -> None:
        self.model = thinking.model
        self.kept, self.several = greedy, sampled
        self.places = {query: place for place, query in enumerate(thinking.queries)}

    @property
    def greedy(self) -> Sampling:
        """The model's."""
        return self.model.greedy

    @property
    def sampled(self) -> Sampling:
        """The model's."""
        return self.model.sampled

    def think(
        self,
        queries: Sequence[str],
        *,
        budget: int | None = None,
        sampling: Sampling | None = None,
        samples: int = 1,
        evidence: Sequence[Sequence[str]] | None = None,
        **others: object,
    ) -> list[Thought]:
        """What was thought with that budget; of sampled thoughts, which have all of it, the first
        ones.

        Raises:
            ValueError: anything else is asked for, which was not kept.
        """
        if evidence or any(others.values()):
            raise ValueError("only budgets and samples are kept")
        places = [self.places[query] for query in queries]
        if sampling is not None and sampling.temperature > 0 and budget != 0:
            if self.several is None:
                raise ValueError("no thoughts were sampled")
            return [
                bare_thought(self.several.tokens_QK[q, k], self.several.vectors_QKD[q, k])
                for q in places
                for k in range(samples)
            ]
        tokens = CHECKPOINTS[-1] if budget is None else budget
        at = CHECKPOINTS.index(tokens)
        return [
            bare_thought(min(tokens, self.kept.tokens_Q[q]), self.kept.vectors_QCD[q, at])
            for q in places
        ]

    def check_evidence(self, budget: int | None = None) -> None:
        """Raises Thought1Error: nothing was read."""
        raise Thought1Error("these thoughts were written without evidence")

    def fit_evidence(
        self, queries: Sequence[str], evidence: Sequence[Sequence[str]]
    ) -> list[list[str]]:
        """None of it."""
        return [[] for _ in queries]

    def count_prompt_tokens(
        self, queries: Sequence[str], *, evidence: Sequence[Sequence[str]] | None = None
    ) -> int:
        """The model's count."""
        return self.model.count_prompt_tokens(queries)


def bare_thought(tokens: int, vector: np.ndarray) -> Thought:
    """Its vector and its length, without its text."""
    return Thought("", (0,) * int(tokens), "budget" if tokens else "none", vector)


class Bench:
    """One model on one collection."""

    def __init__(self, thinking: Thinking, store: LanceStore, samples: int) -> None:
        self.collection, self.queries, self.store = thinking.collection, thinking.queries, store
        self.kept = thinking.greedy()
        self.several = thinking.sampled(samples) if samples > 1 else None
        self.model = Repeating(thinking, self.kept, self.several)
        self.samples = samples

    def search(
        self, section: str, name: str, options: SearchOptions
    ) -> tuple[Row, list[SearchResult]]:
        """Search for all questions, once."""
        model = self.model.model if options.evidence else self.model
        results, receipt = search_many(self.store, model, self.queries, options)
        count = len(self.queries)
        spent = sum(receipt.milliseconds.values()) / count
        if not options.evidence:  # what was repeated took its time before
            spent += self._thinking(options) - receipt.milliseconds.get("think", 0.0) / count
        row = Row(
            section,
            name,
            self.evaluate(results),
            receipt.thought_tokens / count,
            spent,
            {n: v for n, v in asdict(options).items() if v != getattr(SearchOptions(), n)},
        )
        return row, results

    def evaluate(self, results: Sequence[SearchResult]) -> Evaluation:
        """nDCG@10 of each question."""
        run = run_of(self.collection.queries, results)
        return evaluate(run, self.collection.qrels, [MEASURE])

    def _thinking(self, options: SearchOptions) -> float:
        """Milliseconds of the language model for one question."""
        if options.mode == "bm25":
            return 0.0
        if self.several is not None and (options.samples > 1 or options.sampling):
            return self.several.milliseconds if options.samples > 1 else float("nan")
        return float(self.kept.milliseconds_C[CHECKPOINTS.index(options.think or 0)])

    def anytime(self) -> Iterator[Row]:
        """One greedy thought, read at each checkpoint; BM25 and hybrid beside it."""
        yield self.search("anytime", "bm25", SearchOptions(mode="bm25"))[0]
        for tokens in CHECKPOINTS:
            yield self.search("anytime", f"@{tokens}", SearchOptions(mode="dense", think=tokens))[0]
        for tokens in (0, CHECKPOINTS[-1]):
            options = SearchOptions(mode="hybrid", think=tokens)
            yield self.search("anytime", f"hybrid@{tokens}", options)[0]

    def reading(self, evidence: int) -> Iterator[Row]:
        """The first documents are read before thinking, once and in rounds."""
        budget = CHECKPOINTS[-1]
        once = SearchOptions(mode="dense", think=budget, evidence=evidence)
        yield self.search("reading", f"reading {evidence}", once)[0]
        hybrid = replace(once, mode="hybrid")
        yield self.search("reading", f"hybrid, reading {evidence}", hybrid)[0]
        for rounds in ROUNDS:
            name = f"reading {evidence}, {rounds} rounds"
            yield self.search("reading", name, replace(once, rounds=rounds))[0]

    def combined(self) -> Iterator[Row]:
        """Several thoughts: each rule, the first one alone, and the best one in hindsight."""
        assert self.several is not None
        warm, most = self.model.sampled, self.samples
        budget = CHECKPOINTS[-1]
        first = SearchOptions(mode="dense", think=budget, sampling=warm)
        yield self.search("several", "first", first)[0]
        for rule in RULES:
            options = SearchOptions(mode="dense", think=budget, samples=most, combine=rule)
            row, results = self.search("several", rule, options)
            yield row
            if rule == "mean":
                yield from self._falling_back(row, results, options)
        yield self._oracle()

    def _falling_back(
        self, mean: Row, results: Sequence[SearchResult], options: SearchOptions
    ) -> Iterator[Row]:
        sure = [result.confidence or 0.0 for result in results]
        values = [mean.values[id_] for id_ in self.collection.queries]
        found = spearmanr(sure, values)
        told = {"spearman": float(found.statistic), "p": float(found.pvalue)}
        for share in (*UNSURE, 1.0):
            least = float(np.quantile(sure, share)) if share < 1 else 1.0
            changed = SearchOptions(
                mode="dense", think=options.think, samples=options.samples, min_confidence=least
            )
            row, _ = self.search("several", f"mean, hybrid below {least:.3f}", changed)
            row.settings.update(told)
            yield row

    def _oracle(self) -> Row:
        """The thought on each question that finds most, by the judgements."""
        assert self.several is not None
        best: dict[str, float] = {}
        for copy in range(self.samples):
            thoughts = [
                bare_thought(1, self.several.vectors_QKD[q, copy]) for q in range(len(self.queries))
            ]
            options = SearchOptions(mode="dense", think=1)
            results, _ = search_many(self.store, self.model, self.queries, options, thoughts)
            for id_, value in self.evaluate(results).per_query[MEASURE].items():
                best[id_] = max(best.get(id_, 0.0), value)
        tokens = float(self.several.tokens_QK.sum(axis=1).mean())
        evaluation = Evaluation({MEASURE: dict(sorted(best.items()))})
        return Row("several", "oracle", evaluation, tokens, self.several.milliseconds)


def table(rows: Sequence[Row]) -> str:
    """All rows as Markdown; differences are from the bare query and from the first sample."""
    by_name = {row.name: row for row in rows}
    references = [name for name in ("@0", f"@{CHECKPOINTS[-1]}", "first") if name in by_name]
    head = ["way", "nDCG@10", *(f"minus {name}" for name in references), "tokens", "ms"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        low, high = bootstrap_ci(list(row.values.values()))
        cells = [row.name, f"{row.evaluation.metrics[MEASURE]:.4f} [{low:.3f}, {high:.3f}]"]
        for name in references:
            same = name == row.name
            cells.append("" if same else difference(row.values, by_name[name].values))
        lines.append([*cells, f"{row.tokens:.1f}", f"{row.milliseconds:.0f}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def difference(own: Mapping[str, float], other: Mapping[str, float]) -> str:
    """The mean of a paired difference, and its interval, for a table."""
    found = paired_bootstrap(own, other)
    return f"{found.mean:+.4f} [{found.low:+.3f}, {found.high:+.3f}]"


def fill(folder: Path, thinking: Thinking) -> LanceStore:
    """A store that holds the collection, with its vectors."""
    vectors_ND = thinking.documents()
    store = LanceStore.create(folder / "store", vectors_ND.shape[1], {})
    pairs = zip(thinking.collection.documents.items(), vectors_ND, strict=True)
    store.upsert([StoredRow(Document(id_, text), vector, "") for (id_, text), vector in pairs])
    store.optimize()
    return store


def run_benchmark(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Think or read what was thought, search, print, write."""
    collection = load_collection(options.folder, options.split, options.ids)
    model = T1.from_pretrained(locate(options.model), dtype="float32")
    thinking = Thinking(model, collection, options.kept)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(thinking, fill(Path(folder), thinking), options.samples)
        rows = list(bench.anytime())
        if options.samples > 1:
            rows += bench.combined()
        if options.evidence:
            rows += bench.reading(options.evidence)
    print(f"{len(collection.queries)} questions, {len(collection.documents)} documents\n")
    print(table(rows))
    if options.json:
        write_json(options.json, {**origin("search.py", arguments), **_content(rows, model, bench)})


def _content(rows: Sequence[Row], model: T1, bench: Bench) -> dict[str, Any]:
    return {
        "weights": model.weights_hash,
        "questions": list(bench.collection.queries),
        "samples": bench.samples,
        "rows": [
            {
                "section": row.section,
                "name": row.name,
                MEASURE: row.evaluation.metrics[MEASURE],
                "ci": bootstrap_ci(list(row.values.values())),
                "minus @0": asdict(paired_bootstrap(row.values, rows[1].values)),
                "tokens": row.tokens,
                "milliseconds": None if np.isnan(row.milliseconds) else row.milliseconds,
                "settings": row.settings,
                "values": [round(row.values[id_], 5) for id_ in bench.collection.queries],
            }
            for row in rows
        ],
    }


def collection_parser(description: str, model: str | None = None) -> argparse.ArgumentParser:
    """The options that a collection, a model and its kept thoughts need.

    Args:
        model: the default; without one the option is required.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path, help="collection in BEIR layout")
    parser.add_argument("--split", required=True, help="judgements: qrels/SPLIT.tsv")
    parser.add_argument("--ids", type=Path, help="file of question ids: use only these")
    parser.add_argument(
        "--model", required=model is None, default=model, help="folder, package or hub id of a T1"
    )
    parser.add_argument(
        "--kept", type=Path, required=True, metavar="FOLDER", help="thoughts are kept here"
    )
    parser.add_argument("--json", type=Path, help="write the result here")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = collection_parser("What ways of searching with thoughts bring.")
    parser.add_argument(
        "--samples", type=int, default=8, metavar="K", help="sampled thoughts; 1 leaves them out"
    )
    parser.add_argument(
        "--evidence", type=int, default=0, metavar="N", help="rows that read N documents first"
    )
    options = parser.parse_args(arguments)
    return exit_code(lambda: run_benchmark(options, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
