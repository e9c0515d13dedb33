"""Whole trainings with an anchor: what is saved and resumed, several processes, refusals."""

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reason_recipe import OWN, THINK, THOUGHTS
from reinforce_recipe import POLICY, REINFORCE
from sentence_models import make_sentence_model
from small_recipe import (
    CONTRAST,
    DRIVER,
    FACTS,
    HEAD,
    VALIDATION,
    driven,
    equal,
    logged,
    recipe,
    weights,
    write_recipe,
)
from torch.nn.functional import normalize

from thought1.model.checkpoint_loading import load_checkpoint
from thought1.model.settings import Settings
from thought1.t1 import T1
from thought1.training.reinforce.grpo import ReinforceTrainer
from thought1.training.reinforce.rewarder import Rewarder
from thought1.training.run import train
from thought1.types import Thought1Error

SHORT = THINK.replace("max_steps = 6", "max_steps = 4")
REWARD = REINFORCE.replace("max_steps = 6", "max_steps = 5")
BOTH = HEAD + SHORT + OWN + THOUGHTS + REWARD + FACTS + POLICY
LEARNT = "model.anchor=learnt"
EVERY_STEP = ("stages.0.save_minutes=0", "stages.1.save_minutes=0")


@pytest.fixture(scope="module")
def usual(room: Path) -> Path:
    """Stages 2 and 3 with a learnt anchor, without a stop; the folder of the run."""
    return train(recipe(room, room / "usual", LEARNT, text=BOTH)).parents[1]


def anchor_of(folder: Path) -> str | float:
    settings = Settings.load(folder)
    assert settings is not None
    return settings.anchor


def curve(folder: Path) -> list[float]:
    """The weight as it was logged, once for each step."""
    return [entry["anchor"] for entry in logged(folder) if "anchor" in entry and "loss" in entry]


# -- what is learnt and kept -----------------------------------------------------------------------


def test_a_learnt_weight_ends_as_a_number(usual: Path) -> None:
    first, second = (anchor_of(usual / name / "model") for name in ("1-think", "2-reinforce"))
    for number, name, steps in ((first, "1-think", 4), (second, "2-reinforce", 5)):
        assert isinstance(number, float) and number > 0
        assert len(curve(usual / name)) == steps
        held = weights(usual / name / "model")
        assert not any("anchor" in tensor for tensor in held)
    # The first stage starts at the mean, the second where the first has ended.
    assert first != 1 and second != first
    assert isinstance(first, float) and abs(np.log(first)) < 4 * 0.011
    assert curve(usual / "1-think")[-1] == pytest.approx(first)
    assert curve(usual / "2-reinforce")[0] == pytest.approx(first, rel=1e-6)
    model = T1.from_pretrained(usual / "2-reinforce" / "model", device="cpu")
    assert model.settings.anchor_weight == second
    assert model.settings.lineage[-1]["stage"] == "reinforce"


@pytest.mark.slow  # the same with other stages: test_train_resume.py
def test_a_killed_training_ends_as_if_nothing_had_happened(room: Path, usual: Path) -> None:
    """Killed once in each stage while it saves; bit for bit, the weight included."""
    path = write_recipe(room, room / "killed", BOTH)
    script = room / "driver.py"
    script.write_text(DRIVER)
    command = [str(script), str(path), LEARNT, *EVERY_STEP]
    for step, name in ((3, "1-think"), (5, "2-reinforce")):
        done = driven(command, DIE_AT=str(step))
        assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
        assert (room / "killed" / name / f"checkpoint-{step - 1}").is_dir()
    result = train(recipe(room, room / "killed", LEARNT, *EVERY_STEP, text=BOTH))
    for name in ("1-think", "2-reinforce"):
        ours, theirs = (run / name / "model" for run in (result.parents[1], usual))
        assert equal(weights(ours), weights(theirs))
        assert anchor_of(ours) == anchor_of(theirs)


@pytest.mark.slow  # the same with other stages: test_train_resume.py
def test_two_processes_agree(room: Path, tmp_path: Path) -> None:
    """torchrun on CPU, GradCache in stage 2, rationales that read no anchor beside it."""
    (room / "data" / "why.tsv").write_text("why does ice melt\tno\tit was warm in the sun\n" * 9)
    rationales = '[[stages.sources]]\npath = "why.tsv"\nkind = "rationales"\ndocument = 2\n'
    text = HEAD + SHORT + OWN + THOUGHTS + rationales + REWARD + FACTS + POLICY
    path = write_recipe(room, tmp_path / "two", text)
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    chunked = ("stages.0.grad_cache_chunk=1", "stages.1.max_steps=3", "stages.0.max_steps=6")
    done = driven([*launch, str(script), str(path), LEARNT, *chunked])
    assert done.returncode == 0, done.stderr[-3000:]
    for name, key in (
        ("1-think", "anchor.log_weight"),
        ("2-reinforce", "t1_anchor.log_weight"),
    ):
        folder = tmp_path / "two" / name
        ranks = [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]
        assert equal(*ranks)
        assert float(ranks[0][key].exp()) == anchor_of(folder / "model")
    alone = train(
        recipe(room, tmp_path / "one", LEARNT, *chunked, "stages.0.accumulation=2", text=text)
    ).parents[1]
    ours, theirs = (anchor_of(run / "1-think" / "model") for run in (tmp_path / "two", alone))
    assert ours != 1 and ours == pytest.approx(theirs, abs=1e-5)


def test_an_anchor_stays_with_its_checkpoint(room: Path, tmp_path: Path) -> None:
    """Until a recipe says something else; one that is learnt starts where it was."""
    base = load_checkpoint(room / "qwen3", dtype="float32", device="cpu")
    anchored = T1(base).with_settings(replace(base.settings, anchor=2.5))
    anchored.save_pretrained(room / "qwen3-anchored")
    text = HEAD.replace("{base}", "{base}-anchored") + SHORT + THOUGHTS
    for given, expected in (((), 2.5), (("model.anchor=none",), "none"), (("model.anchor=3",), 3)):
        folder = tmp_path / f"run-{expected}"
        short = ("stages.0.max_steps=1", "stages.0.share_none=0")
        found = train(recipe(room, folder, *given, *short, text=text))
        assert anchor_of(found) == expected
        assert not curve(found.parent)
    found = train(recipe(room, tmp_path / "learnt", LEARNT, "stages.0.max_steps=2", text=text))
    number = anchor_of(found)  # nothing moves in the first step, which warms up
    assert isinstance(number, float) and 0 < abs(np.log(number / 2.5)) < 0.011


def test_without_an_anchor_training_is_as_it_was(room: Path, tmp_path: Path) -> None:
    """A weight of 0 reads no second row: bit for bit that of a recipe without the key."""
    text = HEAD + SHORT + OWN + THOUGHTS
    found = [train(recipe(room, tmp_path / "plain", text=text))]
    for anchor in ("none", "mean"):
        found.append(train(recipe(room, tmp_path / anchor, f"model.anchor={anchor}", text=text)))
    plain, none, mean = (weights(folder) for folder in found)
    assert equal(plain, none)
    assert not equal(plain, mean)
    assert anchor_of(found[0]) == "" and anchor_of(found[2]) == "mean"


def test_low_rank_updates_and_an_adapter(room: Path, tmp_path: Path) -> None:
    given = ("adapter=true", "stages.0.lora_rank=2", "stages.1.lora_rank=2", LEARNT)
    folder = train(recipe(room, tmp_path / "lora", *given, text=BOTH))
    number = anchor_of(folder)
    assert isinstance(number, float) and number != 1
    assert (folder / "adapter_model.safetensors").is_file()
    assert not any("anchor" in name for name in weights(folder))
    assert T1.from_pretrained(folder, device="cpu").settings.anchor_weight == number


# -- stage 3 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("anchor", ["mean", "learnt"])
def test_rollouts_and_updates_read_the_same_vectors(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anchor: str
) -> None:
    """Those of `encode_query(thoughts=)`, at every step, with the weight of that step."""
    rolled: list[np.ndarray] = []
    given: list[np.ndarray] = []
    read: list[torch.Tensor] = []
    sample, sides = Rewarder._sample, ReinforceTrainer._sides

    def sampling(self: Rewarder, pairs: Any, step: int) -> Any:
        found = sample(self, pairs, step)
        rolled.append(found.vectors_RD)
        size = self.config.group_size
        queries = [pair.query for pair in pairs for _ in range(size)]
        thoughts = [self.model.queries.thought(done) for done in found.thoughts]
        self.model.checkpoint.model.eval()
        given.append(np.asarray(self.model.encode_query(queries, thoughts=thoughts)))
        self.model.checkpoint.model.train()
        return found

    def noted(self: ReinforceTrainer, inputs: Any) -> Any:
        queries, documents = sides(self, inputs)
        (grad,) = torch.autograd.grad(queries[:, 0].sum(), self._vectors_BD, retain_graph=True)
        assert float(grad.abs().max()) > 0
        read.append(normalize(queries, dim=-1).detach())
        return queries, documents

    monkeypatch.setattr(Rewarder, "_sample", sampling)
    monkeypatch.setattr(ReinforceTrainer, "_sides", noted)
    text = HEAD + REINFORCE + FACTS + POLICY
    given_keys = (f"model.anchor={anchor}", "stages.0.max_steps=3", "stages.0.weight_contrastive=1")
    train(recipe(room, tmp_path / anchor, *given_keys, text=text))
    assert len(rolled) == len(read) == 3
    for ours, theirs, updated in zip(rolled, given, read, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
        # trl shuffles the rollouts of a step.
        near = np.abs(updated.numpy()[:, None] - ours[None]).max(2).min(1)
        assert near.max() < 1e-4
        assert len(ours) == len(updated) == 12


def test_the_best_evaluation_keeps_its_weight(room: Path, tmp_path: Path) -> None:
    text = HEAD + VALIDATION + REINFORCE.replace("log_steps", "eval_steps = 2\nlog_steps")
    wanted = recipe(room, tmp_path / "best", LEARNT, text=text + FACTS + POLICY)
    folder = train(wanted).parent
    best = torch.load(folder / "best.pt", weights_only=True)
    step = json.loads((folder / "best.json").read_text())["step"]
    assert float(best["t1_anchor.log_weight"].exp()) == anchor_of(folder / "model")
    assert (anchor_of(folder / "model") == 1.0) == (step == 0)


# -- what is refused -------------------------------------------------------------------------------


def test_the_vectors_of_a_base_with_a_companion_are_not_trained(room: Path, tmp_path: Path) -> None:
    encoder = make_sentence_model(tmp_path / "encoder")
    model = T1.from_pretrained(room / "qwen3", dtype="float32", device="cpu")
    model.with_companion(encoder).save_pretrained(room / "qwen3-companion")
    text = HEAD.replace("{base}", "{base}-companion") + CONTRAST + FACTS
    with pytest.raises(Thought1Error, match=r"stage contrast: of .*, the companion gives the"):
        train(recipe(room, tmp_path / "run", text=text))
