"""Queries: a thought and its vector, beside `transformers.generate` and a second forward pass.

Thoughts have lengths drawn from a range. Both sides are made to write exactly that many tokens:
the ids that could end a thought early are never likely, the peer's logits are forced to
`<emb_token>` at a row's length, our budgets are the lengths. That both write the same greedy
tokens and give the same vectors is checked first.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from speed_texts import Length, write_texts
from timing import Comparison, interleaved
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from thought1 import T1
from thought1.types import Generation, Sampling, Thought1Error, Vectors

TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class QueryTask:
    """Queries that think together, and how much faster T1 should be."""

    number: int
    length: Length
    thought: Length
    goal: float


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What was measured; times are processor time."""

    task: QueryTask
    difference: float
    comparison: Comparison
    milliseconds_per_query: float
    peer_milliseconds_per_query: float


class EndAt(LogitsProcessor):
    """Lets each row end with `token` after its own number of tokens."""

    def __init__(self, prompt: int, lengths: Sequence[int], token: int) -> None:
        self.prompt = prompt
        self.lengths = torch.tensor(lengths)
        self.token = token

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (B, V) in which a row at its length allows nothing but the token."""
        over = self.lengths <= input_ids.shape[1] - self.prompt
        scores[over] = -torch.inf
        scores[over, self.token] = 0
        return scores


class Peer:
    """What one writes with transformers alone: left padding, generate, one more forward pass."""

    def __init__(self, model: T1, prompts: Sequence[Sequence[int]], lengths: Sequence[int]) -> None:
        self.model = model.checkpoint.model
        self.emb_id = model.checkpoint.emb_id
        self.prompts, self.lengths = prompts, lengths
        self.config = GenerationConfig(
            do_sample=False,
            max_new_tokens=max(lengths) + 1,  # <emb_token> too
            eos_token_id=self.emb_id,
            pad_token_id=0,
        )

    @torch.inference_mode()
    def __call__(self) -> tuple[list[list[int]], Vectors]:
        """The thoughts' token ids, and the vectors (n, d)."""
        thoughts = self.write()
        return thoughts, self._read(thoughts)

    @torch.inference_mode()
    def write(self) -> list[list[int]]:
        """The thoughts' token ids."""
        width = max(map(len, self.prompts))
        ids, mask = _padded(self.prompts, left=True)
        processor = LogitsProcessorList([EndAt(width, self.lengths, self.emb_id)])
        written = self.model.generate(  # type: ignore[operator]  # a mixin that mypy cannot see
            ids,
            attention_mask=mask,
            generation_config=self.config,
            logits_processor=processor,
        )[:, width:].tolist()
        return [ids[:length] for ids, length in zip(written, self.lengths, strict=True)]

    def _read(self, thoughts: list[list[int]]) -> Vectors:
        whole = [
            [*prompt, *thought, self.emb_id]
            for prompt, thought in zip(self.prompts, thoughts, strict=True)
        ]
        ids, mask = _padded(whole, left=False)
        hidden = self.model.base_model(ids, attention_mask=mask, use_cache=False).last_hidden_state
        last = hidden[torch.arange(len(whole)), mask.sum(1) - 1]
        vectors: Vectors = torch.nn.functional.normalize(last, dim=-1).numpy()
        return vectors


def _padded(rows: Sequence[Sequence[int]], *, left: bool) -> tuple[Tensor, Tensor]:
    """Ids (B, T) and mask (B, T)."""
    side = "left" if left else "right"
    ids = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(row) for row in rows], batch_first=True, padding_side=side
    )
    mask = torch.nn.utils.rnn.pad_sequence(
        [torch.ones(len(row), dtype=torch.long) for row in rows],
        batch_first=True,
        padding_side=side,
    )
    return ids, mask


@contextmanager
def never_likely(model: T1, tokens: Sequence[int]) -> Iterator[None]:
    """Inside, the model's language head gives these tokens no chance."""

    def ban(_module: object, _inputs: object, outputs: Any) -> None:
        outputs[..., list(tokens)] = -torch.inf

    handle = model.checkpoint.model.get_output_embeddings().register_forward_hook(ban)
    try:
        yield
    finally:
        handle.remove()


def measure_queries(model: T1, task: QueryTask, repeats: int) -> QueryResult:
    """Check that both sides write and embed the same, then time both.

    Raises:
        Thought1Error: the thoughts or the vectors differ.
    """
    texts = write_texts(model, task.number, task.length, seed=2)
    random = Random(3)
    lengths = [random.randint(task.thought.low, task.thought.high) for _ in texts]
    settings = model.settings
    rendered = model.renderer.render(settings.query, texts, settings.max_query_tokens)
    prefix, rows = rendered.prefix, rendered.rows
    peer = Peer(model, [[*prefix, *row] for row in rows], lengths)

    def ours() -> list[Generation]:
        return model.engine.generate(prefix, rows, lengths, Sampling())

    with never_likely(model, [model.checkpoint.emb_id, *model.checkpoint.eos_ids]):
        difference = _compare(ours(), *peer())
        times = interleaved({"ours": ours, "peer": peer}, repeats)
    return QueryResult(
        task,
        difference,
        Comparison.of(times["ours"], times["peer"]),
        float(1000 * np.median(times["ours"].cpu) / task.number),
        float(1000 * np.median(times["peer"].cpu) / task.number),
    )


def _compare(ours: Sequence[Generation], thoughts: list[list[int]], vectors: Vectors) -> float:
    """The largest difference of the vectors."""
    for row, (generation, thought) in enumerate(zip(ours, thoughts, strict=True)):
        if list(generation.token_ids) != thought:
            raise Thought1Error(f"thought {row} differs from what transformers.generate writes")
    difference = float(np.abs(np.stack([g.vector for g in ours]) - vectors).max())
    if difference > TOLERANCE:
        raise Thought1Error(f"query vectors differ from the peer's by {difference:.1e}")
    return difference
