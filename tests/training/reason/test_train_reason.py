"""Whole trainings with a stage 2: own thoughts by rounds, interruptions, processes, validation."""

import copy
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reason_recipe import OWN, RECIPE, THINK, THOUGHTS, VALIDATED, query_rows
from small_recipe import HEAD, equal, logged, losses, recipe, weights, write_recipe
from torch import Tensor

from thought1.t1 import T1
from thought1.training import stage_runs
from thought1.training.cross_fit import sample_thoughts
from thought1.training.data.thoughts import SampledThoughts, ThoughtCollator
from thought1.training.model.base_model import start_checkpoint
from thought1.training.preflight import read_stage
from thought1.training.reason import sampling
from thought1.training.recipe import load_recipe
from thought1.training.run import train
from thought1.training.trainer import StageTrainer
from thought1.types import Sampling, Thought1Error


@pytest.fixture(scope="module")
def usual(room: Path) -> Path:
    """Stage 2 alone, trained once; its folder."""
    return train(recipe(room, room / "usual", text=RECIPE)).parent


def own_files(stage: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(stage.glob("own-thoughts-*"))}


# -- from start to release -----------------------------------------------------------------------

SCRATCH = """
[model.scratch]
layers = 2
hidden_size = 32
heads = 2
tokenizer = "words"
"""
RATIONALES = """
[[stages.sources]]
path = "why.tsv"
kind = "rationales"
document = 2
"""


def test_represent_then_reason(room: Path, tmp_path: Path) -> None:
    """With evidence, rationales, checkpointing and validation, from a tiny base to a release."""
    (room / "data" / "why.tsv").write_text(
        "why does the ice melt\tno\tit was warm in the sun\n" * 9
    )
    text = VALIDATED + 'evidence = "evidence.jsonl"\n' + RATIONALES
    settings = (
        "stages.1.eval_steps=3",
        "stages.1.gradient_checkpointing=true",
        "stages.1.max_steps=8",
        'model.query_template="{instruction}\\n{evidence}{text} \\n"',
        f"release={(tmp_path / 'released').as_posix()}",
    )
    released = train(recipe(room, tmp_path / "run", *settings, text=text))
    model = T1.from_pretrained(released, device="cpu")
    stages = [(entry["stage"], entry["steps"]) for entry in model.settings.lineage]
    assert stages == [("represent", 2), ("reason", 8)]
    files = model.settings.lineage[1]["files"]
    assert {"thoughts.jsonl", "evidence.jsonl", "why.tsv", "facts/qrels/train.tsv"} == {
        name for name in files if not name.startswith("facts/") or name.endswith("tsv")
    }
    assert model.settings.query.pattern == "{instruction}\n{evidence}{text} \n"
    (thought,) = model.think(["Why does salt number 1 change?"], budget=3, evidence=[["a", "b"]])
    assert thought.vector is not None and np.linalg.norm(thought.vector) == pytest.approx(1)

    stage = tmp_path / "run" / "2-think"
    entries = logged(stage)
    by_term = {name for entry in entries for name in entry if name.startswith("loss_")}
    assert by_term == {"loss_contrastive", "loss_triplet", "loss_language"}
    checks = [entry for entry in entries if "validation_ndcg@10" in entry]
    assert [entry["step"] for entry in checks] == [3, 6, 8]
    names = {
        "ndcg@10",
        "recall@100",
        "thinking_ndcg@10",
        "swapped_ndcg@10",
        "reference_ndcg@10",
        "swapped_cosine",
        "thought_tokens",
        "forced",
        "gap",
        "thought_loss",
    }
    for entry in checks:
        assert {f"validation_{name}" for name in names} <= entry.keys()
    last = {f"validation_{k}": v for k, v in model.settings.lineage[1]["validation"].items()}
    assert last == {key: value for key, value in checks[-1].items() if key != "step"}


@pytest.mark.numerics
def test_from_scratch(room: Path, tmp_path: Path) -> None:
    """A model of words, whose vocabulary holds those of the thoughts; SFT teaches them."""
    head, _, rest = VALIDATED.partition("[validation]")
    text = head.replace('base = "{base}"', 'base = "scratch"') + SCRATCH + "[validation]" + rest
    settings = ("stages.1.max_steps=30", "stages.1.learning_rate=1e-2")
    trained = train(recipe(room, tmp_path / "run", *settings, text=text))
    model = T1.from_pretrained(trained, device="cpu")
    assert {"heat;", "cold"} <= model.tokenizer.get_vocab().keys()
    curve = [e["loss_language"] for e in logged(trained.parent) if "loss_language" in e]
    assert len(curve) == 30
    assert curve[0] == pytest.approx(np.log(len(model.tokenizer)), abs=0.3)
    # By 0.88 to 1.25 in fifteen runs (five seeds under three instruction sets), by 0.00 where
    # nothing is learnt.
    assert np.mean(curve[-5:]) < curve[0] - 0.5


# -- own thoughts --------------------------------------------------------------------------------

ALL_OWN = (
    "stages.0.share_none=0",
    "stages.0.share_sampled_start=1",
    "stages.0.share_sampled_end=1",
)


def test_a_step_reads_the_thoughts_that_the_plan_says(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step s reads round max(s - 1, 0) // sampled_every: the loader prepares batches ahead.

    Round r is what the weights after r x sampled_every steps think, at the recipe's temperature.
    """
    settings = (
        "stages.0.max_steps=7",
        "stages.0.accumulation=2",
        "stages.0.share_sampled_start=0.7",
    )
    wanted = recipe(room, tmp_path / "run", *settings, text=RECIPE)
    (stage,) = wanted.stages
    folder = tmp_path / "run" / "1-think"
    states: dict[int, dict[str, Tensor]] = {}
    rows: list[tuple[int, list[int]]] = []
    step = StageTrainer.training_step

    def noted(self: StageTrainer, model: Any, inputs: Any, *more: Any) -> Tensor:
        now = self.state.global_step
        states.setdefault(now, copy.deepcopy(model.state_dict()))
        batch = self.train_dataset[len(rows)]  # type: ignore[index]
        assert isinstance(self.data_collator, ThoughtCollator)
        thoughts = self.data_collator.thoughts
        for row, query_id, mode in zip(
            query_rows(inputs), batch.query_ids, batch.modes, strict=True
        ):
            if mode == "own":
                path = folder / f"own-thoughts-{max(now - 1, 0) // 2}.jsonl"
                lines = [json.loads(line) for line in path.read_text().splitlines()]
                thought = {line["_id"]: line["token_ids"] for line in lines}[query_id]
                expected = [*thoughts.prompts[query_id], *thought, thoughts.emb_id]
                assert row == expected
        rows.append((now, [batch.round, batch.modes.count("own")]))
        return step(self, model, inputs, *more)

    monkeypatch.setattr(StageTrainer, "training_step", noted)
    train(wanted)
    assert [now for now, _ in rows] == [now for now in range(7) for _ in range(2)]
    assert [number for _, (number, _) in rows[::2]] == [0, 0, 0, 1, 1, 2, 2]
    assert all(sum(count for _, (r, count) in rows if r == number) > 0 for number in range(3))

    model = T1(start_checkpoint(wanted.model, []))
    pairs = read_stage(wanted, stage).pairs
    found = []
    for number in range(3):
        after = {name.removeprefix("network."): v for name, v in states[2 * number].items()}
        model.checkpoint.model.load_state_dict(after, strict=False)
        expected = sample_thoughts(model, pairs, stage, wanted.seed * 1_000_003 + number)
        read = SampledThoughts(folder).read(number)
        assert {q: tuple(ids) for q, ids in read.items()} == {
            q: thought.token_ids for q, thought in expected.items()
        }
        found.append(read)
    assert found[0] != found[1] != found[2]
    assert not (folder / "own-thoughts-3.jsonl").exists()


def test_own_thoughts_by_folds_are_sampled_once(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first step, about all questions; no callback samples any."""
    monkeypatch.setattr(sampling, "sample_thoughts", lambda *_: pytest.fail("sampled"))
    settings = ("stages.0.sampled_every=0", "stages.0.sampled_folds=3", "stages.0.max_steps=2")
    wanted = recipe(room, tmp_path / "run", *settings, text=RECIPE)
    trained = train(wanted)
    assert list(own_files(trained.parent)) == ["own-thoughts-0.jsonl"]
    read = SampledThoughts(trained.parent).read(0)
    assert set(read) == {f"train:{i}" for i in range(2, 12)}


def test_temperature_zero_and_no_repetition_are_heard(room: Path, tmp_path: Path) -> None:
    settings = ("stages.0.sampled_temperature=0", "model.no_repeat_ngram=1", "stages.0.max_steps=1")
    wanted = recipe(room, tmp_path / "run", *settings, *ALL_OWN, text=RECIPE)
    trained = train(wanted)
    model = T1(start_checkpoint(wanted.model, []))
    (pair, *_) = read_stage(wanted, wanted.stages[0]).pairs
    (greedy,) = model.think([pair.query], budget=8, sampling=Sampling(no_repeat_ngram=1))
    read = SampledThoughts(trained.parent).read(0)
    assert tuple(read[pair.query_id]) == greedy.token_ids
    assert all(len(set(ids)) == len(ids) for ids in read.values())


# -- interruptions -------------------------------------------------------------------------------

DRIVER = """
import os, signal, sys
from pathlib import Path

import torch

from thought1.training import run, stage_runs
from thought1.training.recipe import load_recipe

die_at = int(os.environ.get("DIE_AT", "0"))


class Trainer(stage_runs.StageTrainer):
    def _save_optimizer_and_scheduler(self, output_dir):
        if self.state.global_step == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        super()._save_optimizer_and_scheduler(output_dir)

    def train(self, *positional, **named):
        done = super().train(*positional, **named)
        if "RANK" in os.environ:
            name = f"rank{os.environ['RANK']}.pt"
            torch.save(self.model.state_dict(), Path(self.args.output_dir) / name)
        return done


stage_runs.StageTrainer = Trainer
run.train(load_recipe(Path(sys.argv[1]), sys.argv[2:]))
"""
EVERY_STEP = "stages.0.save_minutes=0"


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "", **more}


def test_a_killed_training_ends_as_if_nothing_had_happened(room: Path, usual: Path) -> None:
    """kill -9 between the sampling of a round and the checkpoint that would remember it.

    Bit for bit: float32, one thread, and thoughts depend on weights, prompts and seeds alone.
    """
    path = write_recipe(room, room / "killed", RECIPE)
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(path), EVERY_STEP],
        env=environment(DIE_AT="4"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    stage = room / "killed" / "1-think"
    assert (stage / "own-thoughts-2.jsonl").is_file()
    assert not (stage / "checkpoint-4" / "trainer_state.json").exists()
    # What was sampled for nothing must not be read again.
    (stage / "own-thoughts-2.jsonl").write_text("broken")
    result = train(load_recipe(path, [EVERY_STEP]))
    assert equal(weights(result), weights(usual / "model"))
    assert own_files(stage) == own_files(usual)
    curve = losses(usual)
    assert losses(stage) == [curve[i] for i in (0, 1, 2, 3, 3, 4, 5)]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_interrupted_while_it_thinks(
    room: Path, usual: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    wanted = recipe(room, tmp_path / "run", EVERY_STEP, text=RECIPE)
    write = SampledThoughts.write

    def interrupted(self: SampledThoughts, round_: int, thoughts: Any) -> None:
        if round_ == number:
            raise KeyboardInterrupt
        write(self, round_, thoughts)

    with monkeypatch.context() as patch:
        patch.setattr(SampledThoughts, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(wanted)
    result = train(wanted)
    assert equal(weights(result), weights(usual / "model"))
    assert own_files(result.parent) == own_files(usual)


def test_the_thoughts_of_another_recipe_are_not_read(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folds keep what they sampled before the first checkpoint: the recipe must stay the same."""
    settings = (
        "stages.0.sampled_every=0",
        "stages.0.sampled_folds=2",
        "stages.0.max_steps=2",
        *ALL_OWN,
    )
    wanted = recipe(room, tmp_path / "run", *settings, text=RECIPE)

    class Interrupted(StageTrainer):  # the folds' own trainer is not
        def training_step(self, *_: Any, **__: Any) -> Tensor:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stage_runs, "StageTrainer", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(wanted)
    assert own_files(tmp_path / "run" / "1-think")
    other = replace(wanted, stages=(replace(wanted.stages[0], sampled_temperature=0.1),))
    with pytest.raises(Thought1Error, match="holds the run of another recipe"):
        train(other)
    train(wanted)


# -- several processes ---------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_read_the_same_thoughts(room: Path, tmp_path: Path) -> None:
    """torchrun on CPU with own thoughts and GradCache: both ranks end with equal parameters, and
    with those of one process that accumulates the same batches."""
    chunked = THINK.replace("max_steps = 6", "max_steps = 4\ngrad_cache_chunk = 2")
    text = HEAD + chunked + OWN + THOUGHTS
    path = write_recipe(room, tmp_path / "two", text)
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, str(script), str(path), EVERY_STEP],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    folder = tmp_path / "two" / "1-think"
    ranks = [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]
    assert equal(ranks[0], ranks[1])
    alone = train(recipe(room, tmp_path / "one", "stages.0.accumulation=2", text=text))
    assert list(own_files(folder)) == list(own_files(alone.parent))
    assert (
        own_files(folder)["own-thoughts-0.jsonl"]
        == (own_files(alone.parent)["own-thoughts-0.jsonl"])
    )
    expected = weights(alone)
    for key, value in weights(folder / "model").items():
        torch.testing.assert_close(value, expected[key], rtol=0, atol=1e-4)
    assert len(losses(folder)) == 4
