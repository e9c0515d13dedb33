"""How the next token is chosen and how a thought ends, without a model."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from transformers import DynamicCache

from thought1.engines.decoding import Sampler, ThoughtBatch, _sample, completions
from thought1.types import Generation, Sampling

EMB, EOS, OTHER_EOS = 0, 1, 2
LOGITS = torch.tensor([2.0, 1.0, 0.5, -1.0, 3.0, 0.0])


def nucleus(temperature: float, top_p: float) -> torch.Tensor:
    """The distribution (V,) after temperature and top-p, by definition, token by token."""
    probs = (LOGITS.double() / temperature).softmax(0)
    kept, mass = [], 0.0
    for token in probs.argsort(descending=True).tolist():
        kept.append(token)
        mass += float(probs[token])
        if mass >= top_p:
            break
    expected = torch.zeros_like(probs)
    expected[kept] = probs[kept] / mass
    return expected


SAMPLINGS = [(1.0, 1.0), (0.5, 1.0), (2.0, 1.0), (1.0, 0.9), (1.0, 0.7), (3.0, 0.5), (1.0, 0.0)]


@pytest.mark.parametrize(("temperature", "top_p"), SAMPLINGS)
def test_sampling_inverts_the_closed_form_distribution(temperature: float, top_p: float) -> None:
    n = 10_000
    uniform = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    logits = LOGITS.expand(n, -1)
    chosen, _ = _sample(logits, uniform, Sampling(temperature, top_p))
    frequency = chosen.bincount(minlength=len(LOGITS)) / n
    torch.testing.assert_close(
        frequency.double(), nucleus(temperature, top_p), rtol=0, atol=1.5 / n
    )


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 1.0), (1.0, 0.9)])
def test_thoughts_follow_the_distribution(temperature: float, top_p: float) -> None:
    """Pearson's chi-square over the first tokens of 4000 prompts."""
    n = 4000
    prompts = [[row] for row in range(n)]
    sampler = Sampler(prompts, [9] * n, Sampling(temperature, top_p), 98, frozenset())
    tokens = sampler.next_tokens(range(n), LOGITS.expand(n, -1))
    observed = tokens.bincount(minlength=len(LOGITS)).double()
    expected = nucleus(temperature, top_p) * n
    possible = expected > 0
    assert observed[~possible].sum() == 0
    chi_square = ((observed - expected) ** 2 / expected)[possible].sum()
    assert chi_square < 25  # 0.0001 of all samples are above, for 5 degrees of freedom


@pytest.mark.parametrize(("top_p", "kept"), [(0.49, 1), (0.51, 2), (0.79, 2), (0.81, 3), (0.96, 4)])
def test_the_nucleus_is_the_smallest_set_that_reaches_top_p(top_p: float, kept: int) -> None:
    logits = torch.tensor([0.3, 0.5, 0.05, 0.15]).log().expand(1000, -1)
    uniform = torch.linspace(0, 1, 1001, dtype=torch.float64)[:-1]
    chosen, _ = _sample(logits, uniform, Sampling(1.0, top_p))
    assert set(chosen.tolist()) == set([1, 0, 3, 2][:kept])


def test_the_ends_of_the_unit_interval_are_valid_draws() -> None:
    ends = torch.tensor([0.0, np.nextafter(1.0, 0.0)], dtype=torch.float64)
    for temperature, top_p in SAMPLINGS:
        tokens, _ = _sample(LOGITS.expand(2, -1), ends, Sampling(temperature, top_p))
        possible = nucleus(temperature, top_p).nonzero()[:, 0].tolist()
        assert tokens.tolist() == [possible[0], possible[-1]]


@pytest.mark.parametrize("top_p", [0.0, 0.42, 0.62])
def test_of_equal_tokens_the_first_is_kept(top_p: float) -> None:
    """40 of them, since sorting a few is stable by chance."""
    logits = torch.zeros(1, 40).index_fill(1, torch.arange(0, 40, 2), 9.0)
    uniform = torch.linspace(0, 1, 1001, dtype=torch.float64)[:-1]
    chosen, _ = _sample(logits.expand(1000, -1), uniform, Sampling(1.0, top_p))
    kept = int(top_p * 20) + 1
    assert sorted(set(chosen.tolist())) == list(range(0, 2 * kept, 2))


def test_greedy_takes_the_first_of_equal_tokens() -> None:
    logits = torch.zeros(3, 1000)
    logits[:, [977, 41, 500]] = 4.0
    sampler = Sampler([[7]] * 3, [1] * 3, Sampling(), EMB, frozenset())
    assert sampler.next_tokens(range(3), logits).tolist() == [41] * 3


# -- random numbers ------------------------------------------------------------------------------


def draws(prompts: Sequence[Sequence[int]], seed: int, steps: int = 20) -> list[list[int]]:
    """What each prompt samples in `steps` steps over a wide vocabulary."""
    sampling = Sampling(temperature=1.0, seed=seed)
    sampler = Sampler(prompts, [steps] * len(prompts), sampling, 10_000, frozenset())
    flat = torch.zeros(len(prompts), 5000)
    for _ in range(steps):
        sampler.next_tokens(range(len(prompts)), flat)
    return sampler.thoughts


def test_seed_and_prompt_alone_decide_the_random_numbers() -> None:
    one, two = draws([[1, 2], [3]], seed=4)
    assert draws([[3], [5], [1, 2]], seed=4)[2] == one
    assert draws([[3]], seed=4) == [two]
    assert one != two
    assert draws([[1, 2]], seed=5) != [one]
    assert draws([[1], [12]], seed=4)[0] != draws([[1, 2]], seed=4)[0]


def test_rows_that_have_left_do_not_shift_the_random_numbers_of_others() -> None:
    sampling = Sampling(temperature=1.0, seed=4)
    sampler = Sampler([[1, 2], [3]], [20, 20], sampling, 10_000, frozenset())
    sampler.next_tokens([0, 1], torch.zeros(2, 5000))
    for _ in range(19):
        sampler.next_tokens([1], torch.zeros(1, 5000))
    assert sampler.thoughts[1] == draws([[3]], seed=4)[0]


# -- the ending rule -----------------------------------------------------------------------------


def run_script(script: Sequence[int], budget: int) -> tuple[list[int], Generation]:
    """Let a greedy sampler see logits that prefer `script`, step by step, until it ends.

    Returns the tokens that the model was given to read, and the generation.
    """
    sampler = Sampler([[7]], [budget], Sampling(), EMB, frozenset([EOS, OTHER_EOS]))
    read: list[int] = []
    for token in script:
        logits = torch.nn.functional.one_hot(torch.tensor([token]), 10).float()
        read += sampler.next_tokens([0], logits).tolist()
        if read[-1] == EMB:
            break
    return read, sampler.finished([0], np.ones((1, 3), np.float32))[0]


@pytest.mark.parametrize(
    ("script", "budget", "token_ids", "reason"),
    [
        ([5, 6, EMB], 9, (5, 6), "emb_token"),
        ([EMB], 9, (), "emb_token"),
        ([5, 6, EMB], 2, (5, 6), "emb_token"),
        ([5, 6, 7], 2, (5, 6), "budget"),
        ([5, 6, EOS], 2, (5, 6), "budget"),
        ([5, EOS], 9, (5,), "eos"),
        ([5, OTHER_EOS], 9, (5,), "eos"),
        ([EOS], 9, (), "eos"),
        ([EMB], 0, (), "none"),
        ([EOS], 0, (), "none"),
        ([5], 0, (), "none"),
    ],
)
def test_ending_rule(
    script: list[int], budget: int, token_ids: tuple[int, ...], reason: str
) -> None:
    read, generation = run_script(script, budget)
    assert read == [*token_ids, EMB]
    assert generation.token_ids == token_ids
    assert generation.finish_reason == reason


# -- the batch -----------------------------------------------------------------------------------


def test_finished_rows_leave_cache_mask_and_positions() -> None:
    cache = DynamicCache()
    keys = torch.arange(4.0)[:, None, None, None].expand(4, 1, 3, 2)
    cache.update(keys, keys + 10, 0)
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 0]])
    batch = ThoughtBatch(cache, mask, torch.tensor([3, 2, 1, 2]), torch.tensor([5, EMB, 6, EMB]))
    assert batch.reads(EMB) == [1, 3]
    assert batch.grow_mask().shape == (4, 4)
    logits = batch.drop([1, 3], torch.arange(4.0)[:, None])
    assert batch.row_ids == [0, 2]
    assert batch.size == 2
    assert logits[:, 0].tolist() == [0, 2]
    assert batch.tokens_B.tolist() == [5, 6]
    assert batch.positions_B.tolist() == [3, 1]
    assert batch.mask_BK.tolist() == [[1, 1, 1, 1], [1, 0, 0, 1]]
    assert cache.layers[0].keys[:, 0, 0, 0].tolist() == [0, 2]
    assert cache.layers[0].values[:, 0, 0, 0].tolist() == [10, 12]
    batch.feed(torch.tensor([8, EMB]))
    assert batch.positions_B.tolist() == [4, 2]
    batch.drop(batch.reads(EMB), logits)
    assert batch.row_ids == [0]
    batch.drop([0], logits[:1])
    assert batch.size == 0


# -- repetition ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thought", "n", "blocked"),
    [
        ([], 2, []),
        ([5, 6, 7], 1, [5, 6, 7]),
        ([5, 6, 7, 5], 2, [6]),
        ([5, 6, 5, 7, 5], 2, [6, 7]),
        ([5, 6, 7], 2, []),
        ([1, 2, 3, 9, 1, 2], 3, [3]),
        ([1, 2], 3, []),
    ],
)
def test_what_would_repeat_an_ngram(thought: list[int], n: int, blocked: list[int]) -> None:
    assert completions(thought, n) == blocked
