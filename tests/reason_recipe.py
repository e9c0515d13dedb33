"""A small training of stage 2: thoughts and evidence beside the data of `small_recipe`."""

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from small_recipe import CONTRAST, FACTS, HEAD, QUERIES, SUBJECTS, VALIDATION, make_room
from tiny import make_checkpoint
from torch import Tensor
from transformers import TrainingArguments

from thought1.t1 import T1
from thought1.training.data.batches import Batch, BatchPlan
from thought1.training.data.collate import Collator
from thought1.training.data.sources import TrainingData, TrainingPair
from thought1.training.data.thoughts import SampledThoughts, ThoughtCollator, thought_rows
from thought1.training.data.tokens import tokenize
from thought1.training.model.anchor import Anchor
from thought1.training.model.base_model import switch_dropout_off
from thought1.training.model.embedder import TrainedEmbedder
from thought1.training.recipe import ReasonStage
from thought1.training.trainer import StageTrainer
from thought1.types import Thought

UNREFERENCED = "train:11"
"""The one question of the recipes without a reference thought."""

THOUGHTS = """
[[stages.sources]]
path = "facts"
kind = "beir"
id_prefix = "train:"
exclude = "held-out.txt"
thoughts = "thoughts.jsonl"
thought = "{{steps}}"
"""
THINK = """
[[stages]]
name = "think"
stage = "reason"
max_steps = 6
queries_per_batch = 3
positives_per_query = 1
learning_rate = 1e-3
weight_triplet = 2.0
max_thought_tokens = 8
bf16 = false
save_minutes = 60
log_steps = 1
"""
OWN = """
share_sampled_start = 0.4
share_sampled_end = 0.7
sampled_every = 2
"""
REPRESENT = CONTRAST.replace("max_steps = 4", "max_steps = 2")
RECIPE = HEAD + THINK + OWN + THOUGHTS
VALIDATED = HEAD + VALIDATION + REPRESENT + FACTS + THINK + OWN + THOUGHTS
TEACH = """
[[stages]]
name = "thoughts"
max_steps = 3
tokens_per_batch = 256
weight_contrastive = 0.0
weight_lm = 1.0
max_thought_tokens = 8
learning_rate = 1e-3
bf16 = false
log_steps = 1
"""
"""Teaches a plain language model thoughts by the next-token loss alone."""


def make_thinking_room(folder: Path) -> Path:
    """The room of `small_recipe`, with a thought and evidence for each question but one."""
    make_room(folder)
    thoughts, evidence = [], []
    for i in range(QUERIES):
        subject = SUBJECTS[i % len(SUBJECTS)]
        if f"train:{i}" != UNREFERENCED:
            steps = [f"{subject} and heat", f"number {i} and cold"]
            thoughts.append({"_id": f"train:{i}", "steps": steps})
            evidence.append({"_id": f"train:{i}", "documents": [f"about {subject}", f"of {i}"]})
    for name, rows in (("thoughts", thoughts), ("evidence", evidence)):
        path = folder / "data" / f"{name}.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


# -- without files ---------------------------------------------------------------------------

MOST = 6
"""Tokens of a thought."""
PAIRS = [
    TrainingPair(
        "a", "Why do bridges have gaps?", ("Iron grows when it is hot.", "Most solids expand.")
    ),
    TrainingPair("b", "What breaks ice?", ("Warm water breaks ice.",), "it cracks"),
    TrainingPair(
        "c", "How is heat measured?", ("A thermometer.",), "with a thermometer of 100 degrees"
    ),
    TrainingPair("d", "Why salt on roads?", ("Salt lowers the freezing point.",), "salt"),
]
"""One without a reference thought, one whose thought is cut at `MOST`, two whose thoughts end."""


def tiny_model(folder: Path, architecture: str = "qwen3") -> T1:
    """As training holds it: float32, no dropout, with room for `PAIRS`."""
    make_checkpoint(folder, architecture)
    model = T1.from_pretrained(folder, dtype="float32", device="cpu")
    switch_dropout_off(model.checkpoint.model)
    query = replace(model.settings.query, pattern="{instruction}\n{evidence}{text} \n")
    settings = replace(model.settings, query=query)
    return T1(replace(model.checkpoint, settings=settings))


def reason(**settings: Any) -> ReasonStage:
    """A stage in float32."""
    given = {"bf16": False, "max_thought_tokens": MOST, **settings}
    return ReasonStage("test", (), **given)


def collator(
    model: T1,
    own: SampledThoughts,
    pairs: Sequence[TrainingPair] = PAIRS,
    *,
    language: bool = True,
    anchored: bool = False,
) -> ThoughtCollator:
    """Of batches over `pairs`."""
    rows = tokenize(model, TrainingData(list(pairs)), {}, max_thought_tokens=MOST)
    found = thought_rows(model, pairs, rows, MOST)
    return ThoughtCollator(found, own, language=language, anchored=anchored)


def references(model: T1, pairs: Sequence[TrainingPair] = PAIRS) -> dict[str, Thought]:
    """As T1 is given them."""
    thinking = [pair for pair in pairs if pair.thought]
    rows = model.renderer.text([pair.thought for pair in thinking])
    return {
        pair.query_id: Thought("", tuple(row[:MOST]), "edited")
        for pair, row in zip(thinking, rows, strict=True)
    }


def batch_of(modes: Sequence[str], pairs: Sequence[TrainingPair] = PAIRS, number: int = 0) -> Batch:
    """All pairs with one positive each."""
    return Batch(
        queries=tuple(pair.query for pair in pairs),
        documents=tuple(pair.positives[0] for pair in pairs),
        positives=tuple((i,) for i in range(len(pairs))),
        query_ids=tuple(pair.query_id for pair in pairs),
        modes=tuple(modes),  # type: ignore[arg-type]
        round=number,
    )


def fit(
    model: T1,
    settings: ReasonStage,
    batches: Sequence[Batch],
    collate: Collator,
    folder: Path,
    anchor: Anchor | None = None,
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """Parameters after training a copy of the model by plain gradient descent, and the log.

    Adam's first steps would blow rounding errors up to the size of the learning rate.
    """
    network = copy.deepcopy(model.checkpoint.model)
    embedder = TrainedEmbedder(network, language=collate.language, anchor=anchor)
    if settings.gradient_checkpointing:
        network.activation_checkpointing_enable({"use_reentrant": False})
    trainer = StageTrainer(
        stage=settings,
        model=embedder,
        args=TrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=1,
            gradient_accumulation_steps=settings.accumulation,
            num_train_epochs=1,
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            use_cpu=True,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            remove_unused_columns=False,
            disable_tqdm=True,
            train_sampling_strategy="sequential",
        ),
        train_dataset=BatchPlan(batches),
        data_collator=collate,
        optimizers=(torch.optim.SGD(embedder.parameters(), lr=1e-3), None),
    )
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    return {name: p.detach() for name, p in embedder.named_parameters()}, logged


def unpacked(tensors: dict[str, Tensor], name: str = "ids") -> list[list[int]]:
    """`query_ids` or another tensor of the query side, text by text as they are packed."""
    found = []
    for values, segments in zip(
        tensors[f"query_{name}"].tolist(), tensors["query_segments"].tolist(), strict=True
    ):
        for segment in range(1, max(segments) + 1):
            pairs = zip(values, segments, strict=True)
            found.append([value for value, s in pairs if s == segment])
    return found


def query_rows(tensors: dict[str, Tensor], name: str = "ids") -> list[list[int]]:
    """The same of the rows whose vectors count, in the order of the queries."""
    rows = unpacked(tensors, name)
    return [rows[place] for place in tensors["query_indices"].tolist()]
