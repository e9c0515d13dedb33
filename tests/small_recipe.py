"""A small training: data, bases and recipes that run in a second, for the tests of `t1 train`."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file
from tiny import make_checkpoint
from torch import Tensor

from thought1.training.recipe import Recipe, load_recipe

QUERIES = 12
SUBJECTS = ("ice", "salt", "iron", "steam", "sand", "glass")

HEAD = """
name = "tiny"
data = "{data}"
output = "{output}"
seed = 3
[model]
base = "{base}"
query_instruction = "ask"
document_instruction = "tell"
max_query_tokens = 64
max_document_tokens = 64
thought_budget = 4
"""
VALIDATION = """
[validation]
path = "facts"
split = "train"
ids = "held-out.txt"
"""
FACTS = """
[[stages.sources]]
path = "facts"
kind = "beir"
id_prefix = "train:"
exclude = "held-out.txt"
"""
TEXTS = """
[[stages.sources]]
path = "texts.jsonl"
kind = "texts"
"""
CONTRAST = """
[[stages]]
name = "contrast"
max_steps = 4
queries_per_batch = 3
positives_per_query = 1
accumulation = 2
learning_rate = 1e-3
bf16 = false
save_minutes = 60
log_steps = 1
"""
DISTIL = """
[[stages]]
name = "distil"
tokens_per_batch = 256
weight_contrastive = 0.0
weight_distill = 1.0
weight_distill_similarity = 0.3
learning_rate = 1e-3
eval_steps = 2
"""
RECIPE = HEAD + CONTRAST + FACTS


def write_data(folder: Path) -> None:
    """12 questions with two facts each, two of them held out, and 20 single texts."""
    facts = folder / "facts"
    (facts / "qrels").mkdir(parents=True)
    queries, corpus, qrels = [], [], ["query-id\tcorpus-id\tscore"]
    for i in range(QUERIES):
        subject = SUBJECTS[i % len(SUBJECTS)]
        queries.append({"_id": f"train:{i}", "text": f"Why does {subject} number {i} change?"})
        for part in ("heat", "cold"):
            text = f"{subject} number {i} changes when there is {part}"
            corpus.append({"_id": f"{part}{i}", "text": text})
            qrels.append(f"train:{i}\t{part}{i}\t1")
    texts = [{"text": f"a text about {subject} and {i}"} for i, subject in enumerate(SUBJECTS * 3)]
    for path, rows in (
        (facts / "queries.jsonl", queries),
        (facts / "corpus.jsonl", corpus),
        (folder / "texts.jsonl", texts),
    ):
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (facts / "qrels" / "train.tsv").write_text("\n".join(qrels) + "\n")


@contextmanager
def without_gpu() -> Iterator[None]:
    """One kind of arithmetic for all that is compared; subprocesses hide GPUs by environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setattr(torch.cuda, "device_count", lambda: 0)
        yield


def make_room(folder: Path) -> Path:
    """A folder with data, two bases and held-out ids; recipes are written beside them."""
    write_data(folder / "data")
    make_checkpoint(folder / "bert", "bert")
    make_checkpoint(folder / "qwen3", "qwen3")
    (folder / "held-out.txt").write_text("train:0\ntrain:1\n")
    return folder


def write_recipe(room: Path, output: Path, text: str = RECIPE, base: str = "qwen3") -> Path:
    path = room / f"{output.name}.toml"
    values = {"data": room / "data", "output": output, "base": room / base}
    path.write_text(text.format(**{k: v.as_posix() for k, v in values.items()}))
    return path


def recipe(room: Path, output: Path, *overrides: str, text: str = RECIPE) -> Recipe:
    return load_recipe(write_recipe(room, output, text), overrides)


def weights(folder: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found.update(load_file(path))
    assert found
    return found


def equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    assert found.keys() == expected.keys()
    return all(torch.equal(value, expected[name]) for name, value in found.items())


def logged(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def losses(folder: Path) -> list[float]:
    return [entry["loss"] for entry in logged(folder) if "loss" in entry]


DRIVER = """
import os, signal, sys
from pathlib import Path

import torch
from transformers import Trainer

from thought1.training.recipe import load_recipe
from thought1.training.run import train

die_at = int(os.environ.get("DIE_AT", "0"))
save, run = Trainer._save_optimizer_and_scheduler, Trainer.train


def saving(self, output_dir):
    if self.state.global_step == die_at:
        os.kill(os.getpid(), signal.SIGKILL)
    save(self, output_dir)


def running(self, *positional, **named):
    done = run(self, *positional, **named)
    if "RANK" in os.environ:
        name = f"rank{os.environ['RANK']}.pt"
        torch.save(self.model.state_dict(), Path(self.args.output_dir) / name)
    return done


Trainer._save_optimizer_and_scheduler = saving
Trainer.train = running
train(load_recipe(Path(sys.argv[1]), sys.argv[2:]))
"""
"""Trains a recipe in a process of its own; kills itself while it saves step DIE_AT."""


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "", **more}


def driven(arguments: Sequence[str], **more: str) -> subprocess.CompletedProcess[str]:
    """Python with these arguments; processes that wait for each other for ever are an error."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment(**more),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


class FakeTeacher:
    """Vectors by the words of a text; notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.models: list[Path] = []

    def __call__(
        self, model: Path, texts: Sequence[str], trust_remote_code: bool = False
    ) -> npt.NDArray[np.float32]:
        self.asked.append(len(texts))
        self.models.append(model)
        vectors = np.zeros((len(texts), 32), np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                vectors[row] += np.random.default_rng(sum(word.encode())).standard_normal(32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors
