"""Training that is killed, and training in several processes."""

import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from small_recipe import (
    CONTRAST,
    DRIVER,
    FACTS,
    HEAD,
    driven,
    losses,
    recipe,
    weights,
    write_recipe,
)
from torch import Tensor
from transformers import TrainerControl, TrainerState

from thought1.t1 import T1
from thought1.training import callbacks, prepare, run
from thought1.training.callbacks import SaveByClock, last_checkpoint
from thought1.training.data.batches import BatchPlan, plan_stage
from thought1.training.recipe import load_recipe
from thought1.training.run import train
from thought1.training.trainer import StageTrainer


@pytest.fixture(scope="module")
def usual(room: Path) -> Path:
    """The plain contrastive stage, trained once."""
    return train(recipe(room, room / "usual")).parent


# -- interruptions ---------------------------------------------------------------------------


def counted_steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many batches are trained on from now on."""
    calls: list[int] = []
    step = StageTrainer.training_step

    def noted(self: StageTrainer, *positional: Any, **named: Any) -> Tensor:
        calls.append(1)
        return step(self, *positional, **named)

    monkeypatch.setattr(StageTrainer, "training_step", noted)
    return lambda: len(calls)


def test_a_killed_training_ends_as_if_nothing_had_happened(
    room: Path, usual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 in the middle of writing a checkpoint; the next call goes on from the one before.

    The parameters agree bit for bit: float32, one thread, and the plan depends on the seed alone.
    """
    output = room / "killed"
    path = write_recipe(room, output)
    command = ["-c", DRIVER, str(path), "stages.0.save_minutes=0"]
    done = driven(command, DIE_AT="3")
    assert done.returncode == -signal.SIGKILL, done.stderr
    stage = output / "1-contrast"
    assert not (stage / "model").exists()
    half = stage / "checkpoint-3"
    assert (half / "model.safetensors").is_file()
    assert not (half / "trainer_state.json").exists()

    batches = counted_steps(monkeypatch)
    result = train(load_recipe(path, ["stages.0.save_minutes=0"]))
    assert batches() == 2 * (4 - 2)  # two optimizer steps of two batches were left
    expected = weights(usual / "model")
    found = weights(result)
    assert found.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
    # Step 3 was trained and logged before the kill, and again after it.
    assert losses(stage) == [losses(usual)[i] for i in (0, 1, 2, 2, 3)]


def test_interrupted_while_the_model_is_saved(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with a t1.json but without all weights must not pass for a finished stage."""
    found = recipe(room, tmp_path / "saving")

    def interrupted(checkpoint: object, folder: Path, **_: object) -> None:
        folder.mkdir(parents=True)
        (folder / "t1.json").write_text("{}")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "save_checkpoint", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(found)
    assert T1.from_pretrained(train(found), device="cpu").settings.lineage[0]["steps"] == 4


def test_half_written_checkpoints_are_skipped_and_removed(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    for step, state in ((9, '{"global_step": 9}'), (10, '{"global_st'), (100, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-9"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-9"]


def test_the_main_process_decides_when_to_save(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks differ by a step; a checkpoint needs the part of every process."""
    several = SimpleNamespace(world_size=2, device="cpu")
    for minutes, decided in ((1e9, True), (0.0, False)):
        monkeypatch.setattr(callbacks, "broadcast", lambda _, said=decided: torch.tensor(said))
        control = TrainerControl()
        SaveByClock(minutes).on_step_end(several, TrainerState(), control)  # type: ignore[arg-type]
        assert control.should_save == decided


# -- several processes -----------------------------------------------------------------------

ALONE = CONTRAST.replace("accumulation = 2", "accumulation = 1")
CHUNKED = ALONE.replace("max_steps = 4", "max_steps = 2\ngrad_cache_chunk = 2")


def test_two_processes_average_their_gradients(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchrun on CPU: a plain stage, then one with GradCache, and checkpoints of both.

    It equals one process that accumulates the same two batches of every step, and differs from
    one process that sees the first one's batches alone.
    """
    text = HEAD + ALONE + FACTS + CHUNKED + FACTS
    path = write_recipe(room, tmp_path / "two", text)
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    every_step = ["stages.0.save_minutes=0", "stages.1.save_minutes=0"]
    done = driven([*launch, str(script), str(path), *every_step])
    assert done.returncode == 0, done.stderr[-3000:]
    both = text.replace("accumulation = 1", "accumulation = 2")
    together = train(load_recipe(write_recipe(room, tmp_path / "together", both))).parents[1]
    for name, steps in (("1-contrast", 4), ("2-contrast", 2)):
        folder = tmp_path / "two" / name
        ranks = [torch.load(folder / f"rank{rank}.pt") for rank in (0, 1)]
        assert ranks[0].keys() == ranks[1].keys()
        assert all(torch.equal(value, ranks[1][key]) for key, value in ranks[0].items())
        expected = weights(together / name / "model")
        for key, value in weights(folder / "model").items():
            torch.testing.assert_close(value, expected[key], rtol=0, atol=1e-5)
        assert len(losses(folder)) == steps
        saved = {file.name for file in (folder / f"checkpoint-{steps}").iterdir()}
        assert {"rng_state_0.pth", "rng_state_1.pth", "trainer_state.json"} <= saved

    def first_half(
        data: Any, rows: Any, stage: Any, seed: int, negatives: Any, _: int
    ) -> BatchPlan:
        return BatchPlan(plan_stage(data, rows, stage, seed, negatives, 2).batches[::2])

    monkeypatch.setattr(prepare, "plan_stage", first_half)
    alone = train(load_recipe(write_recipe(room, tmp_path / "alone", HEAD + ALONE + FACTS)))
    first = weights(tmp_path / "two" / "1-contrast" / "model")
    moved = max(float((value - first[key]).abs().max()) for key, value in weights(alone).items())
    assert moved > 1e-3
