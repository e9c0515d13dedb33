"""The peer of t1-nano: all-MiniLM-L6-v2 fine-tuned by sentence-transformers on the same pairs.

    python benchmarks/finetune_minilm.py --data DATA --output runs/minilm-0 --seed 0

The pairs are those of a contrastive stage of the recipe, every positive a pair of its own. Loss,
batches and optimizer are what sentence-transformers recommends for pairs:
MultipleNegativesRankingLoss with its defaults (scale 20, which is temperature 0.05), batches
without duplicates, AdamW, linear schedule with 10 % warm-up; bf16 autocast for the
model where the processor has instructions for it, float32 for the loss. It knows no T1.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from collection import Collection, load_collection
from datasets import Dataset
from record import ROOT, exit_code, origin, write_json
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.training_args import BatchSamplers
from systems import MINILM, TRAINED, run_system, sentence_system
from transformers import TrainerCallback

from thought1.engines.training_precision import trains_in_bfloat16
from thought1.evaluation.statistics.protocol import evaluate
from thought1.model.place import locate
from thought1.model.sentence_model import SentenceModel
from thought1.training.data.sources import read_sources
from thought1.training.recipe import Recipe, load_recipe
from thought1.types import Thought1Error

MAX_TOKENS = 128
CHUNK = 16
"""Texts of similar length that go through the model together."""
MEASURES = ("ndcg@10", "recall@100")


def training_pairs(recipe: Recipe, stage: str, data: Path) -> list[tuple[str, str]]:
    """(query, positive) for every positive of the recipe's stage.

    Raises:
        Thought1Error: the recipe has no such stage; a source is missing, broken or not allowed.
    """
    chosen = [s for s in recipe.stages if s.name == stage]
    if not chosen:
        names = ", ".join(s.name for s in recipe.stages)
        raise Thought1Error(f"recipe {recipe.name} has no stage {stage!r}; it has: {names}")
    found = read_sources(chosen[0].sources, data, Path(recipe.folder), recipe.seed)
    return [(pair.query, positive) for pair in found.pairs for positive in pair.positives]


def validation_questions(recipe: Recipe, data: Path) -> Collection:
    """The collection that the recipe's validation names."""
    held = recipe.validation
    if held is None:
        raise Thought1Error(f"recipe {recipe.name} has no [validation] table")
    ids = Path(recipe.folder) / held.ids if held.ids else None
    return load_collection(data / held.path, held.split, ids)


class SortedLoss(MultipleNegativesRankingLoss):
    """The same loss with less padding: each column in chunks of similar length.

    A batch holds one long question or another, and 64 rows padded to its length make twice the
    work. Under bf16 autocast the similarities would be rounded to 8 bits; here they are float32.
    """

    def forward(self, sentence_features: Iterable[dict[str, Any]], labels: Any) -> torch.Tensor:
        """The loss of one batch: a column of features for the queries, one for the positives."""
        columns = [self._embed(features) for features in sentence_features]
        with torch.autocast(columns[0].device.type, enabled=False):
            loss: torch.Tensor = self.compute_loss_from_embeddings(columns, labels)
        return loss

    def _embed(self, features: dict[str, Any]) -> torch.Tensor:
        tensors = {k: v for k, v in features.items() if isinstance(v, torch.Tensor)}
        lengths_B = tensors["attention_mask"].sum(1)
        order_B = lengths_B.argsort()
        parts = []
        for rows in order_B.split(CHUNK):
            width = int(lengths_B[rows].max())
            chunk = {name: tensor[rows, :width] for name, tensor in tensors.items()}
            parts.append(self.model(chunk)["sentence_embedding"].float())
        return torch.cat(parts)[order_B.argsort()]


class AfterEpoch(TrainerCallback):
    """Calls `check` at the end of every epoch."""

    def __init__(self, check: Callable[[], None]) -> None:
        self.check = check

    def on_epoch_end(self, *positional: Any, **named: Any) -> None:
        """See transformers.TrainerCallback, which defines the arguments."""
        self.check()


def trainer_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Arguments of a sentence-transformers trainer: 10 % warm-up, then linear decline; bf16
    where the processor has instructions for it; nothing is saved on the way."""
    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(options.output),
        "num_train_epochs": options.epochs,
        "max_steps": options.max_steps,
        "per_device_train_batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "warmup_steps": 0.1,  # below 1: a share of all steps
        "lr_scheduler_type": "linear",
        "bf16": trains_in_bfloat16("cuda" if gpu else "cpu"),
        "use_cpu": not gpu,
        "dataloader_pin_memory": gpu,
        "seed": options.seed,
        "save_strategy": "no",
        "logging_steps": 20,
        "report_to": "none",
    }


def finetune(
    model: SentenceTransformer,
    pairs: Sequence[tuple[str, str]],
    options: argparse.Namespace,
    check: Callable[[], None],
) -> None:
    """Train in place; `check` is called after every epoch, or once at the end."""
    dataset = Dataset.from_dict(
        {"anchor": [q for q, _ in pairs], "positive": [p for _, p in pairs]}
    )
    settings = SentenceTransformerTrainingArguments(
        batch_sampler=BatchSamplers.NO_DUPLICATES, **trainer_settings(options)
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=settings,
        train_dataset=dataset,
        loss=SortedLoss(model),
        callbacks=[AfterEpoch(check)] if options.evaluate == "every" else [],
    )
    trainer.train()
    if options.evaluate == "end":
        check()


def make(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Read, train, validate, save."""
    recipe = load_recipe(options.recipe)
    pairs = training_pairs(recipe, options.stage, options.data)
    held_out = validation_questions(recipe, options.data)
    model = SentenceModel.load(locate(MINILM)).model
    own_length = model.max_seq_length
    scores: list[dict[str, float]] = []

    def check() -> None:
        run = run_system(sentence_system(SentenceModel(model)), held_out)
        scores.append(evaluate(run, held_out.qrels, MEASURES).metrics)
        shown = ", ".join(f"{name} {value:.4f}" for name, value in scores[-1].items())
        print(f"validation on {len(held_out.queries)} questions: {shown}", flush=True)

    model.max_seq_length = MAX_TOKENS
    start = time.perf_counter()
    finetune(model, pairs, options, check)
    seconds = time.perf_counter() - start
    model.max_seq_length = own_length
    model.save(str(options.output), create_model_card=False)
    report = {
        **origin("finetune_minilm.py", arguments),
        "seed": options.seed,
        "learning_rate": options.learning_rate,
        "epochs": options.epochs,
        "max_steps": options.max_steps,
        "batch_size": options.batch_size,
        "pairs": len(pairs),
        "seconds": seconds,
        "validation": scores,
    }
    write_json(options.output / TRAINED, report)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description="Fine-tune all-MiniLM-L6-v2 on a recipe's pairs.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training files")
    parser.add_argument("--output", type=Path, required=True, help="folder for the model")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "nano-cpu.toml")
    parser.add_argument("--stage", default="contrast", help="whose pairs to take")
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--epochs", type=float, default=4)
    parser.add_argument("--max-steps", type=int, default=-1, help="overrides --epochs if positive")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--evaluate", choices=("every", "end"), default="every", help="epochs")
    options = parser.parse_args(arguments)
    return exit_code(lambda: make(options, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
