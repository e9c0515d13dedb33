"""What a recipe may say about the checkpoint that a training starts from, `[model]`."""

from dataclasses import field
from typing import Any, Literal

from pydantic import ValidationInfo, model_validator

from thought1.model.settings import anchor_weight, check_reader
from thought1.training.recipe.table import Count, Float, Natural, Text, check_marks, table
from thought1.types import Thought1Error

SCRATCH = "scratch"
"""The `base` of a recipe that starts from nothing."""
LEARNT = "learnt"
"""An `anchor` that training finds."""
SMALLEST_BPE = 3 + 256 + 1
"""Special tokens, one token for each byte, and `<emb_token>`."""


@table
class ScratchConfig:
    """A new model with random weights, in the architecture of Qwen3; its tokenizer learns from the
    texts of all stages."""

    layers: Count
    hidden_size: Count
    heads: Count
    """Attention heads; each has `hidden_size / heads` dimensions, an even number."""
    intermediate_size: Natural = 0
    """Width of the feed-forward layers; 0 takes 8/3 of `hidden_size`, up to a multiple of 64."""
    max_positions: Count = 512
    tokenizer: Literal["words", "bpe"] = "words"
    """`words`: one token for each word between blanks. `bpe`: byte-level BPE."""
    min_count: Count = field(default=1, metadata={"tokenizer": ("words",)})
    """Words that occur less often are unknown; those of templates and instructions never are."""

    @model_validator(mode="before")
    @classmethod
    def _marks(cls, given: Any, info: ValidationInfo) -> Any:
        check_marks(cls, given, info)
        return given

    @model_validator(mode="after")
    def _check(self) -> "ScratchConfig":
        if self.hidden_size % (2 * self.heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} over {self.heads} heads is not an even number of "
                "dimensions each, as rotary positions need"
            )
        return self


@table
class ModelConfig:
    """The checkpoint that training starts from."""

    base: Text
    """Folder, hub id, `package:NAME/FOLDER` (a folder inside an installed Python package), or
    `scratch`: a new model, see there."""
    vocab_size: Natural = 0
    """Keep only this many tokens, the most frequent in the texts of the first stage; 0 keeps
    all. WordPiece vocabularies only. From scratch: the size of the BPE."""
    query_template: Text = ""
    """See `prompts.Template`; "" keeps the base's, here and in the next three."""
    document_template: Text = ""
    query_instruction: Text = ""
    document_instruction: Text = ""
    max_query_tokens: Count = 128
    max_document_tokens: Count = 256
    thought_budget: Natural = 32
    """Default thinking budget of the checkpoint, in tokens."""
    no_repeat_ngram: Natural = 0
    """No n-gram of this many tokens appears twice in a thought, in training or later; 0 allows
    repetition."""
    companion: Text = ""
    """A sentence-transformers model that encodes the documents and reads the thoughts (folder, hub
    id or `package:`): the recipe trains thoughts, and no vectors except those of a projection."""
    companion_reader: Literal["text", "projection"] = "text"
    """How a thought gets into the companion's space: it reads the `text`; or a `projection` of the
    language model's vectors is trained by stages reason and reinforce."""
    anchor: Text | Float = ""
    """How the vector of the bare query contributes to that after a thought: `none`, `mean`, or its
    weight; `learnt` starts at the base's, or at `mean`, and is trained by the stages with vectors
    after thoughts. "" keeps the base's, and is `mean` with a companion."""
    scratch: ScratchConfig | None = None
    """Only with `base = "scratch"`."""

    @model_validator(mode="after")
    def _check(self) -> "ModelConfig":
        if self.companion_reader == "projection" and not self.companion:
            raise ValueError('companion_reader = "projection" needs a companion')
        if self.anchor != "":
            _check_anchor(self.anchor, self.companion, self.companion_reader)
        sizes = self.scratch
        if sizes is None:
            if self.base == SCRATCH:
                raise ValueError(
                    'base = "scratch" needs a table [model.scratch]; for a folder of that name '
                    'write "./scratch"'
                )
            return self
        if self.base != SCRATCH:
            raise ValueError(
                f"[model.scratch] builds a new model, but base is {self.base!r}: set it to "
                '"scratch", or remove the table'
            )
        if sizes.tokenizer == "words" and self.vocab_size:
            raise ValueError('vocab_size is not for tokenizer = "words": set it to 0, or min_count')
        if sizes.tokenizer == "bpe" and self.vocab_size < SMALLEST_BPE:
            raise ValueError(
                f'tokenizer = "bpe" needs a vocab_size of {SMALLEST_BPE} or more: bytes and '
                "specials"
            )
        return self


def _check_anchor(anchor: str | float, companion: str, reader: str) -> None:
    if anchor == LEARNT:
        if companion and reader == "text":
            raise ValueError(
                'anchor = "learnt" has no effect with a companion that reads texts, and gives the '
                "vectors: name the weight"
            )
        return
    try:
        anchor_weight(anchor)
        check_reader(reader, anchor)
    except Thought1Error as error:
        raise ValueError(str(error)) from None
