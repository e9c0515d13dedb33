"""The bookkeeping of thoughts that are being written: one batch, its tokens, its random numbers.

It knows tensors and token ids, no model: `engines.hf` runs the forward passes.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from thought1.engines.preallocated import compact, join_caches
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

    def repeat(self, copies: int) -> None:
        """Every row this many times, consecutively: prompts are computed once."""
        if copies == 1:
            return
        if self.cache.get_seq_length():
            self.cache.batch_repeat_interleave(copies)
        self.mask_BK = self.mask_BK.repeat_interleave(copies, 0)
        self.positions_B = self.positions_B.repeat_interleave(copies)
        self.tokens_B = self.tokens_B.repeat_interleave(copies)
        self.row_ids = list(range(len(self.tokens_B)))

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
        return logits_BV[self.select([i for i in range(self.size) if i not in gone])]

    def select(self, keep: Sequence[int]) -> Tensor:
        """Keep the rows at some places, which are given back as a tensor; others leave."""
        self.row_ids = [self.row_ids[place] for place in keep]
        index = torch.tensor(keep, dtype=torch.long)
        self.positions_B = self.positions_B[index]
        self.tokens_B = self.tokens_B[index]
        on_device = index.to(self.mask_BK.device)
        if keep and self.cache.get_seq_length():
            self.cache.batch_select_indices(on_device)
        self.mask_BK = self.mask_BK[on_device]
        return on_device

    def join(self, other: "ThoughtBatch", spare: int) -> None:
        """Append the rows of another batch.

        In both, what a row has read moves to the first columns, so that columns which only rows
        long gone have filled do not stay. Every layer must keep every column.

        Args:
            spare: columns to allocate for future tokens.
        """
        columns = max(int(each.mask_BK.sum(1).max()) for each in (self, other))
        join_caches(self.cache, other.cache, (self.mask_BK, other.mask_BK), columns, spare)
        masks = [compact(each.mask_BK, each.mask_BK, columns) for each in (self, other)]
        self.mask_BK = torch.cat(masks)
        self.positions_B = torch.cat([self.positions_B, other.positions_B])
        self.tokens_B = torch.cat([self.tokens_B, other.tokens_B])
        self.row_ids = [*self.row_ids, *other.row_ids]


class Sampler:
    """Chooses the next token of each row, and knows how thoughts end.

    Random numbers come from (seed, prompt, copy): a row draws the same ones in any batch.

    Args:
        copies: how many thoughts each prompt gets; their rows follow each other.
    """

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        budgets: Sequence[int],
        sampling: Sampling,
        emb_id: int,
        eos_ids: frozenset[int],
        copies: int = 1,
    ) -> None:
        self.copies = copies
        self.budgets = [budget for budget in budgets for _ in range(copies)]
        self.sampling = sampling
        self.emb_id = emb_id
        self.eos_ids = eos_ids
        rows = len(self.budgets)
        self.thoughts: list[list[int]] = [[] for _ in range(rows)]
        self.reasons: list[FinishReason] = [
            "budget" if budget else "none" for budget in self.budgets
        ]
        self.logprobs: list[list[float]] = [[] for _ in range(rows)]
        self._random = (
            [
                _generator(sampling.seed, prompt, copy)
                for prompt in prompts
                for copy in range(copies)
            ]
            if sampling.temperature > 0
            else []
        )

    def next_tokens(self, row_ids: Sequence[int], logits_BV: Tensor) -> Tensor:
        """The token that each row reads next, (B,): sampled, or `<emb_token>` where it ends."""
        if self.sampling.no_repeat_ngram:
            logits_BV = self._without_repetition(row_ids, logits_BV)
        chosen, logprobs = self._choose(row_ids, logits_BV)
        tokens = []
        for row, token, logprob in zip(row_ids, chosen, logprobs, strict=True):
            tokens.append(self._accept(row, token))
            forced = tokens[-1] == self.emb_id and self.reasons[row] != "emb_token"
            if self._random and not forced:
                self.logprobs[row].append(logprob)
        return torch.tensor(tokens)

    def finished(self, row_ids: Sequence[int], vectors: Vectors) -> dict[int, Generation]:
        """What the rows that have read their `<emb_token>` wrote, with their vectors (n, d)."""
        return {
            row: Generation(
                tuple(self.thoughts[row]), self.reasons[row], vector, tuple(self.logprobs[row])
            )
            for row, vector in zip(row_ids, vectors, strict=True)
        }

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

    def _choose(self, row_ids: Sequence[int], logits_BV: Tensor) -> tuple[list[int], list[float]]:
        if self.sampling.temperature <= 0:
            return logits_BV.argmax(-1).tolist(), [0.0] * len(row_ids)
        draws = [self._random[row].random() for row in row_ids]
        uniform_B = torch.tensor(draws, dtype=torch.float64, device=logits_BV.device)
        tokens_B, logprobs_B = _sample(logits_BV, uniform_B, self.sampling)
        return tokens_B.tolist(), logprobs_B.tolist()


def completions(thought: Sequence[int], n: int) -> list[int]:
    """The tokens after which the last n tokens would repeat earlier ones."""
    last = list(thought[len(thought) - n + 1 :]) if n > 1 else []
    if len(thought) < n:
        return []
    starts = range(len(thought) - n + 1)
    return [thought[i + n - 1] for i in starts if list(thought[i : i + n - 1]) == last]


def _generator(seed: int, prompt: Sequence[int], copy: int) -> np.random.Generator:
    key = (seed, tuple(prompt), copy) if copy else (seed, tuple(prompt))
    digest = hashlib.sha256(repr(key).encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def _sample(logits_BV: Tensor, uniform_B: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Inverse-CDF sampling in vocabulary order, with temperature and nucleus (top-p) truncation.

    Probability decides what is kept, never the order of the draw, so tokens that rounding
    makes swap their ranks give the same token. Logits that are off by at most e change the log-odds
    of any set of tokens by at most 2 e / temperature, and so its probability by at most
    d = e / (2 temperature). Another processor gives another token only where
    - the draw is within d of a step of the CDF, or
    - the nucleus itself is another: its mass, or its mass without its last token, is within d
      of top-p, or its last token and the first one cut are at most 2 e apart. Steps of the CDF then
      move by d and the probability of the tokens that enter and leave, no further.

    Returns:
        Tokens (B,), and their log-probabilities (B,) in nats after truncation.
    """
    probs_BV = (logits_BV.double() / sampling.temperature).softmax(-1)
    if sampling.top_p < 1:  # sorting takes longer than a small model's forward pass
        probs_BV = _nucleus(probs_BV, sampling.top_p)
    cumulative_BV = probs_BV.cumsum(-1)
    mass_B1 = cumulative_BV[:, -1:]
    # The first place beyond the draw, which is below 1: never a token of probability 0.
    tokens_B1 = torch.searchsorted(cumulative_BV, uniform_B[:, None] * mass_B1, right=True)
    tokens_B1 = tokens_B1.clamp(max=probs_BV.shape[-1] - 1)
    logprobs_B1 = (probs_BV.gather(-1, tokens_B1) / mass_B1).log()
    return tokens_B1[:, 0], logprobs_B1[:, 0]


def _nucleus(probs_BV: Tensor, top_p: float) -> Tensor:
    """`probs_BV` with 0 outside the smallest set of most likely tokens that reaches top-p.

    Of equal tokens the first of the vocabulary is kept; the most likely one is never cut, whatever
    top-p. Holtzman et al. 2020, arXiv 1904.09751.
    """
    sorted_BV, order_BV = probs_BV.sort(dim=-1, descending=True, stable=True)
    cut_BV = sorted_BV.cumsum(-1) - sorted_BV >= top_p
    cut_BV[:, 0] = False
    return probs_BV.scatter(-1, order_BV, sorted_BV.masked_fill(cut_BV, 0.0))
