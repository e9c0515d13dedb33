"""Two runs compared: planted differences and nulls, one subset and several, the queries behind."""

import json
import random
from pathlib import Path

import pytest

from thought1.evaluation.statistics.compare import RunPair, compare_runs, read_written_thoughts
from thought1.evaluation.statistics.protocol import bootstrap_ci, paired_bootstrap
from thought1.evaluation.statistics.randomisation import randomisation_test
from thought1.types import Qrels, Run, Thought1Error

pytest.importorskip("ir_measures")


def ranked(place: int) -> dict[str, float]:
    """Ten documents with the relevant one, "r", at this place (from 1 on)."""
    others = [f"d{number}" for number in range(9)]
    docs = [*others[: place - 1], "r", *others[place - 1 :]]
    return {doc: -float(rank) for rank, doc in enumerate(docs)}


def pair(places_a: list[int], places_b: list[int]) -> RunPair:
    qrels: Qrels = {f"q{number:03}": {"r": 1} for number in range(len(places_a))}
    runs: list[Run] = [
        {query: ranked(place) for query, place in zip(qrels, places, strict=True)}
        for places in (places_a, places_b)
    ]
    return RunPair(runs[0], runs[1], qrels)


def random_pair(seed: int, queries: int, gain: float) -> RunPair:
    """b at a random place; a beside it, and earlier in the mean where `gain` is above 0."""
    rng = random.Random(seed)
    places_b = [rng.randint(1, 10) for _ in range(queries)]
    places_a = [min(10, max(1, round(place + rng.gauss(-gain, 2)))) for place in places_b]
    if gain == 0:  # which of the two is a is decided by a coin: no difference at all
        swaps = [rng.random() < 0.5 for _ in places_a]
        both = list(zip(places_a, places_b, swaps, strict=True))
        places_a = [b if swap else a for a, b, swap in both]
        places_b = [a if swap else b for a, b, swap in both]
    return pair(places_a, places_b)


def test_one_pair_by_hand() -> None:
    found = compare_runs({"main": pair([1, 2, 1, 4], [2, 2, 1, 1])}, "mrr")["main"]
    assert found.a == {"q000": 1.0, "q001": 0.5, "q002": 1.0, "q003": 0.25}
    assert (found.mean_a, found.mean_b) == (0.6875, 0.75)
    assert found.difference.mean == pytest.approx(-0.0625)
    assert (found.wins.wins, found.wins.ties, found.wins.losses) == (1, 2, 1)
    assert (found.p, found.exact, found.holm) == (1.0, True, 1.0)  # 0.5 and -0.75: 4 of 4 patterns
    assert found.largest(5, 1) == ["q000"] and found.largest(5, -1) == ["q003"]
    assert found.largest(0, 1) == []


def test_largest_is_by_difference_then_by_id() -> None:
    found = compare_runs({"x": pair([1, 1, 1, 1], [2, 5, 5, 10])}, "mrr")["x"]
    assert found.largest(3, 1) == ["q003", "q001", "q002"]
    assert found.largest(3, -1) == []


def test_the_parts_are_those_of_the_library() -> None:
    found = compare_runs({"x": random_pair(1, 50, 0.5)}, "ndcg@10", seed=7)["x"]
    assert found.difference == paired_bootstrap(found.a, found.b, seed=7)
    assert found.interval_a == bootstrap_ci(list(found.a.values()), seed=7)
    gaps = [found.a[query] - found.b[query] for query in sorted(found.a)]
    assert found.p == randomisation_test(gaps, seed=7).p == found.holm
    content = found.to_json()
    assert json.loads(json.dumps(content)) == content
    assert content["a"]["mean"] - content["b"]["mean"] == pytest.approx(
        content["difference"]["mean"]
    )


def test_a_planted_difference_is_found() -> None:
    pairs = {f"s{seed}": random_pair(seed, 80, 1.5) for seed in range(5)}
    for found in compare_runs(pairs, "ndcg@10").values():
        assert found.holm < 0.01
        assert 0 < found.difference.low < found.difference.mean
        assert found.wins.wins > found.wins.losses
    turned = {name: RunPair(pair.b, pair.a, pair.qrels) for name, pair in pairs.items()}
    assert all(found.difference.high < 0 for found in compare_runs(turned, "ndcg@10").values())


def test_a_planted_null_is_judged_right() -> None:
    """40 families of three subsets without a difference: Holm errs on about 2, alone on about 6."""
    families = [
        compare_runs({f"s{k}": random_pair(3 * n + k, 18, 0) for k in range(3)}, "ndcg@10")
        for n in range(40)
    ]
    wrong = sum(min(found.holm for found in family.values()) < 0.05 for family in families)
    assert wrong <= 6
    p_values = [found.p for family in families for found in family.values()]
    assert 0.4 < sum(p_values) / len(p_values) < 0.6


def test_holm_is_over_the_subsets() -> None:
    pairs = {"clear": pair([1] * 9, [5] * 9), "same": pair([1] * 9, [1] * 9)}
    found = compare_runs(pairs, "mrr")
    assert found["clear"].p == pytest.approx(2 / 2**9)
    assert found["clear"].holm == pytest.approx(4 / 2**9)
    assert found["same"].p == found["same"].holm == 1.0


def test_exclusions_hold_for_both_runs() -> None:
    one = pair([2], [3])
    found = compare_runs({"x": RunPair(one.a, one.b, one.qrels, {"q000": {"d0"}})}, "mrr")["x"]
    assert (found.mean_a, found.mean_b) == (1.0, 0.5)


def test_refused() -> None:
    one = pair([1, 2], [2, 1])
    lacking = RunPair(one.a, {"q000": {"r": 1.0}}, one.qrels)
    with pytest.raises(Thought1Error, match="dev, second run: the run lacks 1 of the 2 judged"):
        compare_runs({"dev": lacking}, "mrr")
    with pytest.raises(Thought1Error, match="dev, first run: the run is empty"):
        compare_runs({"dev": RunPair({}, one.b, one.qrels)}, "mrr")
    with pytest.raises(Thought1Error, match=r"^unknown measure 'map'"):
        compare_runs({"dev": one}, "map")
    with pytest.raises(ValueError, match="at least one pair"):
        compare_runs({}, "mrr")


def test_read_written_thoughts(tmp_path: Path) -> None:
    path = tmp_path / "details.jsonl"
    rows = [
        {"_id": "q1", "query": "Why?", "thought": " Because. ", "hits": []},
        {"_id": "q2", "thought": None},
        {"_id": "q3", "text": "Salt melts ice."},
        {"_id": "q3", "text": "Salt melts ice."},
    ]
    path.write_text("\n\n".join(json.dumps(row) for row in rows))
    assert read_written_thoughts(path) == {"q1": "Because.", "q3": "Salt melts ice."}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "t is empty"),
        ('{"_id": "q"}', 't:1: needs the field "thought" or "text"'),
        ('{"_id": "q", "thought": 1}', 't:1: field "thought" must be a string or null'),
        ('{"text": "x"}', 't:1: field "_id" is missing'),
        ('{"_id": "q", "text": "x"}\n{"_id": "q", "text": "y"}', "t:2: the id"),
        ("[]", "t:1: needs a JSON object"),
    ],
)
def test_bad_thoughts(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "t"
    path.write_text(content)
    with pytest.raises(Thought1Error) as caught:
        read_written_thoughts(path)
    assert message in str(caught.value)
