"""What a recipe may say about every stage, and about stages 1 and 2, `[[stages]]`."""

from typing import ClassVar, Literal

from thought1.training.recipe.sources import SourceConfig
from thought1.training.recipe.table import (
    BelowOne,
    Count,
    Flag,
    Int,
    Natural,
    Positive,
    Text,
    Weight,
    table,
)


@table
class BaseStage:
    """One training run. Weights of 0 switch a term off."""

    thinks: ClassVar[bool] = True
    """Whether thoughts follow the queries."""

    name: Text
    sources: tuple[SourceConfig, ...]
    epochs: Positive = 1.0
    max_steps: Int = -1
    """Optimizer steps; overrides `epochs` where positive."""
    queries_per_batch: Count = 64
    """Pairs: queries of one batch."""
    positives_per_query: Count = 4
    negatives_per_query: Natural = 0
    """Hard negatives for each query, drawn from the teacher's best `negative_depth`; in stage
    reinforce from those of the model itself, not thinking, as the stage begins."""
    negative_depth: Count = 50
    accumulation: Count = 1
    """Batches of one optimizer step, in each process; in stage reinforce, the parts in which the
    rollouts of one step are read."""
    learning_rate: Positive = 1e-4
    warmup_ratio: BelowOne = 0.05
    """Share of the steps in which the learning rate rises; then it falls linearly to 0."""
    weight_decay: Weight = 0.01
    max_grad_norm: Weight = 1.0
    """Longer gradients are shortened to this norm; 0 leaves them."""
    bf16: Literal[True, False, "auto"] = "auto"
    """Autocast to bfloat16; weights and optimizer stay float32. "auto": on a device that has
    instructions for it, on a CPU only if they are measured to be faster there."""
    weight_contrastive: Weight = 1.0
    temperature: Positive = 0.05
    max_thought_tokens: Count = 64
    """Longer reference thoughts and rationales are cut here and do not teach to end; sampled
    thoughts have this budget."""
    lora_rank: Natural = 0
    """Train low-rank updates of all linear layers and the row of `<emb_token>` only, merged into
    the weights at the end (LoRA, arXiv 2106.09685); 0 trains all weights."""
    lora_alpha: Count = 32
    """Updates are scaled by lora_alpha / lora_rank."""
    gradient_checkpointing: Flag = False
    """Compute activations again in the backward pass: less memory, a third more time."""
    save_minutes: Weight = 3.0
    """Time between two checkpoints; the last two are kept."""
    log_steps: Count = 20
    eval_steps: Natural = 0
    """Optimizer steps between two validations; 0 validates only at the end."""

    @property
    def weight_language(self) -> float:
        """The weight of the stage's next-token loss."""
        return 0.0

    @property
    def needs_pairs(self) -> bool:
        """Whether a term compares queries with documents."""
        return self.weight_contrastive > 0

    @property
    def learns_anchor(self) -> bool:
        """Whether a term compares documents with the vectors after thoughts."""
        return self.thinks and self.needs_pairs

    @property
    def distils(self) -> bool:
        """Whether a term compares vectors with a teacher's."""
        return False

    @property
    def needs_teacher(self) -> bool:
        """Whether anything reads the teacher's vectors."""
        return False


@table
class SupervisedStage(BaseStage):
    """What stages 1 and 2 have in common."""

    teacher: Text = ""
    """Instead of the recipe's teacher, in this stage."""
    tokens_per_batch: Count = 4096
    """Single texts: tokens of one batch, padding included."""
    false_negative_margin: Weight = 0.0
    """Ignore negatives whose teacher similarity exceeds the positive's minus this; needs a
    teacher. 0 only ignores same document and same text."""
    weight_triplet: Weight = 0.0
    """Each query with its first positive and the hardest negative of its batch."""
    triplet_margin: Weight = 0.1
    weight_distill: Weight = 0.0
    """1 - cosine between vector and teacher's vector; never for queries followed by a thought,
    since the teacher does not think."""
    grad_cache_chunk: Natural = 0
    """Rows encoded at a time, with gradients cached between; 0 encodes a batch at once."""

    @property
    def needs_pairs(self) -> bool:
        """Whether a term compares queries with documents."""
        return self.weight_contrastive > 0 or self.weight_triplet > 0

    @property
    def distils(self) -> bool:
        """Whether a term compares vectors with a teacher's."""
        return self.weight_distill > 0

    @property
    def needs_teacher(self) -> bool:
        """Whether anything reads the teacher's vectors."""
        return self.distils or self.false_negative_margin > 0 or self.negatives_per_query > 0

    def check_terms(self) -> None:
        """Refuse what no term reads.

        Raises:
            ValueError: negatives without a term that compares pairs, or a stream without a reader.
        """
        if not self.needs_pairs and (self.negatives_per_query or self.false_negative_margin):
            raise ValueError(
                "negatives_per_query and false_negative_margin need weight_contrastive or "
                "weight_triplet above 0"
            )
        if any(source.stream for source in self.sources) and not self.weight_language:
            raise ValueError(
                "stream needs weight_lm or weight_sft above 0: nothing else reads such a source"
            )
