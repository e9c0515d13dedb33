"""The bookkeeping of thoughts that are being written: one batch, its tokens, its random numbers.

It knows tensors and token ids, no model: `engines.hf` runs the forward passes.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from thought1.types import FinishReason, Generation, Sampling, Vectors


class ThoughtBatch:
    """The rows still thinking: their cache, mask (B, K), and the token each reads next."""

    def __init__(
        self, cache: DynamicCache, mask_BK: Tensor, lengths_B: Tensor, tokens_B: Tensor
    ) -> None:
        self.cache = cache
        self.mask_BK = mask_BK
        self.positions_B = lengths_B
        self.tokens_B = tokens_B
        self.row_ids = list(range(len(tokens_B)))

    @property
    def size(self) -> int:
        """How many rows are still thinking, B."""
        return len(self.row_ids)

    def grow_mask(self) -> Tensor:
        """The mask with one more column, for the token about to be read."""
        self.mask_BK = torch.cat([self.mask_BK, self.mask_BK.new_ones(self.size, 1)], 1)
        return self.mask_BK

    def reads(self, token: int) -> list[int]:
        """Places in the batch of the rows whose current token is `token`."""
        return (self.tokens_B == token).nonzero()[:, 0].tolist()

    def feed(self, tokens_B: Tensor) -> None:
        """The next token of each row."""
        self.tokens_B = tokens_B
        self.positions_B = self.positions_B + 1

    def drop(self, places: Sequence[int], logits_BV: Tensor) -> Tensor:
        """Remove finished rows, so that nothing waits for the longest thought."""
        gone = set(places)
        keep = [place for place in range(self.size) if place not in gone]
        self.row_ids = [self.row_ids[place] for place in keep]
        index = torch.tensor(keep, dtype=torch.long)
        self.positions_B = self.positions_B[index]
        self.tokens_B = self.tokens_B[index]
        on_device = index.to(self.mask_BK.device)
        if keep:
            self.cache.batch_select_indices(on_device)
        self.mask_BK = self.mask_BK[on_device]
        return logits_BV[on_device]


class Sampler:
    """Chooses the next token of each row, and knows how thoughts end.

    Random numbers come from (seed, prompt): a row draws the same ones in any batch.
    """

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        budgets: Sequence[int],
        sampling: Sampling,
        emb_id: int,
        eos_ids: frozenset[int],
    ) -> None:
        self.budgets = list(budgets)
        self.sampling = sampling
        self.emb_id = emb_id
        self.eos_ids = eos_ids
        self.thoughts: list[list[int]] = [[] for _ in prompts]
        self.reasons: list[FinishReason] = ["budget" if budget else "none" for budget in budgets]
        self.vectors: list[Vectors | None] = [None for _ in prompts]
        self._random = (
            [_generator(sampling.seed, prompt) for prompt in prompts]
            if sampling.temperature > 0
            else []
        )

    def next_tokens(self, row_ids: Sequence[int], logits_BV: Tensor) -> Tensor:
        """The token that each row reads next, (B,): sampled, or `<emb_token>` where it ends."""
        if self.sampling.no_repeat_ngram:
            logits_BV = self._without_repetition(row_ids, logits_BV)
        chosen = self._choose(row_ids, logits_BV)
        return torch.tensor(
            [self._accept(row, token) for row, token in zip(row_ids, chosen, strict=True)]
        )

    def finish(self, row_ids: Sequence[int], vectors: Vectors) -> None:
        """Keep the vectors of the rows that have read their `<emb_token>`."""
        for row, vector in zip(row_ids, vectors, strict=True):
            self.vectors[row] = vector

    def generations(self) -> list[Generation]:
        """One per prompt, in the order of the prompts."""
        done = []
        for ids, reason, vector in zip(self.thoughts, self.reasons, self.vectors, strict=True):
            assert vector is not None
            done.append(Generation(tuple(ids), reason, vector))
        return done

    def _accept(self, row: int, token: int) -> int:
        """The ending rule: sampled, instead of an end-of-text token, or where the budget ends."""
        if self.budgets[row] == 0:
            return self.emb_id
        if token == self.emb_id:
            self.reasons[row] = "emb_token"
            return token
        if len(self.thoughts[row]) >= self.budgets[row]:
            return self.emb_id
        if token in self.eos_ids:
            self.reasons[row] = "eos"
            return self.emb_id
        self.thoughts[row].append(token)
        return token

    def _without_repetition(self, row_ids: Sequence[int], logits_BV: Tensor) -> Tensor:
        """Logits in which no token completes an n-gram that its thought already holds."""
        allowed_BV = logits_BV.clone()
        for place, row in enumerate(row_ids):
            blocked = completions(self.thoughts[row], self.sampling.no_repeat_ngram)
            allowed_BV[place, blocked] = -torch.inf
        return allowed_BV

    def _choose(self, row_ids: Sequence[int], logits_BV: Tensor) -> list[int]:
        if self.sampling.temperature <= 0:
            return logits_BV.argmax(-1).tolist()
        draws = [self._random[row].random() for row in row_ids]
        uniform_B = torch.tensor(draws, dtype=torch.float64, device=logits_BV.device)
        return _sample(logits_BV, uniform_B, self.sampling).tolist()


def completions(thought: Sequence[int], n: int) -> list[int]:
    """The tokens behind which the last n tokens would repeat earlier ones."""
    last = list(thought[len(thought) - n + 1 :]) if n > 1 else []
    if len(thought) < n:
        return []
    starts = range(len(thought) - n + 1)
    return [thought[i + n - 1] for i in starts if list(thought[i : i + n - 1]) == last]


def _generator(seed: int, prompt: Sequence[int]) -> np.random.Generator:
    digest = hashlib.sha256(repr((seed, tuple(prompt))).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def _sample(logits_BV: Tensor, uniform_B: Tensor, sampling: Sampling) -> Tensor:
    """Inverse-CDF sampling (B,) with temperature and nucleus (top-p) truncation.

    The nucleus is the smallest set of most likely tokens whose probability reaches top-p
    (Holtzman et al. 2020, arXiv 1904.09751).
    """
    probs_BV = (logits_BV.double() / sampling.temperature).softmax(-1)
    sorted_BV, order_BV = probs_BV.sort(-1, descending=True)
    cumulative_BV = sorted_BV.cumsum(-1)
    last_B1 = ((cumulative_BV - sorted_BV) < sampling.top_p).sum(-1, keepdim=True) - 1
    last_B1 = last_B1.clamp(min=0)  # the most likely token is never cut, whatever top-p
    mass_B1 = cumulative_BV.gather(-1, last_B1)
    place_B1 = (cumulative_BV < uniform_B[:, None] * mass_B1).sum(-1, keepdim=True)
    return order_BV.gather(-1, place_B1.minimum(last_B1))[:, 0]
