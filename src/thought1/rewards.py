"""Rewards of a sampled thought, their weighted sum, and the advantages of a group.

Pure functions of what was recorded while the thoughts were sampled: numbers, and for rewards of
your own also texts and token ids. Knows neither a model nor the training loop that uses them.
Sources: LREM (arXiv 2510.14321) for `log_rank` and the parts format, length; UME-R1 (README of
XMUDeepLIT/UME-R1) for `product`; GRPO (arXiv 2402.03300), in the form of trl's GRPOTrainer, for
`advantages`.

A custom reward is a function of `Rollouts` that returns one finite number for each rollout;
a recipe names it "module:function".

Array names end in their axes: R rollouts, G groups, K rollouts of a group, N candidate documents.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from thought1 import registry
from thought1.types import Thought1Error

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_CUT = 10
"""The k of nDCG@k."""

NO_SPREAD = 1e-8
"""Rewards of a group that differ by no more than this count as equal: rounding."""


@dataclass(frozen=True, slots=True)
class Rollouts:
    """A batch of R rollouts (thoughts sampled for the same questions, group by group), scored.

    Raises ValueError if the shapes or the numbers of texts disagree, a row has no relevant
    candidate, or R is not a multiple of `group_size`.
    """

    scores_RN: npt.NDArray[np.float32]
    """Cosines of each rollout's vector to its N candidate documents."""
    relevant_RN: Bools
    """Which candidates answer its question: at least one in each row."""
    lengths_R: npt.NDArray[np.int64]
    """Tokens of each thought, without `<emb_token>`."""
    ended_R: Bools
    """The model sampled `<emb_token>` itself."""
    repeated_R: Floats
    """Share of the thought's 3-grams that occurred before in it, 0 to 1: `repeated`."""
    copied_R: Floats
    """Share of the thought's tokens inside 3-grams of its question, 0 to 1: `copied`."""
    group_size: int
    """Consecutive rollouts of one question."""
    budget: int
    """Maximum number of tokens of a thought."""
    length_target: int
    """Up to this many tokens, the length reward calls a thought short."""
    questions: tuple[str, ...] = ()
    """The question of each rollout, R of them; () where the texts are not known."""
    thoughts: tuple[str, ...] = ()
    """The text of each thought, special tokens left out; () like `questions`."""
    token_ids: tuple[tuple[int, ...], ...] = ()
    """The ids of each thought, without `<emb_token>`; () also in a file of an earlier version."""

    def __post_init__(self) -> None:
        rows = self.scores_RN.shape[0]
        if self.scores_RN.ndim != 2 or self.relevant_RN.shape != self.scores_RN.shape:
            raise ValueError("scores_RN and relevant_RN need one shape, (R, N)")
        if any(
            values.shape != (rows,)
            for values in (self.lengths_R, self.ended_R, self.repeated_R, self.copied_R)
        ):
            raise ValueError(f"each array of one number a rollout needs the shape ({rows},)")
        texts = (self.questions, self.thoughts, self.token_ids)
        if any(len(held) not in (0, rows) for held in texts):
            raise ValueError(f"questions, thoughts and token_ids need {rows} entries each, or none")
        if self.token_ids and [len(ids) for ids in self.token_ids] != self.lengths_R.tolist():
            raise ValueError("lengths_R must be the lengths of token_ids")
        if self.group_size < 1 or rows % self.group_size:
            raise ValueError(f"{rows} rollouts do not make groups of {self.group_size}")
        if not self.relevant_RN.any(axis=1).all():
            raise ValueError("each rollout needs a relevant candidate")


Reward = Callable[[Rollouts], Floats]
"""One number for each rollout, shape (R,); higher is better."""


def ndcg(rollouts: Rollouts) -> Floats:
    """nDCG@10 of the rollout's ranking of its candidates, 0 to 1; every relevant one gains 1.

    `thought1.metrics.ndcg`, except that ties are broken pessimistically: a relevant candidate
    is placed after the irrelevant ones of equal score.
    """
    ranked_RN = _ranked(rollouts)[:, :_CUT]
    discounts_N = 1 / np.log2(np.arange(2, ranked_RN.shape[1] + 2))
    ideal_N = np.cumsum(discounts_N)
    relevant_R = rollouts.relevant_RN.sum(axis=1)
    best_R = ideal_N[np.minimum(relevant_R, len(ideal_N)) - 1]
    gains: Floats = (ranked_RN * discounts_N).sum(axis=1) / best_R
    return gains


def log_rank(rollouts: Rollouts) -> Floats:
    """1 - log(rank) / log(N), rank of the best relevant candidate among N: 1 is first, 0 last.

    1 if N = 1. Ties as in `ndcg`. LREM, arXiv 2510.14321, whose N is the batch's documents.
    """
    ranked_RN = _ranked(rollouts)
    candidates = ranked_RN.shape[1]
    if candidates == 1:
        return np.ones(len(ranked_RN))
    ranks_R = ranked_RN.argmax(axis=1) + 1
    values: Floats = 1 - np.log(ranks_R) / np.log(candidates)
    return values


def margin(rollouts: Rollouts) -> Floats:
    """Mean cosine to the relevant candidates minus the highest to an irrelevant one, -2 to 2.

    Where every candidate is relevant, nothing is subtracted.
    """
    scores_RN = rollouts.scores_RN.astype(np.float64)
    hardest_R = scores_RN.max(axis=1, where=~rollouts.relevant_RN, initial=-np.inf)
    return _mean(scores_RN, rollouts.relevant_RN) - np.where(
        rollouts.relevant_RN.all(axis=1), 0.0, hardest_R
    )


def product(rollouts: Rollouts) -> Floats:
    """Share of relevant ones among the top P x (mean relevant - mean irrelevant cosine), -2 to 2.

    P is the number of relevant candidates; where every candidate is relevant, nothing is
    subtracted. After UME-R1. Departure: there, the pool is the group's: the cosines of all G
    rollouts' pairs with positives and negatives, and the share is that of positives among its top
    G. Here each rollout is judged by its own ranking of its own candidates.
    """
    relevant_RN = rollouts.relevant_RN
    relevant_R = relevant_RN.sum(axis=1)
    top_RN = np.arange(relevant_RN.shape[1]) < relevant_R[:, None]
    share_R = (_ranked(rollouts) & top_RN).sum(axis=1) / relevant_R
    scores_RN = rollouts.scores_RN.astype(np.float64)
    gap_R = _mean(scores_RN, relevant_RN) - _mean(scores_RN, ~relevant_RN)
    values: Floats = share_R * gap_R
    return values


def format_(rollouts: Rollouts) -> Floats:
    """1 if the model ended the thought itself and the thought is not empty, else 0."""
    return (rollouts.ended_R & (rollouts.lengths_R > 0)).astype(np.float64)


def length(rollouts: Rollouts) -> Floats:
    """1 up to `length_target` tokens, then falling linearly to 0 at `budget`.

    1 for all where the target is not below the budget. LREM's is the 0/1 form, at 16 tokens.
    """
    span = rollouts.budget - rollouts.length_target
    if span <= 0:
        return np.ones(len(rollouts.lengths_R))
    values: Floats = np.clip((rollouts.budget - rollouts.lengths_R) / span, 0.0, 1.0)
    return values


def repetition(rollouts: Rollouts) -> Floats:
    """Minus the share of the thought's 3-grams that repeat an earlier one, -1 to 0. Our own."""
    return 0.0 - rollouts.repeated_R.astype(np.float64)


def find_reward(name: str) -> Reward:
    """The reward of a name in `registry.REWARDS`, or the function that "module:function" names.

    Raises:
        Thought1Error: There is no such reward, module or function.
    """
    found: Reward = registry.load("reward", name, registry.REWARDS, custom=True)
    return found


def compute(name: str, rollouts: Rollouts) -> Floats:
    """The values of one reward, shape (R,).

    Raises:
        Thought1Error: There is no such reward, it failed, or it returned another shape or a number
            that is not finite.
    """
    reward = find_reward(name)
    try:
        returned = reward(rollouts)
    except Exception as error:  # a function of the user's, which may raise anything
        raise Thought1Error(
            f"the reward {name!r} failed: {type(error).__name__}: {error}{_missing(rollouts)}"
        ) from error
    try:
        values: Floats = np.asarray(returned, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise Thought1Error(f"the reward {name!r} returned no numbers: {error}") from error
    if values.shape != rollouts.lengths_R.shape:
        raise Thought1Error(
            f"the reward {name!r} returned the shape {values.shape}; "
            f"it needs one number for each rollout, {rollouts.lengths_R.shape}"
        )
    if not np.isfinite(values).all():
        raise Thought1Error(f"the reward {name!r} returned a number that is not finite")
    return values


def _missing(rollouts: Rollouts) -> str:
    """What a reward may have missed."""
    names = ("questions", "thoughts", "token_ids")
    empty = [name for name in names if rollouts.lengths_R.size and not getattr(rollouts, name)]
    return f" (these rollouts have no {' and no '.join(empty)})" if empty else ""


def total(rollouts: Rollouts, weights: Mapping[str, float]) -> tuple[Floats, dict[str, Floats]]:
    """The weighted sum of the named rewards, shape (R,), and each of them without its weight.

    Raises:
        Thought1Error: As `compute`.
    """
    parts = {name: compute(name, rollouts) for name in weights}
    sum_R: Floats = np.zeros(len(rollouts.lengths_R))
    for name, values_R in parts.items():
        sum_R = sum_R + weights[name] * values_R
    return sum_R, parts


def advantages(
    rewards_R: npt.NDArray[np.floating],
    group_size: int,
    scale: Literal["group", "batch", "none"],
) -> tuple[Floats, Bools]:
    """How much better than its group each rollout did, and whether its group says anything.

    reward - mean of the group; divided by the sample standard deviation + 1e-4, as in trl, of the
    group ("group", GRPO) or of all rewards ("batch"), or by nothing ("none", Dr. GRPO, arXiv
    2503.20783). Returns the advantages, shape (R,), and False for the rollouts of groups without
    variance, whose advantage is 0. ValueError if the groups are not of 2 or more, or not full.
    """
    if group_size < 2 or rewards_R.size % group_size:
        raise ValueError(f"{rewards_R.size} rewards do not make groups of {group_size}, 2 or more")
    rewards_GK = rewards_R.astype(np.float64).reshape(-1, group_size)
    kept_G1 = np.ptp(rewards_GK, axis=1, keepdims=True) > NO_SPREAD
    differences_GK = rewards_GK - rewards_GK.mean(axis=1, keepdims=True)
    if scale == "group":
        differences_GK /= rewards_GK.std(axis=1, ddof=1, keepdims=True) + 1e-4
    elif scale == "batch" and rewards_R.size:
        differences_GK /= rewards_GK.std(ddof=1) + 1e-4
    advantages_R: Floats = np.where(kept_G1, differences_GK, 0.0).reshape(-1)
    return advantages_R, np.repeat(kept_G1.reshape(-1), group_size)


def repeated(ids: Sequence[int]) -> float:
    """Share of the 3-grams of `ids` that occurred before in it; 0 below three tokens."""
    grams = _trigrams(ids)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def copied(ids: Sequence[int], question_ids: Sequence[int]) -> float:
    """Share of `ids` inside a 3-gram that the question has too; 0 for no tokens."""
    known = set(_trigrams(question_ids))
    inside = {
        index
        for start, gram in enumerate(_trigrams(ids))
        if gram in known
        for index in range(start, start + 3)
    }
    return len(inside) / len(ids) if ids else 0.0


def _trigrams(ids: Sequence[int]) -> list[tuple[int, ...]]:
    return [tuple(ids[start : start + 3]) for start in range(len(ids) - 2)]


def _ranked(rollouts: Rollouts) -> Bools:
    """Relevance by rank, best first, shape (R, N): at equal scores the irrelevant ones first."""
    order_RN = np.lexsort((rollouts.relevant_RN, -rollouts.scores_RN), axis=-1)
    return np.take_along_axis(rollouts.relevant_RN, order_RN, axis=1)


def _mean(scores_RN: Floats, chosen_RN: Bools) -> Floats:
    """Mean of the chosen scores of each row; 0 if none is chosen."""
    sums_R = scores_RN.sum(axis=1, where=chosen_RN)
    means: Floats = sums_R / np.maximum(chosen_RN.sum(axis=1), 1)
    return means


def __getattr__(name: str) -> object:
    if name != "REWARDS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        "thought1.rewards.REWARDS will be removed in the next version: take the names from "
        "thought1.registry.REWARDS, and the function from find_reward(name)",
        DeprecationWarning,
        stacklevel=2,
    )
    return {reward: find_reward(reward) for reward in registry.REWARDS}
