"""Stage 3 validated: alarms, probe thoughts, and the weights of the best evaluation.

It knows the trainer's callback interface, a function that scores and files; no rewards.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from thought1.files.whole import write_whole
from thought1.training.callbacks import JsonLog, Scores, Validate
from thought1.training.reinforce.alarms import Alarms, EvalFacts
from thought1.training.reinforce.rewarder import ring

MEASURE = "thinking_ndcg@10"


class ValidateBest(Validate):
    """Score before the first step, every `every` steps and at the end; keep the best weights."""

    def __init__(
        self,
        score: Callable[[int], Scores],
        every: int,
        log: JsonLog,
        *,
        model: nn.Module,
        alarms: Alarms,
        folder: Path,
    ) -> None:
        super().__init__(lambda: score(self.step), every, log)
        self.model = model
        self.alarms = alarms
        self.folder = folder
        self.step = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Where the stage begins: it may be the best there is."""
        if state.global_step == 0:
            self._run(args, state, control)

    def _run(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        self.step = state.global_step
        training = self.model.training
        super()._run(args, state, control)
        self.model.train(training)  # else trl takes the step's own numbers for an evaluation's
        if not state.is_world_process_zero:
            return
        found = self.scores[MEASURE]
        facts = EvalFacts(
            self.step, found, self.scores["swapped_ndcg@10"], self.scores["swapped_cosine"]
        )
        ring(self.alarms.on_evaluation(facts), self.folder)
        best = self.best()
        if best is None or found > best["score"]:
            with write_whole(self.folder / "best.pt") as stream:
                torch.save(_trained(self.model), stream)
            record = {"step": self.step, "score": found, "scores": self.scores}
            with write_whole(self.folder / "best.json") as stream:
                stream.write(json.dumps(record).encode())

    def best(self) -> dict[str, Any] | None:
        """Step, score and scores of the best evaluation so far."""
        path = self.folder / "best.json"
        if not path.is_file():
            return None
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found

    def restore(self) -> dict[str, Any]:
        """Load the weights of the best evaluation; returns `best()`."""
        best = self.best()
        assert best is not None
        held = torch.load(self.folder / "best.pt", map_location="cpu", weights_only=True)
        with torch.no_grad():
            for name, parameter in _trained(self.model).items():
                parameter.copy_(held[name])
        return best


def _trained(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


class KeepAlarms(TrainerCallback, ExportableState):
    """The alarms' history goes into every checkpoint, in the file that makes it a whole one."""

    def __init__(self, alarms: Alarms) -> None:
        self.alarms = alarms

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Have a place in the state, also where that was read from an earlier checkpoint."""
        kept = cast(dict[str, Any], state.stateful_callbacks)
        kept.setdefault(type(self).__name__, self.state())

    def state(self) -> dict[str, Any]:
        """What the trainer writes into its state."""
        return {"args": {}, "attributes": self.alarms.state_dict()}

    def resume(self, checkpoint: Path) -> None:
        """Read it. Earlier versions kept it in a file of its own, which a kill could prevent."""
        written = json.loads((checkpoint / "trainer_state.json").read_text("utf-8"))
        kept = written["stateful_callbacks"].get(type(self).__name__)
        path = checkpoint / "alarms.json"
        if kept is not None:
            self.alarms.load_state_dict(kept["attributes"])
        elif path.is_file():
            self.alarms.load_state_dict(json.loads(path.read_text("utf-8")))
