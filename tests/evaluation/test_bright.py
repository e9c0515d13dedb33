"""The four protocols of BRIGHT, each against a reference written out by hand over pytrec_eval."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import pytrec_eval
from bright_files import Example, write_documents, write_examples

from thought1.data.bright import SHORT, BrightSource, BrightSubset
from thought1.evaluation.bright.protocols import PROTOCOLS
from thought1.evaluation.bright.run import evaluate_bright
from thought1.evaluation.bright.scores import BrightResult, score_subset
from thought1.evaluation.bright.task import DEPTH, bright_task
from thought1.evaluation.measure import Measured
from thought1.evaluation.systems import Answers, Documents, SystemFacts, open_system
from thought1.evaluation.systems.base import Bars, no_bars
from thought1.evaluation.systems.bm25_scores import PlainBM25, QueryBM25
from thought1.evaluation.systems.dense import DenseSystem, QueryVectors, TextEncoder
from thought1.search.blockwise import blockwise_run
from thought1.types import Receipt, Run, Thought, Thought1Error, Vectors

MEASURES = {"ndcg@10": "ndcg_cut_10", "recall@1": "recall_1"}
WORDS = 16


class Words:
    """Vectors of whole numbers, so that scores are exact and ties many: how often a word occurs."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def encode_queries(self, texts: Sequence[str]) -> QueryVectors:
        return QueryVectors(self.count(texts))

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        self.sizes.append(len(texts))
        return self.count(texts)

    @staticmethod
    def count(texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), WORDS), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.split():
                row[int(word)] += 1
        return rows


def sentence(rng: np.random.Generator, size: int) -> str:
    return " ".join(str(word) for word in rng.integers(WORDS, size=size))


def pool(rng: np.random.Generator, size: int) -> dict[str, str]:
    texts = {f"d/{i}": sentence(rng, 12) for i in range(size)}
    for i in range(0, size, 10):  # copies, of which the white space outside differs
        texts[f"d/{i}"] = f"  {texts[f'd/{i + 1}']}\n"
    return texts


def collection(folder: Path, subset: str = "leetcode", size: int = 3000) -> BrightSubset:
    """A third of the queries exclude some documents, one more than the depth; one has no gold."""
    rng = np.random.default_rng(len(subset))
    texts = pool(rng, size)
    names = list(texts)
    examples = []
    for i in range(12):
        query = sentence(rng, 8)
        scores = Words.count([query]) @ Words.count(list(texts.values())).T
        best = [names[place] for place in np.argsort(-scores[0], kind="stable")]
        excluded = ["N/A"]
        if i == 5:
            excluded = best[: DEPTH + 300]
        elif i % 3 == 1:
            excluded = best[:7]
        left = [name for name in best if name not in excluded]
        gold = [] if i == 8 else [left[0], left[3 * i], left[40]]
        examples.append(Example(f"{i}", query, gold, excluded, ["N/A"]))
    write_documents(folder, subset, texts)
    write_examples(folder, subset, examples)
    return BrightSource(str(folder)).load(subset)


def all_scores(subset: BrightSubset) -> dict[str, dict[str, float]]:
    documents = list(subset.documents())
    vectors = Words.count([d.text for d in documents])
    return {
        q.id: {
            d.id: float(s)
            for d, s in zip(documents, vectors @ Words.count([q.text])[0], strict=True)
        }
        for q in subset.queries
    }


def means(run: Run, qrels: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    found = pytrec_eval.RelevanceEvaluator(qrels, set(MEASURES.values())).evaluate(run)
    return {ours: fmean(v[theirs] for v in found.values()) for ours, theirs in MEASURES.items()}


def official_run(subset: BrightSubset) -> Run:
    """As the official get_scores does it."""
    run, everything = {}, all_scores(subset)
    for query in subset.queries:
        scores = everything[query.id]
        for name in query.excluded:
            scores.pop(name)
        run[query.id] = dict(sorted(scores.items(), key=lambda x: x[1], reverse=True)[:1000])
    return run


def gold(subset: BrightSubset) -> dict[str, dict[str, int]]:
    return {q.id: dict.fromkeys(q.gold, 1) for q in subset.queries}


def adjusted_gold(subset: BrightSubset) -> dict[str, dict[str, int]]:
    """As create_adjusted_qrels.py does it."""
    by_content: dict[str, list[str]] = {}
    for document in subset.documents():
        by_content.setdefault(document.text.strip(), []).append(document.id)
    groups = {name: group for group in by_content.values() for name in group}
    return {q.id: {copy: 1 for g in q.gold for copy in groups[g]} for q in subset.queries}


def answers(run: Run) -> Answers:
    return Answers(run, Receipt(len(run), 0, 0, 0, {}))


FACTS = SystemFacts("words", "counts", "1")


def dense(encoder: TextEncoder) -> DenseSystem:
    return DenseSystem(FACTS, encoder)


class Function:
    """A system that ranks by a function of texts."""

    facts = FACTS

    def __init__(self, rank: Callable[[Documents, Mapping[str, str], int], Answers]) -> None:
        self._rank = rank

    def rank(
        self, documents: Documents, queries: Mapping[str, str], depth: int, bars: Bars = no_bars
    ) -> Answers:
        return self._rank(documents, queries, depth)

    def close(self) -> None:
        raise AssertionError


def evaluated(subset: BrightSubset) -> BrightResult:
    return evaluate_bright([subset], lambda name: dense(Words()))


def ranked(subset: BrightSubset, encoder: TextEncoder, depth: int) -> Answers:
    task = bright_task(subset)
    return dense(encoder).rank(task.read()[0], task.texts, depth)


def test_protocols_equal_their_references(tmp_path: Path) -> None:
    subset = collection(tmp_path)
    scores = evaluated(subset).subsets["leetcode"]
    run = official_run(subset)
    everything = {
        query: dict(sorted(s.items(), key=lambda x: x[1], reverse=True)[:1000])
        for query, s in all_scores(subset).items()
    }
    expected = {
        "official": means(run, gold(subset)),
        "mteb": means(run, gold(subset)),
        "adjusted": means(run, adjusted_gold(subset)),
        "legacy": means(everything, gold(subset)),
    }
    assert {p.name for p in PROTOCOLS} == set(expected) == set(scores.evaluations)
    for name, values in expected.items():
        assert scores.evaluations[name].metrics == pytest.approx(values, abs=1e-12)
    figures = {round(values["ndcg@10"], 6) for values in expected.values()}
    assert len(figures) == 3  # official and mteb agree, the others differ
    assert (scores.documents, scores.without_gold, scores.missing_excluded) == (3000, 1, 0)
    assert (scores.num_excluding, scores.num_short) == (5, 0)
    added = sum(map(len, adjusted_gold(subset).values())) - sum(map(len, gold(subset).values()))
    assert scores.num_copies == added > 0


def test_depth_is_not_lost(tmp_path: Path) -> None:
    """One query excludes the 1300 best: cut before exclusion, nothing would be left of it."""
    subset = collection(tmp_path)
    kept: dict[str, Run] = {}
    evaluate_bright(
        [subset],
        lambda name: dense(Words()),
        on_measured=lambda one, _, measured: kept.update({one.name: measured.run}),
    )
    assert kept["leetcode"] == official_run(subset)
    assert all(len(run) == DEPTH for run in kept["leetcode"].values())


def test_long_documents(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_documents(tmp_path, "pony", pool(rng, 40), config="long_documents")
    examples = [Example(f"{i}", sentence(rng, 8), gold_long=[f"d/{i}"]) for i in range(9)]
    write_examples(tmp_path, "pony", examples)
    subset = BrightSource(str(tmp_path)).load("pony", long=True)
    result = evaluated(subset)
    official = result.subsets["pony"].evaluations["official"]
    expected = means(all_scores(subset), gold(subset))
    assert official.metrics == pytest.approx(expected, abs=1e-12)
    assert official.metrics["recall@1"] != pytest.approx(official.metrics["ndcg@10"])
    assert (result.long, result.complete) == (True, False)


def test_average_and_content(tmp_path: Path) -> None:
    subsets = [collection(tmp_path, name, size=1500) for name in SHORT]
    encoder, names = Words(), []

    def system_of(name: str) -> DenseSystem:
        names.append(f"for {name}")
        return dense(encoder)

    result = evaluate_bright(iter(subsets), system_of)
    assert names == [f"for {name}" for name in SHORT]
    assert max(encoder.sizes) <= 2048
    values = [means(official_run(s), gold(s))["ndcg@10"] for s in subsets]
    assert result.average("official", "ndcg@10") == pytest.approx(fmean(values), abs=1e-12)
    assert result.complete
    assert result.track == "original queries"
    content: dict[str, Any] = result.to_json()
    assert content["average"]["legacy"]["ndcg@10"] == result.average("legacy", "ndcg@10")
    aops = content["subsets"]["aops"]["protocols"]["adjusted"]
    assert set(aops) == {"metrics", "ci", "queries", "per_query"}
    assert fmean(aops["per_query"]["ndcg@10"].values()) == pytest.approx(aops["metrics"]["ndcg@10"])
    assert set(content["differences"]) == {p.name for p in PROTOCOLS}


def test_a_ranker(tmp_path: Path) -> None:
    """A function from texts to a run gives the same figures as vectors, and may find less."""
    subset = collection(tmp_path)
    asked = []

    def rank(documents: Documents, queries: Mapping[str, str], depth: int) -> Answers:
        asked.append((documents.size, len(queries), depth))
        scores = all_scores(subset)
        return answers({q: {d: s for d, s in scores[q].items() if s > 9} for q in queries})

    result = evaluate_bright([subset], lambda name: Function(rank))
    assert asked == [(3000, 12, DEPTH + 1300)]
    assert result.subsets["leetcode"].num_short > 0
    everything = Function(lambda d, q, k: answers(all_scores(subset)))
    full = evaluate_bright([subset], lambda name: everything)
    assert full.subsets["leetcode"].to_json() == evaluated(subset).subsets["leetcode"].to_json()


@pytest.mark.parametrize("kind", ["bm25", "bm25-query"])
def test_words_are_ranked_deeper_than_what_is_excluded(tmp_path: Path, kind: str) -> None:
    texts = {f"d/{i}": "kiln " * (1 + i % 3) + "clay" * (i % 2) for i in range(DEPTH + 60)}
    texts["gold"], texts["other"] = "a kiln", "bees"
    out = [name for name in texts if name.startswith("d/")][: DEPTH + 40]
    write_documents(tmp_path, "pony", texts)
    write_examples(tmp_path, "pony", [Example("0", "kiln", ["gold"], out)])
    kept: list[Measured] = []
    with open_system(kind) as system:
        result = evaluate_bright(
            [BrightSource(str(tmp_path)).load("pony")],
            lambda name: system,
            on_measured=lambda one, scores, measured: kept.append(measured),
        )
    (answered,) = kept
    assert answered.run["0"].keys() == texts.keys() - {*out, "other"}  # shares no word
    assert result.subsets["pony"].num_short == 1
    assert (answered.answers.thoughts, answered.receipt.milliseconds.keys()) == ({}, {"bm25"})
    words = {"bm25": PlainBM25, "bm25-query": QueryBM25}[kind]()
    words.index(list(texts.values()))
    scores = dict(zip(texts, words.scores("kiln").tolist(), strict=True))
    assert answered.run["0"] == {name: scores[name] for name in answered.run["0"]}
    assert (system.facts.name, system.facts.mode) == (kind, "bm25")


def test_what_a_ranking_costs(tmp_path: Path) -> None:
    """Thoughts and tokens of the pass stay with their queries."""

    class Thinking(Words):
        def encode_queries(self, texts: Sequence[str]) -> QueryVectors:
            thoughts = [
                Thought(text[:1], tuple(range(i)), "eos" if i % 2 else "emb_token")
                for i, text in enumerate(texts)
            ]
            return QueryVectors(self.count(texts), thoughts, 100)

    subset = collection(tmp_path, size=1500)
    found = ranked(subset, Thinking(), 5)
    assert list(found.thoughts) == [query.id for query in subset.queries]
    assert all(found.thoughts[query.id][0].text == query.text[:1] for query in subset.queries)
    receipt = found.receipt
    assert (receipt.queries, receipt.prompt_tokens) == (12, 100)
    assert (receipt.thought_tokens, receipt.forced) == (66, 6)
    assert receipt.milliseconds.keys() == {"think", "dense"}
    assert min(receipt.milliseconds.values()) > 0
    plain = ranked(subset, Words(), 5)
    assert plain.run == found.run
    assert plain.receipt.milliseconds.keys() == {"embed", "dense"}


def test_coverage_is_asserted(tmp_path: Path) -> None:
    subset = collection(tmp_path)
    run = all_scores(subset)
    run["3"]["x"] = 1.0
    with pytest.raises(Thought1Error, match="query '3' holds a document that the subset lacks"):
        score_subset(subset, run)
    del run["3"]
    with pytest.raises(Thought1Error, match=r"lacks 1 of 12 queries, such as '3'"):
        score_subset(subset, run)
    with pytest.raises(ValueError, match="of one kind"):
        evaluate_bright([], lambda name: dense(Words()))


def test_excluded_copies_of_gold_are_not_relevant(tmp_path: Path) -> None:
    texts = {"a": "1", "b": "1", "c": "2"}
    write_documents(tmp_path, "aops", texts)
    write_examples(tmp_path, "aops", [Example("0", "1", ["a"], ["b", "gone"])])
    scores = evaluated(BrightSource(str(tmp_path)).load("aops")).subsets["aops"]
    assert scores.evaluations["adjusted"].metrics["ndcg@10"] == 1.0
    assert (scores.num_copies, scores.missing_excluded, scores.num_excluding) == (0, 1, 1)
    assert scores.evaluations["legacy"].metrics["recall@1"] == 0.0  # "b" wins the tie


@pytest.mark.parametrize("depth", [1, 7, 50, 99, 100, 300])
@pytest.mark.parametrize("block", [1, 13, 100])
def test_blockwise_search_is_a_stable_sort(depth: int, block: int) -> None:
    rng = np.random.default_rng(depth)
    documents = rng.integers(-2, 3, (100, 3)).astype(np.float32)
    queries = rng.integers(-2, 3, (4, 3)).astype(np.float32)
    ids = [f"d{i}" for i in range(100)]
    blocks = [(ids[i : i + block], documents[i : i + block]) for i in range(0, 100, block)]
    run = blockwise_run(list("abcd"), queries, blocks, depth)
    for query, vector in zip("abcd", queries, strict=True):
        scores = documents @ vector
        best = np.argsort(-scores, kind="stable")[:depth]
        assert list(run[query].items()) == [(ids[i], float(scores[i])) for i in best]


def test_search_refuses_what_is_no_number() -> None:
    queries = np.ones((1, 2), np.float32)
    broken = np.array([[1, np.nan]], np.float32)
    with pytest.raises(Thought1Error, match="not a finite number"):
        blockwise_run(["q"], queries, [(["d"], broken)], 10)
