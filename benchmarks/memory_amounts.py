"""How many tokens a stage's sources hold, by their words; no tokenizer is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass

from thought1.model.settings import DOCUMENT_INSTRUCTION, QUERY_INSTRUCTION
from thought1.training.preflight import read_stage
from thought1.training.recipe import Recipe, StageConfig

TOKENS_PER_WORD = 1.4
"""Assumed; the tokenizers of these models are not at hand here."""
CHAT_TOKENS = 10
"""Assumed: the marks of a chat template around a message."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """A stage's data in tokens: one epoch, and the lengths that pairs are padded to."""

    questions: int
    query: int = 0
    thought: int = 0
    document: int = 0
    singles: int = 0
    labels: int = 0
    """Tokens of single texts under the next-token loss."""
    pool: int = 0
    """Tokens of all documents of the collections."""


def measure(recipe: Recipe, stage: StageConfig) -> Amounts:
    """Count the words of a stage's sources; a width is the 99th percentile of the lengths."""
    data = read_stage(recipe, stage)
    model = recipe.model
    query_head = CHAT_TOKENS + _tokens(model.query_instruction or QUERY_INSTRUCTION)
    document_head = CHAT_TOKENS + _tokens(model.document_instruction or DOCUMENT_INSTRUCTION)
    language = stage.weight_language > 0
    texts = [_tokens(text) for _, text in data.texts]
    texts += [_tokens(text) for one in data.streams for text in one]
    asked = [_tokens(query) + query_head for query, _ in data.rationales]
    answered = [min(_tokens(text), stage.max_thought_tokens) for _, text in data.rationales]
    thoughts = [min(_tokens(pair.thought), stage.max_thought_tokens) for pair in data.pairs]
    return Amounts(
        questions=len(data.pairs),
        query=_width([_tokens(p.query) + query_head for p in data.pairs], model.max_query_tokens),
        thought=_width(thoughts, stage.max_thought_tokens),
        document=_width(
            [_tokens(text) + document_head for pair in data.pairs for text in pair.positives],
            model.max_document_tokens,
        ),
        singles=sum(texts) + document_head * len(texts) + sum(asked) + sum(answered),
        labels=sum(texts) + sum(answered) if language else 0,
        pool=sum(_tokens(text) + document_head for text in dict.fromkeys(data.pool)),
    )


def _tokens(text: str) -> int:
    return round(TOKENS_PER_WORD * len(text.split()))


def _width(lengths: Sequence[int], most: int) -> int:
    return min(sorted(lengths)[int(0.99 * len(lengths))], most) if lengths else 0
