"""Thoughts about the training questions that models sample themselves, kept by round in files.

It knows models, questions and files, no losses. One JSON line a thought, so that one can read what
a model thought at each time of its training.
"""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from thought1.config import StageConfig
from thought1.t1 import T1
from thought1.training.batches import Ids
from thought1.training.sources import Pair
from thought1.types import Sampling, Thought


class OwnThoughts:
    """Sampled thoughts by round and query id, in a stage's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: tuple[int, dict[str, Ids]] = (-1, {})

    def path(self, number: int) -> Path:
        """The file of a round."""
        return self.folder / f"own-thoughts-{number}.jsonl"

    def write(self, number: int, thoughts: Mapping[str, Thought]) -> None:
        """Keep a round; a file is there whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.path(number).with_suffix(f".{os.getpid()}")
        with partial.open("w", encoding="utf-8") as file:
            for query_id, thought in thoughts.items():
                row = {"_id": query_id, "text": thought.text, "ended": thought.finish_reason}
                file.write(json.dumps({**row, "token_ids": thought.token_ids}) + "\n")
        partial.replace(self.path(number))
        self._read = (-1, {})

    def read(self, number: int) -> Mapping[str, Ids]:
        """Token ids of a round by query id."""
        if self._read[0] != number:
            lines = self.path(number).read_text("utf-8").splitlines()
            rows = [json.loads(line) for line in lines]
            self._read = number, {row["_id"]: row["token_ids"] for row in rows}
        return self._read[1]


def sample_thoughts(
    model: T1, pairs: Sequence[Pair], stage: StageConfig, seed: int
) -> dict[str, Thought]:
    """A thought of the model about each question, by query id."""
    model.checkpoint.model.eval()  # a trainer leaves it in training mode
    shown = [pair.evidence for pair in pairs] if any(pair.evidence for pair in pairs) else None
    thoughts = model.think(
        [pair.query for pair in pairs],
        budget=stage.max_thought_tokens,
        sampling=Sampling(
            stage.own_temperature,
            stage.own_top_p,
            seed,
            model.settings.thought.no_repeat_ngram,
        ),
        evidence=shown,
        batch_size=64,
    )
    return {pair.query_id: thought for pair, thought in zip(pairs, thoughts, strict=True)}


@dataclass(frozen=True, slots=True)
class OwnSampling:
    """What own thoughts are sampled for, and where they go."""

    pairs: Sequence[Pair]
    stage: StageConfig
    seed: int
    own: OwnThoughts
    rounds: Collection[int]
    """Those that the plan of batches reads."""


class SampleOwnThoughts(TrainerCallback):
    """Lets the model in training think about its questions anew, every `own_every` steps.

    Round r is sampled after r x own_every steps; batches read it from the step after on, because
    the loader prepares one batch ahead.
    """

    def __init__(self, model: T1, sampling: OwnSampling) -> None:
        self.model = model
        self.sampling = sampling

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Round 0, unless a run goes on."""
        if state.global_step == 0 and 0 in self.sampling.rounds:
            self._sample(0)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """The later rounds."""
        number, rest = divmod(state.global_step, self.sampling.stage.own_every)
        if not rest and number in self.sampling.rounds:
            self._sample(number)

    def _sample(self, number: int) -> None:
        process = PartialState()
        if process.is_main_process:
            its = self.sampling
            thoughts = sample_thoughts(self.model, its.pairs, its.stage, its.seed + number)
            its.own.write(number, thoughts)
        process.wait_for_everyone()
