"""What every engine must do, for every architecture, whichever side it pads.

A new engine is tested by its row in `thought1.registry.ENGINES`.

The reference is plain transformers: one sequence at a time, no cache, no padding for vectors;
`generate(do_sample=False)` for thoughts.
"""

import gc
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations

import numpy as np
import pytest
import torch
from tiny import ARCHITECTURES, make_checkpoint
from transformers import GenerationConfig, PreTrainedModel

from thought1 import registry
from thought1.contracts import Engine
from thought1.model.checkpoint_loading import load_checkpoint
from thought1.registry import load
from thought1.types import FinishReason, Generation, Sampling, Thought1Error, Vectors

Build = Callable[[PreTrainedModel, int, frozenset[int]], Engine]

ENGINES: dict[str, Build] = {
    f"{name}-{side}": partial(load("engine", name, registry.ENGINES), padding_side=side)
    for name in registry.ENGINES
    for side in ("right", "left")
}

GREEDY = Sampling()
NUCLEUS = Sampling(temperature=1.0, top_p=0.9, seed=7)
SAMPLED_ROWS = pytest.param(NUCLEUS, marks=pytest.mark.numerics)
TOLERANCE = 1e-5
STEPS = 10


@dataclass(frozen=True)
class Case:
    """An engine under test, the model that it runs, and prompts for it."""

    build: Build
    model: PreTrainedModel
    emb_id: int
    prefix: list[int]
    rows: list[list[int]]
    eos_ids: frozenset[int] = frozenset()

    @property
    def engine(self) -> Engine:
        return self.build(self.model, self.emb_id, self.eos_ids)

    def prompt(self, row: int) -> list[int]:
        return self.prefix + self.rows[row]

    def generate(self, budgets: Sequence[int], sampling: Sampling = GREEDY) -> list[Generation]:
        return self.engine.generate(self.prefix, self.rows, budgets, sampling)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> PreTrainedModel:
    folder = make_checkpoint(tmp_path_factory.mktemp("engine") / request.param, request.param)
    torch.manual_seed(5)
    loaded = load_checkpoint(folder, device="cpu").model
    if request.param == "bert":  # its head is too weak to write more than one word
        torch.nn.init.normal_(loaded.cls.predictions.transform.dense.weight, 0, 0.5)
    return loaded


@pytest.fixture(params=ENGINES)
def case(request: pytest.FixtureRequest, model: PreTrainedModel) -> Case:
    random = np.random.default_rng(5)
    vocabulary = model.get_input_embeddings().weight.shape[0]

    def ids(length: int) -> list[int]:
        return random.integers(8, vocabulary - 8, length).tolist()

    # Some rows are shorter, some longer than the sliding windows of 16 tokens.
    rows = [ids(length) for length in (5, 1, 23, 9)]
    return Case(ENGINES[request.param], model, vocabulary - 1, ids(11), rows)


@torch.no_grad()
def reference_vector(model: PreTrainedModel, ids: Sequence[int]) -> Vectors:
    hidden_1TD = model.base_model(torch.tensor([list(ids)]), use_cache=False).last_hidden_state
    vector: Vectors = torch.nn.functional.normalize(hidden_1TD[0, -1], dim=-1).numpy()
    return vector


@torch.no_grad()
def reference_greedy(
    model: PreTrainedModel, ids: Sequence[int], steps: int, stops: set[int]
) -> list[int]:
    """What transformers writes after `ids`, up to and with the first of `stops`."""
    prompt_1T = torch.tensor([list(ids)])
    config = GenerationConfig(
        do_sample=False, max_new_tokens=steps, eos_token_id=sorted(stops), pad_token_id=0
    )
    out_1T = model.generate(
        prompt_1T, attention_mask=torch.ones_like(prompt_1T), generation_config=config
    )
    written: list[int] = out_1T[0, len(ids) :].tolist()
    return written


def reference_thought(case: Case, row: int, budget: int) -> tuple[tuple[int, ...], FinishReason]:
    """The ending rule, applied to what transformers writes."""
    if budget == 0:
        return (), "none"
    stops = {case.emb_id, *case.eos_ids}
    written = reference_greedy(case.model, case.prompt(row), budget + 1, stops)
    if written[-1] == case.emb_id:
        return tuple(written[:-1]), "emb_token"
    if len(written) > budget:
        return tuple(written[:budget]), "budget"
    return tuple(written[:-1]), "eos"


def assert_close(found: Vectors, expected: Vectors) -> None:
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


# -- vectors -------------------------------------------------------------------------------------


def test_embed_equals_one_plain_forward_of_each_sequence(case: Case) -> None:
    vectors = case.engine.embed(case.prefix, case.rows)
    assert vectors.shape == (4, case.engine.dim)
    assert_close(np.linalg.norm(vectors, axis=1), np.ones(4, np.float32))
    for row in range(4):
        assert_close(vectors[row], reference_vector(case.model, case.prompt(row)))


def test_embed_of_one_equals_embed_of_a_ragged_batch(case: Case) -> None:
    together = case.engine.embed(case.prefix, case.rows)
    alone = [case.engine.embed(case.prefix, [row]) for row in case.rows]
    assert_close(together, np.concatenate(alone))


def test_a_shared_prefix_changes_nothing(case: Case) -> None:
    shared = case.engine.embed(case.prefix, case.rows)
    whole = [case.prompt(row) for row in range(4)]
    assert_close(shared, case.engine.embed([], whole))
    for cut in (1, 5):
        rows = [case.prefix[cut:] + row for row in case.rows]
        assert_close(shared, case.engine.embed(case.prefix[:cut], rows))


def test_embed_of_rows_of_equal_length(case: Case) -> None:
    rows = [row[:5] for row in case.rows if len(row) >= 5]
    for row, vector in zip(rows, case.engine.embed(case.prefix, rows), strict=True):
        assert_close(vector, reference_vector(case.model, case.prefix + row))


def test_a_row_may_be_empty_where_there_is_a_prefix(case: Case) -> None:
    vectors = case.engine.embed(case.prefix, [[], case.rows[0]])
    assert_close(vectors[0], reference_vector(case.model, case.prefix))
    assert_close(vectors[1], reference_vector(case.model, case.prompt(0)))
    thoughts = case.engine.generate(case.prefix, [[], case.rows[0]], [3, 3], GREEDY)
    for thought, prompt in zip(thoughts, (case.prefix, case.prompt(0)), strict=True):
        assert list(thought.token_ids) == reference_greedy(case.model, prompt, 3, {case.emb_id})
    with pytest.raises(ValueError, match="at least one token"):
        case.engine.embed([], [[], case.rows[0]])
    with pytest.raises(ValueError, match="at least one token"):
        case.engine.generate([], [[]], [3], GREEDY)


def test_no_rows(case: Case) -> None:
    vectors = case.engine.embed(case.prefix, [])
    assert vectors.shape == (0, case.engine.dim)
    assert vectors.dtype == np.float32
    assert case.engine.generate(case.prefix, [], [], GREEDY) == []


def test_a_sequence_beyond_the_positions_is_refused(case: Case) -> None:
    positions = case.model.config.max_position_embeddings
    fits = [9] * (positions - len(case.prefix))
    assert_close(
        case.engine.embed(case.prefix, [fits])[0], reference_vector(case.model, case.prefix + fits)
    )
    with pytest.raises(Thought1Error, match=f"{positions + 1} tokens .* {positions} positions"):
        case.engine.embed(case.prefix, [[9], [9, *fits]])
    with pytest.raises(Thought1Error, match="smaller thought budget"):
        case.engine.generate(case.prefix, [[9], fits[5:]], [0, 5], GREEDY)


# -- thoughts ------------------------------------------------------------------------------------


def test_greedy_thoughts_equal_transformers_generate(case: Case) -> None:
    for row, thought in enumerate(case.generate([STEPS] * 4)):
        assert (thought.token_ids, thought.finish_reason) == reference_thought(case, row, STEPS)


def test_thoughts_end_as_the_rule_says(case: Case) -> None:
    """Ids that greedy decoding writes at known steps play `<emb_token>` and end of text."""
    one, other = (
        reference_greedy(case.model, case.prompt(row), STEPS, {case.emb_id}) for row in (0, 2)
    )
    emb_id = next(id for id in reversed(one) if id not in other)
    eos_id = next(id for id in other if id not in one)
    case = replace(case, emb_id=emb_id, eos_ids=frozenset([eos_id]))
    thoughts = case.generate([STEPS] * 4)
    for row, thought in enumerate(thoughts):
        assert (thought.token_ids, thought.finish_reason) == reference_thought(case, row, STEPS)
        assert not {case.emb_id, *case.eos_ids} & set(thought.token_ids)
    reasons = {thought.finish_reason for thought in thoughts}
    assert {"emb_token", "eos"} <= reasons


def test_emb_token_right_behind_a_spent_budget_is_the_models_own(case: Case) -> None:
    written = reference_greedy(case.model, case.prompt(0), STEPS, {case.emb_id})
    step = written.index(written[5])
    case = replace(case, emb_id=written[5])
    for budget, reason in ((step, "emb_token" if step else "none"), (step + 1, "emb_token")):
        thought, *_ = case.generate([budget, 1, 1, 1])
        assert (list(thought.token_ids), thought.finish_reason) == (written[:step], reason)
    if step > 1:
        thought, *_ = case.generate([step - 1, 1, 1, 1])
        assert (list(thought.token_ids), thought.finish_reason) == (written[: step - 1], "budget")


@pytest.mark.numerics
@pytest.mark.parametrize("sampling", [GREEDY, NUCLEUS], ids=["greedy", "sampled"])
def test_the_vector_after_the_cached_step_equals_a_second_pass(
    case: Case, sampling: Sampling
) -> None:
    for row, thought in enumerate(case.generate([STEPS, 3, 0, 7], sampling)):
        sequence = [*case.prompt(row), *thought.token_ids, case.emb_id]
        assert_close(thought.vector, reference_vector(case.model, sequence))


def test_budget_zero_is_the_bare_prompt(case: Case) -> None:
    thoughts = case.generate([0] * 4)
    bare = case.engine.embed(case.prefix, [[*row, case.emb_id] for row in case.rows])
    for thought, vector in zip(thoughts, bare, strict=True):
        assert (thought.token_ids, thought.finish_reason) == ((), "none")
        assert_close(thought.vector, vector)


@pytest.mark.numerics
@pytest.mark.parametrize("sampling", [GREEDY, NUCLEUS], ids=["greedy", "sampled"])
def test_each_row_has_its_own_budget(case: Case, sampling: Sampling) -> None:
    long = case.generate([STEPS] * 4, sampling)
    budgets = [4, 0, 1, STEPS]
    for full, short, budget in zip(long, case.generate(budgets, sampling), budgets, strict=True):
        assert short.token_ids == full.token_ids[:budget]
        assert short.finish_reason == ("budget" if budget else "none")


@pytest.mark.numerics
@pytest.mark.parametrize("sampling", [GREEDY, NUCLEUS], ids=["greedy", "sampled"])
def test_a_thought_does_not_depend_on_its_companions(case: Case, sampling: Sampling) -> None:
    budgets = [STEPS, 6, 9, 3]
    engine = case.engine
    alone = [
        engine.generate(case.prefix, [row], [budget], sampling)[0]
        for row, budget in zip(case.rows, budgets, strict=True)
    ]
    for chosen in ((3, 1, 0, 2), (2, 0), (1, 1, 3)):
        rows = [case.rows[i] for i in chosen]
        together = engine.generate(case.prefix, rows, [budgets[i] for i in chosen], sampling)
        for i, thought in zip(chosen, together, strict=True):
            assert thought.token_ids == alone[i].token_ids
            assert thought.finish_reason == alone[i].finish_reason
            assert_close(thought.vector, alone[i].vector)


@pytest.mark.numerics
def test_the_split_into_prefix_and_row_changes_no_thought(case: Case) -> None:
    for sampling in (GREEDY, NUCLEUS):
        shared = case.generate([6] * 4, sampling)
        whole = [case.prompt(row) for row in range(4)]
        for one, other in zip(
            shared, case.engine.generate([], whole, [6] * 4, sampling), strict=True
        ):
            assert one.token_ids == other.token_ids
            assert_close(one.vector, other.vector)


def test_a_seed_decides_the_thoughts(case: Case) -> None:
    first, again = (case.generate([8] * 4, NUCLEUS) for _ in range(2))
    assert [t.token_ids for t in first] == [t.token_ids for t in again]
    other = case.generate([8] * 4, replace(NUCLEUS, seed=8))
    assert all(a.token_ids != b.token_ids for a, b in zip(first, other, strict=True))


@pytest.mark.numerics
def test_a_temperature_near_zero_is_greedy(case: Case) -> None:
    cold = case.generate([6] * 4, Sampling(temperature=1e-4))
    assert [t.token_ids for t in cold] == [t.token_ids for t in case.generate([6] * 4)]


# -- streams -------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", [GREEDY, NUCLEUS], ids=["greedy", "sampled"])
def test_a_stream_brings_what_generate_returns(case: Case, sampling: Sampling) -> None:
    budgets, snapshots = [STEPS, 0, 7, 3], (0, 2, 6)
    engine = case.engine
    whole = engine.generate(
        case.prefix, case.rows, budgets, sampling, copies=2, snapshots=snapshots
    )
    written: list[list[int]] = [[] for _ in whole]
    seen: dict[int, dict[int, Vectors]] = {row: {} for row in range(len(whole))}
    ended: dict[int, Generation] = {}
    seconds = []
    for step in engine.stream(
        case.prefix, case.rows, budgets, sampling, copies=2, snapshots=snapshots
    ):
        assert not ended.keys() & (step.tokens.keys() | step.finished.keys())
        for row, snapshot in step.snapshots.items():
            assert snapshot.budget == len(written[row])
            seen[row][snapshot.budget] = snapshot.vector
        for row, token in step.tokens.items():
            written[row].append(token)
        ended.update(step.finished)
        seconds.append(step.seconds)
    assert sorted(ended) == list(range(len(whole)))
    assert seconds == sorted(seconds)
    for row, generation in enumerate(whole):
        assert tuple(written[row]) == generation.token_ids == ended[row].token_ids
        assert ended[row].finish_reason == generation.finish_reason
        assert_close(ended[row].vector, generation.vector)
        for snapshot in generation.snapshots:
            if snapshot.budget in seen[row]:
                assert_close(snapshot.vector, seen[row][snapshot.budget])
            else:
                assert snapshot.budget >= len(generation.token_ids)


def test_tokens_come_one_by_one(case: Case) -> None:
    """The first token is there before the second has been computed."""
    stream = case.engine.stream(case.prefix, case.rows, [STEPS] * 4, GREEDY)
    forwards: list[int] = []
    hook = case.model.get_input_embeddings().register_forward_hook(lambda *_: forwards.append(1))
    first = next(stream)
    read = len(forwards)
    second = next(stream)
    hook.remove()
    assert len(first.tokens) == len(second.tokens) == 4
    assert not first.finished
    assert len(forwards) == read + 1


def test_streams_and_other_calls_may_interleave(case: Case) -> None:
    engine = case.engine
    one = engine.generate(case.prefix, case.rows, [STEPS] * 4, NUCLEUS)
    other = engine.generate([], case.rows[:2], [5, 2], GREEDY)
    streams = [
        engine.stream(case.prefix, case.rows, [STEPS] * 4, NUCLEUS),
        engine.stream([], case.rows[:2], [5, 2], GREEDY),
    ]
    done: list[dict[int, Generation]] = [{}, {}]
    for _ in range(STEPS + 2):  # the prompt, each token, `<emb_token>`
        for found, stream in zip(done, streams, strict=True):
            found.update(step.finished if (step := next(stream, None)) else {})
            engine.embed(case.prefix, case.rows[:1])
    for found, expected in zip(done, (one, other), strict=True):
        for row, generation in enumerate(expected):
            assert found[row].token_ids == generation.token_ids
            assert_close(found[row].vector, generation.vector)


def test_a_closed_stream_frees_its_rows(case: Case) -> None:
    caches: list[weakref.ref[object]] = []

    def watch(_module: object, _arguments: object, kwargs: dict[str, object]) -> None:
        caches.append(weakref.ref(kwargs["past_key_values"]))

    hook = case.model.base_model.register_forward_pre_hook(watch, with_kwargs=True)
    stream = case.engine.stream([], case.rows, [STEPS] * 4, GREEDY)
    next(stream), next(stream)
    hook.remove()
    gc.collect()
    assert caches[-1]() is not None
    stream.close()
    gc.collect()
    assert caches[-1]() is None
    assert not case.model.base_model._forward_hooks
    assert list(stream) == []


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED_ROWS])
def test_rows_join_and_leave_a_running_batch(case: Case, sampling: Sampling) -> None:
    """Each thought is the one that is written alone, whoever comes and goes meanwhile."""
    engine = case.engine
    running = engine.running()
    done: dict[int, Generation] = {}
    expected: dict[int, Generation] = {}

    def join(prefix: list[int], rows: list[list[int]], budget: int, copies: int = 1) -> list[int]:
        budgets = [budget] * len(rows)
        numbers = list(running.join(prefix, rows, budgets, sampling, copies=copies))
        alone = engine.generate(prefix, rows, budgets, sampling, copies=copies)
        expected.update(zip(numbers, alone, strict=True))
        return numbers

    def steps(number: int) -> None:
        for _ in range(number):
            done.update(running.step().finished)

    first = join(case.prefix, case.rows[:2], STEPS)
    steps(3)
    if not running.open:
        with pytest.raises(ValueError, match="cannot join"):
            running.join([], case.rows[2:3], [1], sampling)
        while running.size:
            steps(1)
        assert running.open
    join([], case.rows[2:3], 4, copies=2)  # longer than all before it, and without their prefix
    steps(2)
    if running.open:
        last = join(case.prefix[:3], case.rows[3:], 2)
        running.leave([*first[:1], *last, 99])  # one that runs, one that has read no token yet
        for row in (first[0], *last):
            expected.pop(row)
            done.pop(row, None)
    while running.size:
        steps(1)
    assert done.keys() == expected.keys()
    for row, generation in expected.items():
        assert done[row].token_ids == generation.token_ids
        assert done[row].finish_reason == generation.finish_reason
        np.testing.assert_allclose(done[row].logprobs, generation.logprobs, rtol=0, atol=1e-4)
        assert_close(done[row].vector, generation.vector)


def test_rows_that_join_have_their_own_snapshots(case: Case) -> None:
    running = case.engine.running()
    if case.engine.padding_side != "right":
        pytest.skip("shown where rows can join")
    rows = case.rows
    early = running.join(case.prefix, rows[:2], [STEPS] * 2, GREEDY, snapshots=(0, 4))
    seen: dict[tuple[int, int], Vectors] = {}

    def step() -> None:
        for row, shot in running.step().snapshots.items():
            seen[row, shot.budget] = shot.vector

    step(), step()
    late = running.join(case.prefix, rows[2:], [STEPS] * 2, GREEDY, snapshots=(0, 3))
    while running.size:
        step()
    for numbers, some, lengths in ((early, rows[:2], (0, 4)), (late, rows[2:], (0, 3))):
        alone = case.engine.generate(case.prefix, some, [STEPS] * 2, GREEDY, snapshots=lengths)
        for row, generation in zip(numbers, alone, strict=True):
            for shot in generation.snapshots:
                if shot.budget < len(generation.token_ids):
                    assert_close(seen[row, shot.budget], shot.vector)
    assert len(seen) >= 4


def test_columns_of_rows_long_gone_do_not_stay(case: Case) -> None:
    """A batch that never empties does not grow with the time it has been running."""
    running = case.engine.running()
    running.join(case.prefix, case.rows[:1], [3], GREEDY)
    if not case.engine.joinable:
        pytest.skip("no rows join a running batch of this model")
    widths = []
    for _ in range(12):
        running.step(), running.step()
        running.join(case.prefix, case.rows[:1], [3], GREEDY)
        widths.append(running._batch.mask_BK.shape[1])  # type: ignore[attr-defined]
    longest = len(case.prefix) + len(case.rows[0]) + 3 + 1
    assert max(widths) <= longest


def test_what_does_not_fit_is_refused_before_the_first_step(case: Case) -> None:
    positions = case.model.config.max_position_embeddings
    with pytest.raises(Thought1Error, match="smaller thought budget"):
        case.engine.stream(case.prefix, case.rows, [0, 0, 0, positions], GREEDY)
    with pytest.raises(ValueError):
        case.engine.stream(case.prefix, case.rows, [1], GREEDY)


# -- engines against each other ------------------------------------------------------------------


@pytest.mark.numerics
@pytest.mark.parametrize(("one", "other"), [(a, b) for a, b in permutations(ENGINES, 2) if a < b])
def test_engines_agree(case: Case, one: str, other: str) -> None:
    a, b = (replace(case, build=ENGINES[name]) for name in (one, other))
    assert_close(a.engine.embed(a.prefix, a.rows), b.engine.embed(b.prefix, b.rows))
    for sampling in (GREEDY, NUCLEUS):
        pairs = zip(a.generate([6] * 4, sampling), b.generate([6] * 4, sampling), strict=True)
        for left, right in pairs:
            assert (left.token_ids, left.finish_reason) == (right.token_ids, right.finish_reason)
            assert_close(left.vector, right.vector)


def test_no_ngram_twice_in_a_thought(case: Case) -> None:
    plain = case.generate([24] * len(case.rows))
    for n in (1, 2):
        for one in case.generate([24] * len(case.rows), replace(GREEDY, no_repeat_ngram=n)):
            grams = [one.token_ids[i : i + n] for i in range(len(one.token_ids) - n + 1)]
            assert len(set(grams)) == len(grams)
    # A random model repeats itself at once: the rule above is not empty.
    assert any(len(set(one.token_ids)) < len(one.token_ids) for one in plain)
