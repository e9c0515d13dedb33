"""What each pitfall of BRIGHT's protocol does to a figure, on a small generated collection.

Nothing is downloaded and no model is used: a "system" here counts words, in whole numbers, so that
the figures are the same on every machine. They say in which direction a pitfall pulls and that it
is not small, not how much it is worth on BRIGHT.

    python benchmarks/bright_pitfalls.py            # the table of docs/bright.md
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np
from bright_generated import WORDS, generate

from thought1.data.bright import BrightSource, BrightSubset
from thought1.evaluation.bright.run import evaluate_bright
from thought1.evaluation.bright.scores import SubsetScores, score_subset
from thought1.evaluation.bright.task import DEPTH, bright_task
from thought1.evaluation.systems import SystemFacts
from thought1.evaluation.systems.dense import DenseSystem, QueryVectors, TextEncoder
from thought1.evaluation.systems.vector_cache import VectorCache
from thought1.metrics import ndcg, order
from thought1.types import Run, Vectors


@dataclass(frozen=True, slots=True)
class Pitfall:
    """One line of the table; values are nDCG@10 where the texts say nothing else."""

    letter: str
    right: str
    right_value: float
    wrong: str
    wrong_value: float


@dataclass(frozen=True, slots=True)
class WordCounts:
    """A text's vector is how often each word occurs in it."""

    max_query_words: int = 1000
    max_document_words: int = 1000

    def encode_queries(self, texts: Sequence[str]) -> QueryVectors:
        """Vectors (n, WORDS)."""
        return QueryVectors(_count(texts, self.max_query_words))

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, WORDS)."""
        return _count(texts, self.max_document_words)


@dataclass(frozen=True, slots=True)
class Careless:
    """The same behind a cache that knows no more than the system's name."""

    system: WordCounts
    cache: VectorCache

    def encode_queries(self, texts: Sequence[str]) -> QueryVectors:
        """Vectors (n, WORDS)."""
        return self.system.encode_queries(texts)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, WORDS), perhaps stale ones."""
        return self.cache.vectors({"name": "word counts"}, texts, self.system.encode_documents)


def _count(texts: Sequence[str], most: int) -> Vectors:
    rows = np.zeros((len(texts), WORDS), np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in text.split()[:most]:
            row[int(word[1:])] += 1
    return rows


def _evaluate(subset: BrightSubset, encoder: TextEncoder) -> tuple[SubsetScores, Run]:
    """The scores, and the ranking without exclusions and without a cut."""
    system = DenseSystem(SystemFacts("words", "counts", "1"), encoder)
    result = evaluate_bright([subset], lambda name: system)
    task = bright_task(subset)
    documents, _ = task.read()
    return result.subsets[subset.name], system.rank(documents, task.texts, documents.size).run


def _mean(scores: SubsetScores, protocol: str = "official", measure: str = "ndcg@10") -> float:
    return scores.evaluations[protocol].metrics[measure]


def pitfalls(folder: Path, seed: int) -> list[Pitfall]:
    """One line for each letter; `folder` is empty and is filled."""
    generate(folder, seed)
    source = BrightSource(str(folder))
    subset = source.load("leetcode")
    scores, run = _evaluate(subset, WordCounts())
    right = _mean(scores)
    long, _ = _evaluate(source.load("pony", long=True), WordCounts())
    reasoned, _ = _evaluate(source.load("leetcode", queries="gpt4_reason"), WordCounts())
    half, _ = _evaluate(subset, WordCounts(max_query_words=5))
    recall = _mean(long, measure="recall@1")
    return [
        _misspelt(subset, run, right),
        _cut_too_early(subset, run, right),
        _dropped(scores, right),
        _ties(subset, run),
        Pitfall("e", "Recall@1, long documents", recall, "nDCG@10 of the same run", _mean(long)),
        Pitfall("f", "excluded documents out", right, "legacy MTEB", _mean(scores, "legacy")),
        Pitfall("g", "plain qrels", right, "adjusted qrels", _mean(scores, "adjusted")),
        _stale(subset, folder, right),
        Pitfall("i", "queries read whole", right, "cut after 5 of 8 words", _mean(half)),
        Pitfall("j", "original queries", right, "rewritten queries", _mean(reasoned)),
    ]


def _misspelt(subset: BrightSubset, run: Run, right: float) -> Pitfall:
    """Every fourth query names its excluded documents with another ending."""
    queries = list(subset.queries)
    for number in range(1, len(queries), 4):
        misspelt = frozenset(f"{name}.txt" for name in queries[number].excluded)
        queries[number] = replace(queries[number], excluded=misspelt)
    missing = sum(len(query.excluded - subset.pool) for query in queries)
    value = _mean(score_subset(replace(subset, queries=tuple(queries)), run))
    return Pitfall(
        "a", "excluded ids found", right, f"{missing} misspelt ids ignored in silence", value
    )


def _cut_too_early(subset: BrightSubset, run: Run, right: float) -> Pitfall:
    cut = {query: dict(list(found.items())[:DEPTH]) for query, found in run.items()}
    value = _mean(score_subset(subset, cut))
    return Pitfall("b", "cut after exclusion", right, f"first {DEPTH}, then exclusion", value)


def _dropped(scores: SubsetScores, right: float) -> Pitfall:
    values = scores.evaluations["official"].per_query["ndcg@10"]
    kept = [value for value in values.values() if value > 0]
    lost = len(values) - len(kept)
    return Pitfall(
        "c",
        f"mean over {len(values)} queries",
        right,
        f"{lost} without a hit left out",
        fmean(kept),
    )


def _ties(subset: BrightSubset, run: Run) -> Pitfall:
    """Scores halved and rounded down, as a coarse type rounds them; right is trec_eval's order."""
    qrels = subset.qrels()
    places = {document.id: place for place, document in enumerate(subset.documents())}
    trec, inserted = [], []
    for query in subset.queries:
        coarse = {d: s // 2 for d, s in run[query.id].items() if d not in query.excluded}
        by_insertion = sorted(coarse, key=lambda d: (-coarse[d], places[d]))
        trec.append(ndcg(order(coarse), qrels[query.id], 10))
        inserted.append(ndcg(by_insertion, qrels[query.id], 10))
    return Pitfall(
        "d", "coarse scores, trec_eval's order", fmean(trec), "order of insertion", fmean(inserted)
    )


def _stale(subset: BrightSubset, folder: Path, right: float) -> Pitfall:
    """Documents that were once cut after 4 words."""
    cache = VectorCache(folder / "cache")
    _evaluate(subset, Careless(WordCounts(max_document_words=4), cache))
    stale, _ = _evaluate(subset, Careless(WordCounts(), cache))
    return Pitfall(
        "h", "vectors computed again", right, "of an earlier maximum length", _mean(stale)
    )


def table(found: Sequence[Pitfall]) -> str:
    """Markdown."""
    lines = ["| | as the protocol says | nDCG@10 | otherwise | nDCG@10 |", "|---|---|---|---|---|"]
    lines += [
        f"| {p.letter} | {p.right} | {p.right_value:.3f} | {p.wrong} | {p.wrong_value:.3f} |"
        for p in found
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the generated collection")
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="bright-pitfalls-") as folder:
        print(table(pitfalls(Path(folder), arguments.seed)))


if __name__ == "__main__":
    main()
