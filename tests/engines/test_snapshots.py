"""One pass gives the vectors of many budgets: the same ones, and the thought goes on unchanged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tiny import ARCHITECTURES, make_checkpoint
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from thought1.engines import snapshots as snapshots_module
from thought1.engines.hf import HFEngine
from thought1.engines.snapshots import SnapshotReader, fork
from thought1.engines.stream import collected
from thought1.model.checkpoint_loading import load_checkpoint
from thought1.types import Generation, Sampling, Step

GREEDY = Sampling()
NUCLEUS = Sampling(temperature=1.0, top_p=0.9, seed=7)
SAMPLED = pytest.param(NUCLEUS, marks=pytest.mark.numerics)
SAMPLINGS = {
    "greedy": GREEDY,
    "sampled": SAMPLED,
    "no repetition": replace(GREEDY, no_repeat_ngram=2),
}
LENGTHS = (0, 1, 3, 8, 12)
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Case:
    """An engine and prompts for it, some shorter and some longer than a window of 16 tokens."""

    engine: HFEngine
    prefix: list[int]
    rows: list[list[int]]

    def generate(
        self,
        budgets: Sequence[int],
        sampling: Sampling,
        snapshots: Sequence[int] = (),
        copies: int = 1,
    ) -> list[Generation]:
        return self.engine.generate(
            self.prefix, self.rows, budgets, sampling, copies=copies, snapshots=snapshots
        )


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> PreTrainedModel:
    folder = make_checkpoint(tmp_path_factory.mktemp("snapshots") / request.param, request.param)
    torch.manual_seed(2)
    loaded = load_checkpoint(folder, device="cpu").model
    if request.param == "bert":  # its head is new, and too weak to write more than one word
        torch.nn.init.normal_(loaded.cls.predictions.transform.dense.weight, 0, 0.5)
    return loaded


@pytest.fixture(params=["right", "left"])
def case(request: pytest.FixtureRequest, model: PreTrainedModel) -> Case:
    random = np.random.default_rng(5)
    vocabulary = model.get_input_embeddings().weight.shape[0]

    def ids(length: int) -> list[int]:
        return random.integers(8, vocabulary - 8, length).tolist()

    engine = HFEngine(model, vocabulary - 1, frozenset(), request.param)
    return Case(engine, ids(11), [ids(length) for length in (5, 1, 23, 9)])


def assert_same_thoughts(found: Sequence[Generation], expected: Sequence[Generation]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one.token_ids, one.finish_reason) == (other.token_ids, other.finish_reason)
        np.testing.assert_allclose(one.logprobs, other.logprobs, rtol=0, atol=1e-6)
        np.testing.assert_allclose(one.vector, other.vector, rtol=0, atol=1e-6)


def assert_vectors_of_budgets(
    case: Case, found: Sequence[Generation], sampling: Sampling, budgets: Sequence[int]
) -> None:
    """Each snapshot has the vector that its budget gives to a batch which stops there."""
    for place, length in enumerate(LENGTHS):
        shorter = case.generate([min(length, budget) for budget in budgets], sampling)
        for one, other in zip(found, shorter, strict=True):
            assert one.snapshots[place].budget == length
            vector = one.snapshots[place].vector
            assert vector.dtype == np.float32
            np.testing.assert_allclose(vector, other.vector, rtol=0, atol=TOLERANCE)


# -- the contract --------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=list(SAMPLINGS))
def test_snapshots_are_the_vectors_of_smaller_budgets(case: Case, sampling: Sampling) -> None:
    found = case.generate([12] * 4, sampling, LENGTHS)
    assert_same_thoughts(found, case.generate([12] * 4, sampling))
    assert_vectors_of_budgets(case, found, sampling, [12] * 4)
    # They differ, so that the comparison above compares something.
    moved = np.abs(found[0].snapshots[3].vector - found[0].snapshots[0].vector).max()
    assert moved > 100 * TOLERANCE


@pytest.mark.parametrize("sampling", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_rows_that_leave_the_batch_keep_their_final_vector(case: Case, sampling: Sampling) -> None:
    budgets = [12, 0, 8, 2]
    found = case.generate(budgets, sampling, LENGTHS)
    assert_same_thoughts(found, case.generate(budgets, sampling))
    assert_vectors_of_budgets(case, found, sampling, budgets)
    assert all(np.array_equal(snapshot.vector, found[1].vector) for snapshot in found[1].snapshots)
    assert np.array_equal(found[3].snapshots[2].vector, found[3].vector)


def test_thoughts_that_end_by_themselves(case: Case) -> None:
    """An id that a thought writes in its middle plays `<emb_token>`, another one end of text."""
    plain = case.generate([12] * 4, NUCLEUS)
    engine = case.engine
    ending = replace(
        case,
        engine=HFEngine(
            engine.model,
            plain[0].token_ids[3],
            frozenset([plain[2].token_ids[5]]),
            engine.padding_side,
        ),
    )
    found = ending.generate([12] * 4, NUCLEUS, LENGTHS)
    assert min(len(one.token_ids) for one in found) <= 3
    assert_same_thoughts(found, ending.generate([12] * 4, NUCLEUS))
    assert_vectors_of_budgets(ending, found, NUCLEUS, [12] * 4)


def test_copies_have_snapshots_of_their_own(case: Case) -> None:
    found = case.generate([8] * 4, NUCLEUS, (0, 3, 8), copies=2)
    assert_same_thoughts(found, case.generate([8] * 4, NUCLEUS, copies=2))
    short = case.generate([3] * 4, NUCLEUS, copies=2)
    for one, other in zip(found, short, strict=True):
        np.testing.assert_allclose(one.snapshots[1].vector, other.vector, rtol=0, atol=TOLERANCE)


def test_a_prompt_of_one_token_has_no_cache_yet(case: Case) -> None:
    """The first step then starts from an empty cache."""
    bare = replace(case, prefix=[], rows=[[9], [10]])
    found = bare.generate([4, 4], GREEDY, (0, 2))
    for place, length in enumerate((0, 2)):
        for one, other in zip(found, bare.generate([length] * 2, GREEDY), strict=True):
            np.testing.assert_allclose(
                one.snapshots[place].vector, other.vector, rtol=0, atol=TOLERANCE
            )


# -- order, cost and time ------------------------------------------------------------------------


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> HFEngine:
    folder = make_checkpoint(tmp_path_factory.mktemp("one") / "qwen3")
    return HFEngine(load_checkpoint(folder, device="cpu").model, 300, frozenset())


def test_snapshots_come_by_rising_length_and_once(engine: HFEngine) -> None:
    (found,) = engine.generate([], [[40, 41]], [9], GREEDY, snapshots=(8, 0, 8, 2))
    assert [snapshot.budget for snapshot in found.snapshots] == [0, 2, 8]
    (found,) = engine.generate([], [[40, 41]], [9], GREEDY)
    assert found.snapshots == ()
    with pytest.raises(ValueError, match="a snapshot needs a length of 0 or more, not -1"):
        engine.generate([], [[40, 41]], [9], GREEDY, snapshots=(8, -1))


def test_the_last_budget_costs_no_step_of_its_own(engine: HFEngine) -> None:
    steps = []
    hook = engine.model.get_input_embeddings().register_forward_hook(lambda *_: steps.append(1))
    counts = {}
    for snapshots in ((), (0, 2, 4), (4,), (9,)):
        steps.clear()
        engine.generate([], [[40, 41], [50]], [4, 4], GREEDY, snapshots=snapshots)
        counts[snapshots] = len(steps)
    hook.remove()
    whole = counts[()]
    assert counts == {(): whole, (0, 2, 4): whole + 2, (4,): whole, (9,): whole}


class Clock:
    """Stands still until it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Rows:
    """A batch of which nothing but the next tokens is known."""

    row_ids: list[int]
    tokens: list[int]

    @property
    def size(self) -> int:
        return len(self.row_ids)

    def reads(self, token: int) -> list[int]:
        return [place for place, each in enumerate(self.tokens) if each == token]


def test_the_time_of_a_snapshot_leaves_the_ones_before_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(snapshots_module, "perf_counter", clock)
    reader = SnapshotReader((0, 2, 3, 7), emb_id=5)

    def aside(batch: Rows) -> np.ndarray:
        clock.pass_by(10)
        return np.eye(2, 4, dtype=np.float32)

    batch = Rows([0, 1], [8, 8])
    steps = []
    for number in range(4):  # three tokens, then `<emb_token>`
        clock.pass_by(1)
        batch.tokens = [5, 5] if number == 3 else [8, 8]
        read = reader.read(batch, aside)
        steps.append(Step({}, read, {}, reader.seconds))
    clock.pass_by(1)
    final = Generation((8, 8, 8), "budget", np.full(4, 0.5, np.float32))
    steps.append(Step({}, {}, {0: final, 1: final}, reader.seconds))
    done = collected(steps, (0, 2, 3, 7))
    assert [snapshot.seconds for snapshot in done[0].snapshots] == [11, 13, 5, 5]
    assert [snapshot.vector.tolist() for snapshot in done[1].snapshots] == [
        [0, 1, 0, 0],
        [0, 1, 0, 0],
        [0.5] * 4,
        [0.5] * 4,
    ]


# -- the fork ------------------------------------------------------------------------------------


class InPlaceLayer(DynamicLayer):
    """Writes into its tensor, as layers with a state of fixed size do."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: object) -> None:
        self.keys += key_states


def test_a_fork_never_touches_its_original() -> None:
    appending, writing = DynamicLayer(), InPlaceLayer()
    ones = torch.ones(2, 1, 3, 4)
    appending.update(ones, ones)
    writing.keys, writing.values = ones.clone(), ones.clone()
    cache = DynamicCache()
    cache.layers = [appending, writing]
    other = fork(cache)
    for layer in other.layers:
        layer.update(ones, ones)
    assert other.layers[0].keys.shape[2] == 6
    assert appending.keys.shape[2] == 3
    assert float(other.layers[1].keys[0, 0, 0, 0]) == 2
    assert torch.equal(writing.keys, ones)
