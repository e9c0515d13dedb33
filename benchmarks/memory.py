"""What a recipe needs on GPUs that we do not have: bytes and hours by arithmetic, nothing measured.

    python benchmarks/memory.py --data DATA [recipes/qwen3-0.6b.toml ...]

Bytes, in GB of 10^9, of the fullest batch (all rows at the recipe's longest): weights, gradients
and AdamW's two states in float32 (our trainer keeps them so under bf16 autocast), the bf16 casts of
the matrices, what autograd keeps of each token, the logits with their gradient. Fragmentation and
the CUDA context come on top. With several GPUs each process holds all of it, and
DistributedDataParallel a second copy of the gradients.

Time: multiplications of matrices and attention over the peak rate of an H100 at an assumed
utilisation, ideally shared by the GPUs; `memory_reinforce` has those of stage 3, its sampling
included. Token counts are the data's words times an assumed 1.4. Not counted: loading, validation,
the gain filter, own thoughts and their folds, optimizer steps, communication.

It knows recipes, data files and a model's sizes; it loads no model.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import memory_reinforce
from memory_amounts import Amounts, measure
from memory_sizes import MODELS, Sizes
from record import ROOT

from thought1.training.data.collate import PACKED_TOKENS
from thought1.training.recipe import (
    ModelConfig,
    ReasonStage,
    Recipe,
    ReinforceStage,
    StageConfig,
    load_recipe,
)
from thought1.types import Thought1Error

PEAK = 989e12
"""FLOP/s of an H100 SXM in bf16 without sparsity, by its data sheet."""
PEAK_FLOAT32 = 67e12
"""The same in float32, which knows no tensor cores."""
RECIPES = ("qwen3-0.6b", "qwen3-1.7b", "qwen3-4b-instruct-2507")


def trained(sizes: Sizes, stage: StageConfig) -> int:
    """How many weights get gradients."""
    if not stage.lora_rank:
        return sizes.parameters
    adapters = sizes.layers * sum(i + o for i, o in sizes.linears) * stage.lora_rank
    return adapters + sizes.hidden  # and the row of <emb_token>


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes by what they hold, in one process."""

    weights: float
    gradients: float
    adamw: float
    casts: float
    activations: float
    logits: float
    buckets: float

    @property
    def total(self) -> float:
        """All of them: that none is freed before another is filled is the worst case."""
        parts = (self.weights, self.gradients, self.adamw, self.casts)
        return sum(parts) + self.activations + self.logits + self.buckets


def memory(sizes: Sizes, model: ModelConfig, stage: StageConfig, gpus: int = 1) -> Memory:
    """The fullest batch of a stage."""
    count = trained(sizes, stage)
    tokens, labels = _fullest(model, stage)
    copies, cache = 1, 0
    if isinstance(stage, ReinforceStage):
        copies += int(stage.reinforce.weight_kl > 0)
        cache = memory_reinforce.cache_bytes(sizes, model, stage)
    return Memory(
        weights=copies * 4 * sizes.parameters,
        gradients=4 * count,
        adamw=8 * count,
        casts=2 * sizes.parameters,
        # Rollouts have ended when the update begins.
        activations=max(tokens * _token_bytes(sizes, stage), cache),
        logits=2 * 2 * labels * sizes.vocab,
        buckets=4 * count if gpus > 1 else 0,
    )


def folds_memory(sizes: Sizes, model: ModelConfig, stage: ReasonStage) -> Memory:
    """While `sampled_folds` teaches a copy of the model, as the stage teaches."""
    count = trained(sizes, stage)
    query = model.max_query_tokens + stage.max_thought_tokens + 1
    return Memory(
        weights=2 * 4 * sizes.parameters,
        gradients=4 * count,
        adamw=8 * count,
        casts=2 * sizes.parameters,
        activations=stage.queries_per_batch * query * _token_bytes(sizes, stage),
        logits=2 * 2 * stage.queries_per_batch * (stage.max_thought_tokens + 1) * sizes.vocab,
        buckets=0,
    )


def _token_bytes(sizes: Sizes, stage: StageConfig) -> int:
    """What autograd holds of one token."""
    if stage.gradient_checkpointing:
        # The input of each layer, and one layer's activations while it is computed again.
        return 4 * sizes.hidden * sizes.layers + sizes.layer_bytes
    return sizes.layer_bytes * sizes.layers


def _fullest(model: ModelConfig, stage: StageConfig) -> tuple[int, int]:
    """The most tokens, and tokens with a label, that autograd holds at once."""
    if isinstance(stage, ReinforceStage):
        return memory_reinforce.fullest(model, stage)
    language = stage.weight_language > 0
    singles = stage.tokens_per_batch
    if not stage.needs_pairs:
        return singles, singles if language else 0
    thought = stage.max_thought_tokens + 1 if stage.thinks else 0
    query, document = model.max_query_tokens + thought, model.max_document_tokens
    questions = stage.queries_per_batch
    # In the worst case no vector is read behind a reference, and SFT has rows of its own.
    rows = questions * (2 if stage.thinks and language else 1)
    documents = questions * (stage.positives_per_query + stage.negatives_per_query)
    chunk = stage.grad_cache_chunk
    tokens = chunk * max(query, document) if chunk else rows * query + documents * document
    labels = min(questions, chunk or questions) * thought if language else 0
    return max(tokens, singles), max(labels, singles if language else 0)


def batches(stage: StageConfig, amounts: Amounts) -> tuple[float, float]:
    """Batches of pairs and of single texts of a whole stage, over all processes."""
    pairs = amounts.questions // stage.queries_per_batch if stage.needs_pairs else 0
    singles = amounts.singles / stage.tokens_per_batch
    epochs = stage.epochs
    if stage.max_steps > 0:
        epochs = stage.max_steps * stage.accumulation / max(1.0, pairs + singles)
    return pairs * epochs, singles * epochs


def operations(sizes: Sizes, stage: StageConfig, amounts: Amounts) -> float:
    """FLOP of a whole stage.

    The backward pass costs two forward passes, one where frozen weights need no gradient (LoRA,
    whose own small matrices are left out); checkpointing and GradCache add a forward pass each.
    """
    backward = 1 if stage.lora_rank else 2
    passes = 1 + backward + int(stage.gradient_checkpointing)
    pairs, singles = batches(stage, amounts)
    of_pairs = pairs * _pairs_forward(sizes, stage, amounts)
    tokens = singles * stage.tokens_per_batch
    labels = tokens * amounts.labels / max(1, amounts.singles)
    if stage.thinks and stage.weight_language:
        labels += pairs * stage.queries_per_batch * amounts.thought
    return (
        of_pairs * (passes + int(stage.grad_cache_chunk > 0))
        + tokens * sizes.forward(PACKED_TOKENS) * passes
        + labels * 2 * sizes.vocab * sizes.hidden * (1 + backward)
    )


def _pairs_forward(sizes: Sizes, stage: StageConfig, amounts: Amounts) -> float:
    """FLOP of one batch of pairs, forwards, padded to its widths."""
    questions = rows = float(stage.queries_per_batch)
    if stage.thinks and stage.weight_language:
        # Rows of their own for SFT, where the vector is read behind no reference.
        share = stage.share_none + max(stage.share_sampled_start, stage.share_sampled_end)
        rows += questions * min(1.0, share)
    query = amounts.query + amounts.thought
    documents = questions * (stage.positives_per_query + stage.negatives_per_query)
    width = amounts.document
    return rows * query * sizes.forward(query) + documents * width * sizes.forward(width)


HEADER = (
    "| recipe: stage | trained (M) | weights | gradients | AdamW | casts | activations | logits "
    "| one GPU (GB) | each of eight (GB) | steps on one | on eight | PFLOP | minutes on one "
    "| on eight |"
)
NUMBERS = HEADER.count("|") - 2


@dataclass(frozen=True, slots=True)
class Spent:
    """What one of several processes does in a whole stage; seconds at the peak rate."""

    steps: float
    work: float
    seconds: float


def _spent(sizes: Sizes, stage: StageConfig, amounts: Amounts, gpus: int) -> Spent:
    if isinstance(stage, ReinforceStage):
        done = memory_reinforce.operations(sizes, stage, amounts, gpus)
        seconds = done.bf16 / PEAK + done.float32 / PEAK_FLOAT32
        planned = memory_reinforce.steps(stage, amounts.questions, gpus)
        return Spent(planned, done.bf16 + done.float32, seconds)
    work = operations(sizes, stage, amounts) / gpus
    steps = sum(batches(stage, amounts)) / stage.accumulation / gpus
    return Spent(steps, work, work / PEAK)


def rows_of(recipe: Recipe, utilisation: float) -> list[list[str]]:
    """The table's rows of a recipe.

    Raises:
        Thought1Error: a base whose sizes are not known here, or data that cannot be read.
    """
    sizes = MODELS.get(recipe.model.base)
    if sizes is None:
        known = ", ".join(MODELS)
        raise Thought1Error(f"{recipe.name}: the sizes of {recipe.model.base!r} are not in {known}")
    found = []
    for stage in recipe.stages:
        amounts = measure(recipe, stage)
        held, eight = (memory(sizes, recipe.model, stage, gpus) for gpus in (1, 8))
        spent = [_spent(sizes, stage, amounts, gpus) for gpus in (1, 8)]
        ends = [
            _gb(eight.total),
            *(f"{one.steps:.0f}" for one in spent),
            f"{spent[0].work / 1e15:.0f}",
            *(f"{one.seconds / utilisation / 60:.1f}" for one in spent),
        ]
        found.append([*_cells(f"{recipe.name}: {stage.name}", trained(sizes, stage), held), *ends])
        if isinstance(stage, ReasonStage) and stage.sampled_folds:
            folds = folds_memory(sizes, recipe.model, stage)
            name = f"{recipe.name}: its folds"
            found.append([*_cells(name, trained(sizes, stage), folds), "", *5 * [""]])
    return found


def _cells(name: str, count: int, held: Memory) -> list[str]:
    parts = (held.weights, held.gradients, held.adamw, held.casts, held.activations, held.logits)
    return [name, f"{count / 1e6:.0f}", *map(_gb, parts), _gb(held.total)]


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    parser = argparse.ArgumentParser(description="Memory and hours of recipes, by arithmetic.")
    parser.add_argument("recipes", type=Path, nargs="*", help="default: the three of Qwen3")
    parser.add_argument("--data", required=True, help="folder of the training files")
    parser.add_argument("--utilisation", type=float, default=0.4, help="assumed; default 0.4")
    options = parser.parse_args(arguments)
    paths = options.recipes or [ROOT / "recipes" / f"{name}.toml" for name in RECIPES]
    table: list[list[str]] = []
    try:
        for path in paths:
            recipe = load_recipe(path, [f"data={options.data}"])
            table += rows_of(recipe, options.utilisation)
    except Thought1Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(HEADER)
    print("|---|" + "---:|" * NUMBERS)
    for row in table:
        print(f"| {' | '.join(row)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
