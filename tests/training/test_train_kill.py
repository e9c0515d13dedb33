"""kill -9 at random moments of a training: nothing saved is lost, and the next step is the same.

A training is killed, resumed and killed again until it has ended, then the next one begins, until
there were enough kills (`make test-slow`: 50 a stage; the normal run: a reduced twin). Moments are
drawn over the length of an uninterrupted training that saves after every step, so that they fall
into loading, sampling, stepping, validating and the writing of every file. float32, one thread and
one machine: everything is compared bit for bit.
"""

import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import reinforce_recipe
from small_recipe import RECIPE, environment, equal, logged, make_room, weights, write_recipe

from thought1.data.rollouts import read_rollouts
from thought1.training.callbacks import last_checkpoint

CHILD = Path(__file__).parents[1] / "train_kill_child.py"
STAGES = {
    "1-contrast": (RECIPE, "stages.0.max_steps=10"),
    "1-reinforce": (reinforce_recipe.VALIDATED, "stages.0.max_steps=6"),
}
TIMES = ("time", "runtime", "per_second", "memory")
"""In the names of what is logged and differs from run to run."""

Train = Callable[[Path, float], dict[str, float]]


@contextmanager
def trainer(room: Path, stage: str) -> Iterator[Train]:
    """Trains the stage into a folder, in a fork that is killed after so many seconds."""
    text, steps = STAGES[stage]
    errors = room / "errors.log"
    with (
        errors.open("w") as stream,
        subprocess.Popen(
            [sys.executable, str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stream,
            env=environment(),
            text=True,
        ) as child,
    ):
        assert child.stdin is not None and child.stdout is not None

        def run(output: Path, seconds: float) -> dict[str, float]:
            recipe = str(write_recipe(room, output, text))
            request = [seconds, recipe, steps, "stages.0.save_minutes=0"]
            print(json.dumps(request), file=child.stdin, flush=True)
            answer: dict[str, float] = json.loads(child.stdout.readline())
            assert answer["code"] in (0, -signal.SIGKILL), errors.read_text()[-3000:]
            return answer

        yield run


def steps_of(folder: Path) -> dict[tuple[int, str], float]:
    """What was logged, by step and name; a step done twice must have said the same twice."""
    found: dict[tuple[int, str], Any] = {}
    for entry in logged(folder) if (folder / "log.jsonl").is_file() else []:
        step = entry.pop("step")
        for name, value in entry.items():
            if any(part in name for part in TIMES) or name.startswith("train_"):
                continue
            assert found.setdefault((step, name), value) == value, (step, name)
    return found


def check_progress(folder: Path, usual: Path, saved: int) -> None:
    """After a kill: the last checkpoint that was said to be whole, or a later one, is there."""
    if not (folder / "model").is_dir():
        newest = last_checkpoint(folder)
        assert (int(newest.name.rpartition("-")[2]) if newest else 0) >= saved
    now, expected = steps_of(folder), steps_of(usual)
    assert now.items() <= expected.items()


def check_end(folder: Path, usual: Path) -> None:
    """The training has ended as if nothing had happened."""
    assert equal(weights(folder / "model"), weights(usual / "model"))
    assert steps_of(folder) == steps_of(usual)
    for name in ("t1.json", "best.json"):
        pairs = [place / name for place in (folder / "model", folder) if (place / name).is_file()]
        for path in pairs:
            assert path.read_text() == (usual / path.relative_to(folder)).read_text()
    rollouts = folder / "rollouts.jsonl"
    if rollouts.is_file():
        steps = [batch.step for batch in read_rollouts(rollouts)]
        assert steps == [batch.step for batch in read_rollouts(usual / "rollouts.jsonl")]


def campaign(room: Path, stage: str, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    usual, killed, number = room / "usual" / stage, 0, 0
    with trainer(room, stage) as train:
        whole = train(room / "usual", 1000.0)["seconds"]
        while killed < kills:
            number += 1
            output = room / f"killed-{number}"
            ended = {"code": -signal.SIGKILL}
            while ended["code"]:
                ended = train(output, chance.uniform(0, whole) if killed < kills else 1000.0)
                if ended["code"]:
                    killed += 1
                    check_progress(output / stage, usual, int(ended["saved"]))
            check_end(output / stage, usual)


@pytest.fixture
def room(tmp_path: Path) -> Path:
    return make_room(tmp_path)


def test_killed_at_random_moments(room: Path) -> None:
    campaign(room, "1-contrast", kills=2, seed=5)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_campaign_of_kills(room: Path, stage: str) -> None:
    campaign(room, stage, kills=50, seed=6)
