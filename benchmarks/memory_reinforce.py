"""Stage 3 in `memory.py`'s arithmetic: rollouts, what they are ranked against, the update.

The trainer's autocast covers calls of the whole model: the update, and each token of a thought.
Prompts and the documents that thoughts are ranked against pass the backbone alone, in float32.
Every thought is assumed as long as its budget. It knows a stage's values and a model's sizes.
"""

from dataclasses import dataclass

from memory_amounts import Amounts
from memory_sizes import Sizes

from thought1.training.recipe import ModelConfig, ReinforceStage


def rows(stage: ReinforceStage) -> int:
    """Rollouts of one step, in one process."""
    return stage.queries_per_batch * stage.reinforce.group_size


def documents(stage: ReinforceStage) -> int:
    """Documents of one step's batch, in one process."""
    return stage.queries_per_batch * (stage.positives_per_query + stage.negatives_per_query)


def fullest(model: ModelConfig, stage: ReinforceStage) -> tuple[int, int]:
    """The most tokens, and sampled tokens, that autograd holds at once: one part of the rollouts,
    and the documents of InfoNCE."""
    part = rows(stage) // stage.accumulation
    thought = stage.max_thought_tokens + 1
    tokens = part * (model.max_query_tokens + thought)
    if stage.weight_contrastive:
        tokens += documents(stage) * model.max_document_tokens
    return tokens, part * thought


def cache_bytes(sizes: Sizes, model: ModelConfig, stage: ReinforceStage) -> int:
    """Keys and values of all rollouts at their ends; there is no graph at that time."""
    length = model.max_query_tokens + stage.max_thought_tokens + 1
    return sizes.cache_bytes(rows(stage) * length)


def steps(stage: ReinforceStage, questions: int, gpus: int) -> int:
    """Optimizer steps of the whole stage, as `training.prepare_reinforce` plans them."""
    if stage.max_steps > 0:
        return stage.max_steps
    rounds = max(1, round(stage.epochs * (questions // (stage.queries_per_batch * gpus))))
    return rounds * stage.reinforce.iterations


@dataclass(frozen=True, slots=True)
class Work:
    """FLOP of one process over the whole stage."""

    bf16: float
    float32: float


def operations(sizes: Sizes, stage: ReinforceStage, amounts: Amounts, gpus: int) -> Work:
    """Rollouts, what they are ranked against, and the update; validation is left out."""
    count = steps(stage, amounts.questions, gpus)
    rolled = count / stage.reinforce.iterations
    thoughts, update, frozen = _behind_prompts(sizes, stage, amounts)
    # A group reads its prompt once.
    prompts = stage.queries_per_batch * amounts.query * sizes.forward(amounts.query)
    ranked = _ranked_tokens(stage, amounts, count) * sizes.forward(amounts.document)
    return Work(rolled * (thoughts + frozen) + count * update, rolled * prompts + ranked)


def _ranked_tokens(stage: ReinforceStage, amounts: Amounts, count: int) -> float:
    """Tokens of documents without a gradient in `count` steps; each process encodes its own."""
    config = stage.reinforce
    if config.pool == "batch":
        return documents(stage) * amounts.document * count / config.iterations
    # By interval; what `index_cosine` adds cannot be foreseen.
    anew = (count - 1) // config.index_steps if config.index_steps else 0
    return float((1 + anew) * amounts.pool)


def _behind_prompts(
    sizes: Sizes, stage: ReinforceStage, amounts: Amounts
) -> tuple[float, float, float]:
    """FLOP in one step: of the thoughts' tokens one by one, of the update, and of log-probabilities
    without a gradient."""
    config = stage.reinforce
    thought = stage.max_thought_tokens + 1
    length = amounts.query + thought
    head = rows(stage) * thought * 2 * sizes.vocab * sizes.hidden
    thoughts = rows(stage) * thought * sizes.forward(length + amounts.query) + head
    reads = rows(stage) * length * sizes.forward(length)
    frozen = (int(config.iterations > 1) + int(config.weight_kl > 0)) * (reads + head)
    if stage.weight_contrastive:
        width = amounts.document
        reads += stage.accumulation * documents(stage) * width * sizes.forward(width)
    # As in the other stages: one pass backwards where frozen weights need no gradient.
    backward = 1 if stage.lora_rank else 2
    passes = 1 + backward + int(stage.gradient_checkpointing)
    return thoughts, reads * passes + head * (1 + backward), frozen
