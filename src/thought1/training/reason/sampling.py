"""Thoughts about the training questions that the model in training samples itself.

It knows models and questions, no losses; `data.thoughts` keeps what was sampled.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from thought1.t1 import T1
from thought1.training.cross_fit import sample_thoughts
from thought1.training.data.sources import TrainingPair
from thought1.training.data.thoughts import SampledThoughts
from thought1.training.recipe import ReasonStage


@dataclass(frozen=True, slots=True)
class ThoughtSampling:
    """Which questions thoughts are sampled for, and where they are kept."""

    pairs: Sequence[TrainingPair]
    stage: ReasonStage
    seed: int
    sampled: SampledThoughts
    rounds: Collection[int]
    """Those that the plan of batches reads."""


class SampleOwnThoughts(TrainerCallback):
    """Samples thoughts of the model in training about its questions, every `sampled_every` steps.

    Round r is sampled after r x sampled_every steps; batches read it from the following step on,
    because the loader prepares one batch ahead.
    """

    def __init__(self, model: T1, sampling: ThoughtSampling) -> None:
        self.model = model
        self.sampling = sampling

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Round 0, unless a run is resumed."""
        if state.global_step == 0 and 0 in self.sampling.rounds:
            self._sample(0)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """The later rounds."""
        number, rest = divmod(state.global_step, self.sampling.stage.sampled_every)
        if not rest and number in self.sampling.rounds:
            self._sample(number)

    def _sample(self, number: int) -> None:
        process = PartialState()
        if process.is_main_process:
            its = self.sampling
            thoughts = sample_thoughts(self.model, its.pairs, its.stage, its.seed + number)
            its.sampled.write(number, thoughts)
        process.wait_for_everyone()
