"""A recipe whose documents are a companion's: thoughts are taught, vectors are not."""

from pathlib import Path

import numpy as np
import pytest
from reason_recipe import OWN, REPRESENT, TEACH, THINK, THOUGHTS
from sentence_models import make_sentence_model
from small_recipe import CONTRAST, FACTS, HEAD, VALIDATION, logged, recipe

from thought1.t1 import T1
from thought1.training.data.sources import Rationale
from thought1.training.preflight import read_stage
from thought1.training.recipe import Recipe
from thought1.training.run import train
from thought1.types import Thought1Error

REWARD = """
[[stages]]
name = "reward"
stage = "reinforce"
max_steps = 2
queries_per_batch = 3
weight_contrastive = 0.0
max_thought_tokens = 6
bf16 = false
log_steps = 1
[stages.reinforce]
rewards = [{{name = "ndcg"}}, {{name = "margin"}}]
group_size = 2
pool = "index"
"""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_sentence_model(tmp_path_factory.mktemp("encoder"))


def wanted(room: Path, output: Path, encoder: str, text: str, *overrides: str) -> Recipe:
    return recipe(room, output, f'model.companion="{encoder}"', *overrides, text=text)


def test_thoughts_alone_are_rationales(room: Path, tmp_path: Path) -> None:
    found = recipe(room, tmp_path / "run", text=HEAD + TEACH + THOUGHTS)
    data = read_stage(found, found.stages[0])
    assert not data.pairs and not data.texts and not data.pool
    assert len(data.rationales) == 9  # ten questions to train on, one without a thought
    salt = Rationale("Why does salt number 7 change?", "salt and heat; number 7 and cold")
    assert salt in data.rationales


def test_thoughts_are_taught_and_rewarded(room: Path, encoder: str, tmp_path: Path) -> None:
    text = HEAD + VALIDATION + TEACH + THOUGHTS + REWARD + FACTS
    found = train(wanted(room, tmp_path / "run", encoder, text))
    model = T1.from_pretrained(found, device="cpu")
    assert model.companion is not None and model.settings.anchor_weight == 1
    bare = model.companion.embed_queries(["What is ice?"])
    np.testing.assert_array_equal(model.encode_query(["What is ice?"], budget=0), bare)
    last = [entry for entry in logged(found.parent.parent / "1-thoughts") if "step" in entry][-1]
    assert {"validation_ndcg@10", "validation_thinking_ndcg@10"} <= {*last}
    rewards = [e for e in logged(found.parent) if "reward_ndcg" in e]
    assert len(rewards) == 2
    assert [entry["stage"] for entry in model.settings.lineage] == ["represent", "reinforce"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (HEAD + CONTRAST + FACTS, "stage contrast: the companion gives the vectors"),
        (HEAD + THINK + OWN + THOUGHTS, "stage think: the companion gives the vectors"),
        (HEAD + REWARD.replace("weight_contrastive = 0.0\n", "") + FACTS, "stage reward: the comp"),
    ],
)
def test_a_companion_is_taught_nothing(
    room: Path, encoder: str, tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(Thought1Error, match=problem):
        wanted(room, tmp_path / "run", encoder, text)


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["model.companion=x", "model.anchor=learnt"], "has no effect with a companion"),
        (["model.anchor=learnt"], "only stages reason and reinforce with weight_contrastive"),
        (["model.anchor=half"], "the anchor is none, mean, or a weight"),
        (["model.companion=x", "model.anchor=half"], "the anchor is none, mean, or a weight"),
        (["model.companion=x", "model.anchor=-1"], "the anchor is none, mean, or a weight"),
    ],
)
def test_anchors_of_a_recipe(
    room: Path, tmp_path: Path, overrides: list[str], problem: str
) -> None:
    with pytest.raises(Thought1Error, match=problem):
        recipe(room, tmp_path / "run", *overrides, text=HEAD + TEACH + THOUGHTS)


def test_some_thoughts_and_some_none(room: Path, tmp_path: Path) -> None:
    with pytest.raises(Thought1Error, match="some sources of kind beir have thoughts and others"):
        recipe(room, tmp_path / "run", text=HEAD + TEACH + THOUGHTS + FACTS)
    with pytest.raises(Thought1Error, match="are for weight_lm only"):
        recipe(room, tmp_path / "run", text=HEAD + REPRESENT + THOUGHTS)
