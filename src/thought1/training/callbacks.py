"""What happens besides optimisation: saving by the clock, a JSONL log, validation.

It knows the trainer's callback interface, a model that is followed and a function that scores; no
losses and no data.
"""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from thought1.t1 import T1
from thought1.training.model.anchor import Anchor

Scores = dict[str, float]


class SaveByClock(TrainerCallback):
    """Save a checkpoint at an interval in minutes, however long a step takes.

    Args:
        every: only at steps that are a multiple of this, between which batches are used again.
    """

    def __init__(self, minutes: float, every: int = 1) -> None:
        self.seconds = minutes * 60
        self.every = every
        self.last = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Request a checkpoint when due; the main process's clock is used by all."""
        due = time.monotonic() - self.last >= self.seconds and state.global_step % self.every == 0
        if args.world_size > 1:
            due = bool(broadcast(torch.tensor(due, device=args.device)))
        if due:
            control.should_save = True
            self.last = time.monotonic()


class JsonLog(TrainerCallback):
    """Append every log entry to a file, one JSON object a line.

    After an interruption the steps since the last checkpoint appear again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Write what the trainer logs, in the main process only."""
        if state.is_world_process_zero and logs:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, **logs}) + "\n")


class Validate(TrainerCallback):
    """Score the model every `every` steps (0: never) and at the end; keep the last scores."""

    def __init__(self, score: Callable[[], Scores], every: int, log: JsonLog) -> None:
        self.score = score
        self.every = every
        self.log = log
        self.scores: Scores = {}
        self.scored_at = -1

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Score periodically."""
        if self.every and state.global_step % self.every == 0:
            self._run(args, state, control)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Score the result."""
        if self.scored_at != state.global_step:
            self._run(args, state, control)

    def _run(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        if state.is_world_process_zero:
            self.scores = self.score()
            self.scored_at = state.global_step
            named = {f"validation_{name}": value for name, value in self.scores.items()}
            self.log.on_log(args, state, control, named)
            print(f"step {state.global_step}: {named}", flush=True)


class FollowAnchor(TrainerCallback):
    """Makes the T1 that samples and is validated use the anchor in training."""

    def __init__(self, model: T1, anchor: Anchor) -> None:
        self.model = model
        self.anchor = anchor

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """The state of a resumed run has been loaded by now."""
        self.follow()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """After each step of the optimizer."""
        self.follow()

    def follow(self) -> None:
        """Read as it is now."""
        queries = self.model.queries
        queries.reader = self.anchor.followed(queries.reader)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint of a run; incomplete ones are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]))
    while found:
        newest = found.pop()
        if _complete(newest):
            return newest
        shutil.rmtree(newest)
    return None


def _complete(checkpoint: Path) -> bool:
    """The trainer writes its state last."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return True
