"""The gain filter drops exactly the thoughts that do not help, and says how many."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from reason_recipe import (
    MOST,
    RECIPE,
    UNREFERENCED,
    tiny_model,
)
from small_recipe import recipe

from thought1.metrics import evaluate_run
from thought1.t1 import T1
from thought1.training.arguments import supervised_arguments
from thought1.training.data.sources import TrainingPair
from thought1.training.data.thoughts import SampledThoughts
from thought1.training.model.base_model import start_checkpoint
from thought1.training.preflight import read_stage
from thought1.training.prepare import read_rows
from thought1.training.reason.prepare import reason_parts
from thought1.training.reason.thought_filter import GainCounts, drop_useless_thoughts
from thought1.training.run import train
from thought1.types import Thought, Vectors

DOCUMENTS = ["one", "two", "three", "four"]
"""Texts along the four axes."""


class Handmade(T1):
    """Its query vectors are given; it notes what it was asked to embed."""

    bare: dict[str, list[float]]
    behind: dict[str, list[float]]
    asked: list[tuple[tuple[int, ...], tuple[str, ...]]]

    def encode_document(self, documents: Sequence[str]) -> Vectors:  # type: ignore[override]
        return np.stack([np.eye(4, dtype=np.float32)[DOCUMENTS.index(d)] for d in documents])

    def encode_query(  # type: ignore[override]
        self,
        queries: Sequence[str],
        *,
        budget: int | None = None,
        thoughts: Sequence[Thought] | None = None,
        evidence: Sequence[Sequence[str]] | None = None,
    ) -> Vectors:
        shown = evidence or [()] * len(queries)
        if thoughts is None:
            assert budget == 0
            return np.array([self.bare[q] for q in queries], np.float32)
        self.asked = [(t.token_ids, tuple(e)) for t, e in zip(thoughts, shown, strict=True)]
        return np.array([self.behind[q] for q in queries], np.float32)


@pytest.fixture
def handmade(tmp_path: Path) -> Handmade:
    return Handmade(tiny_model(tmp_path).checkpoint)


UP, SAME, DOWN = [0.9, 0.8, 0.7, 0.0], [0.8, 0.9, 0.7, 0.0], [0.1, 0.9, 0.7, 0.0]
"""Vectors that rank "one" first, second and third."""


def test_only_thoughts_that_lift_the_answers_stay(handmade: Handmade) -> None:
    cases = {
        "rises": (SAME, UP, True),
        "stays": (SAME, SAME, False),
        "stays first": (UP, UP, False),
        "falls": (SAME, DOWN, False),
        "far below": (DOWN, SAME, True),
    }
    pairs = [TrainingPair(name, name, ("one",), "a thought", ("seen",)) for name in cases]
    pairs.append(TrainingPair("without", "without", ("two",)))
    handmade.bare = {name: bare for name, (bare, _, _) in cases.items()}
    handmade.behind = {name: behind for name, (_, behind, _) in cases.items()}
    found, counts = drop_useless_thoughts(handmade, pairs, DOCUMENTS, MOST)
    assert [pair.query_id for pair in found] == [pair.query_id for pair in pairs]
    kept = {pair.query_id for pair in found if pair.thought}
    assert kept == {name for name, (_, _, helps) in cases.items() if helps}
    assert counts == GainCounts(kept=2, dropped=3)
    assert [pair.evidence for pair in found] == [pair.evidence for pair in pairs]
    assert [shown for _, shown in handmade.asked] == [("seen",)] * 5


def test_all_answers_count_and_the_pool_competes(handmade: Handmade) -> None:
    """ "four" is in the pool only; without it both thoughts would leave the ranks as they were."""
    pairs = [
        TrainingPair("both rise", "q", ("one", "two"), "t"),
        TrainingPair("one for the other", "r", ("one", "two"), "t"),
        TrainingPair("above the pool", "s", ("three",), "t"),
    ]
    handmade.bare = {"q": [0.9, 0.1, 0.5, 0.3], "r": [0.9, 0.1, 0.5, 0.3], "s": [0, 0, 0.3, 0.9]}
    handmade.behind = {"q": [0.9, 0.8, 0.5, 0.3], "r": [0.1, 0.9, 0.5, 0.3], "s": [0, 0, 0.9, 0.3]}
    found, counts = drop_useless_thoughts(handmade, pairs, ["four", "three"], MOST)
    assert [bool(pair.thought) for pair in found] == [True, False, True]
    assert counts == GainCounts(2, 1)


def test_thoughts_are_cut_as_in_training(handmade: Handmade) -> None:
    long = "a thermometer measures 20 degrees"
    pairs = [TrainingPair("q", "q", ("one",), long)]
    handmade.bare, handmade.behind = {"q": SAME}, {"q": UP}
    drop_useless_thoughts(handmade, pairs, DOCUMENTS, 3)
    assert handmade.asked == [(tuple(handmade.renderer.text([long])[0][:3]), ())]


def test_nothing_to_filter(handmade: Handmade) -> None:
    handmade.bare, handmade.behind = {}, {}
    pairs = [TrainingPair("q", "q", ("one",))]
    assert drop_useless_thoughts(handmade, pairs, [], MOST) == (pairs, GainCounts(0, 0))


# -- in a training -------------------------------------------------------------------------------


@pytest.mark.numerics
def test_a_stage_reads_only_the_thoughts_that_help(room: Path, tmp_path: Path) -> None:
    """Against nDCG over all documents, computed apart; the counts stand in the lineage."""
    wanted = recipe(room, tmp_path / "run", "stages.0.filter_gain=true", text=RECIPE)
    (stage,) = wanted.stages
    model = T1(start_checkpoint(wanted.model, []))
    data = read_stage(wanted, stage)
    thinking = [pair for pair in data.pairs if pair.thought]
    assert len(data.pairs) == 10 and len(thinking) == 9
    ids = {text: str(i) for i, text in enumerate(data.pool)}
    documents = np.asarray(model.encode_document(data.pool))
    qrels = {p.query_id: {ids[text]: 1 for text in p.positives} for p in thinking}
    texts = [pair.query for pair in thinking]
    rows = model.renderer.text([pair.thought for pair in thinking])
    most = stage.max_thought_tokens
    thoughts = [Thought("", tuple(row[:most]), "edited") for row in rows]
    ndcg = []
    for vectors in (
        model.encode_query(texts, budget=0),
        model.encode_query(texts, thoughts=thoughts),
    ):
        scores = np.asarray(vectors) @ documents.T
        run = {
            pair.query_id: {ids[text]: float(s) for text, s in zip(data.pool, row, strict=True)}
            for pair, row in zip(thinking, scores, strict=True)
        }
        ndcg.append(evaluate_run(run, qrels, [f"ndcg@{len(data.pool)}"]))
    measure = f"ndcg@{len(data.pool)}"
    bare, behind = (found[measure] for found in ndcg)
    helped = {q for q in qrels if behind[q] > bare[q]}
    assert 0 < len(helped) < 9, "this test needs some of each"

    read = read_rows(wanted, stage, model, data, {})
    args = supervised_arguments(wanted, stage, tmp_path / "stage")
    parts = reason_parts(stage, read, model, SampledThoughts(tmp_path / "stage"), args)
    known = parts.collator.thoughts.references  # type: ignore[attr-defined]
    assert set(known) == helped
    counts = {"kept": len(helped), "dropped": 9 - len(helped)}
    assert parts.notes == {"reference_thoughts": counts}
    for batch in parts.plan.batches:
        for query_id, mode in zip(batch.query_ids, batch.modes, strict=True):
            assert mode != "reference" or query_id in helped
    assert UNREFERENCED not in helped

    trained = train(wanted)
    assert json.loads((trained / "t1.json").read_text())["lineage"][0]["reference_thoughts"] == (
        counts
    )
    assert SampledThoughts(trained.parent).path(0).is_file()


def test_without_the_filter_the_lineage_is_silent(room: Path, tmp_path: Path) -> None:
    settings = (
        "stages.0.share_sampled_end=0",
        "stages.0.share_sampled_start=0",
        "stages.0.sampled_every=0",
    )
    trained = train(recipe(room, tmp_path / "run", *settings, "stages.0.max_steps=1", text=RECIPE))
    assert "reference_thoughts" not in json.loads((trained / "t1.json").read_text())["lineage"][0]
    assert not list(trained.parent.glob("own-thoughts*"))
