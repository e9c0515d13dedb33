"""What the transformers engine does to be fast, and that it stays exact while doing it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_checkpoint
from transformers import LlamaConfig, MistralConfig, PreTrainedModel

from thought1.engines.hf import HFEngine
from thought1.engines.padding import pad
from thought1.engines.running import normalized
from thought1.model.checkpoint_loading import load_checkpoint
from thought1.types import Sampling

PREFIX = list(range(20, 31))
ROWS = [[40, 41, 42], [50], [60, 61, 62, 63, 64]]
EMB = 300


@pytest.fixture
def model(tmp_path: Path) -> PreTrainedModel:
    return load_checkpoint(make_checkpoint(tmp_path / "qwen3"), device="cpu").model


@pytest.fixture
def engine(model: PreTrainedModel) -> HFEngine:
    return HFEngine(model, EMB, frozenset())


@contextmanager
def spied(module: torch.nn.Module) -> Iterator[list[tuple[int, int]]]:
    """The (rows, tokens) of each forward of `module`."""
    shapes: list[tuple[int, int]] = []

    def note(_module: object, args: tuple[torch.Tensor, ...], kwargs: dict[str, Any]) -> None:
        shapes.append((args[0].shape[0], args[0].shape[1]))

    handle = module.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield shapes
    finally:
        handle.remove()


# -- the prefix ----------------------------------------------------------------------------------


def test_the_prefix_is_computed_once(engine: HFEngine) -> None:
    with spied(engine.model.get_input_embeddings()) as shapes:
        engine.embed(PREFIX, ROWS)
        engine.embed(PREFIX, ROWS[:2])
        engine.embed(PREFIX[:5], ROWS)
    assert shapes == [(1, 11), (3, 5), (2, 3), (1, 5), (3, 5)]


def sgd(model: PreTrainedModel) -> None:
    step(model, torch.optim.SGD(model.parameters(), lr=0.1))


def adamw(model: PreTrainedModel) -> None:
    step(model, torch.optim.AdamW(model.parameters(), lr=0.01))


def fused_adamw(model: PreTrainedModel) -> None:
    """The default of transformers' Trainer."""
    step(model, torch.optim.AdamW(model.parameters(), lr=0.01, fused=True))


def step(model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> None:
    model(input_ids=torch.tensor([PREFIX])).logits.square().mean().backward()
    optimizer.step()


def changed(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return {name: value * 1.1 for name, value in model.state_dict().items()}


def load(model: PreTrainedModel) -> None:
    model.load_state_dict(changed(model))


def load_by_assignment(model: PreTrainedModel) -> None:
    model.load_state_dict(changed(model), assign=True)


def edit_one_weight(model: PreTrainedModel) -> None:
    with torch.no_grad():
        model.get_input_embeddings().weight[PREFIX[0]] += 1


def other_dtype(model: PreTrainedModel) -> None:
    model.to(torch.bfloat16)


@pytest.mark.parametrize(
    "change", [sgd, adamw, fused_adamw, load, load_by_assignment, edit_one_weight, other_dtype]
)
def test_the_prefix_is_computed_again_when_weights_change(
    engine: HFEngine, change: Callable[[PreTrainedModel], None]
) -> None:
    before = engine.embed(PREFIX, ROWS)
    change(engine.model)
    after = engine.embed(PREFIX, ROWS)
    fresh = HFEngine(engine.model, EMB, frozenset())
    np.testing.assert_array_equal(after, fresh.embed(PREFIX, ROWS))
    assert np.abs(after - before).max() > 1e-4


@pytest.mark.parametrize(
    ("config", "side"),
    [
        (LlamaConfig, "right"),
        # Every layer slides, and no `layer_types` says so.
        (lambda **sizes: MistralConfig(sliding_window=16, **sizes), "left"),
    ],
)
def test_a_sliding_window_is_never_padded_in_the_middle(
    config: Callable[..., Any], side: str, model: PreTrainedModel
) -> None:
    model.config = config(num_hidden_layers=2)
    assert HFEngine(model, EMB, frozenset(), "right").padding_side == side
    assert HFEngine(model, EMB, frozenset(), "left").padding_side == "left"


# -- work that is not done -----------------------------------------------------------------------


def test_embedding_runs_no_language_head(engine: HFEngine) -> None:
    with spied(engine.model.get_output_embeddings()) as shapes:
        engine.embed(PREFIX, ROWS)
    assert shapes == []


def test_finished_rows_leave_the_batch(engine: HFEngine) -> None:
    """A row reads its last prompt token, its thought and `<emb_token>`: budget + 2 steps."""
    budgets = [1, 6, 3]
    with spied(engine.model.get_input_embeddings()) as shapes:
        thoughts = engine.generate(PREFIX, ROWS, budgets, Sampling())
    assert [len(thought.token_ids) for thought in thoughts] == budgets
    prefill, steps = shapes[:2], shapes[2:]
    assert prefill == [(1, len(PREFIX)), (3, 4)]
    alive = [sum(budget + 2 >= number for budget in budgets) for number in range(1, 9)]
    assert steps == [(rows, 1) for rows in alive]


# -- robustness ----------------------------------------------------------------------------------


def test_another_thread_on_the_same_model_does_not_mix_in(engine: HFEngine) -> None:
    with engine._hidden_of_last_forward() as box, torch.inference_mode():
        engine.model(input_ids=torch.tensor([PREFIX]))
        mine = box[0]
        other = Thread(target=engine.embed, args=([], [[1, 2, 3]]))
        other.start()
        other.join()
        assert box[0] is mine


def test_no_hook_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """BERT runs through transformers' own forward pass, whose hidden states a hook picks up."""
    model = load_checkpoint(make_checkpoint(tmp_path / "bert", "bert"), device="cpu").model
    engine = HFEngine(model, 3, frozenset())
    engine.generate(PREFIX, ROWS, [2, 2, 2], Sampling())
    assert not model.base_model._forward_hooks
    monkeypatch.setattr(model.get_output_embeddings(), "forward", lambda hidden: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        engine.generate(PREFIX, ROWS, [2, 2, 2], Sampling())
    assert not model.base_model._forward_hooks


def test_dropout_is_off(tmp_path: Path) -> None:
    model = load_checkpoint(make_checkpoint(tmp_path / "bert", "bert"), device="cpu").model
    assert model.config.hidden_dropout_prob > 0
    engine = HFEngine(model.train(), 3, frozenset())
    np.testing.assert_array_equal(engine.embed([], ROWS), engine.embed([], ROWS))


# -- padding -------------------------------------------------------------------------------------


def test_pad() -> None:
    rows = [[5, 6], [7], []]
    right = pad(rows, left=False, device=torch.device("cpu"))
    assert right.ids_BT.tolist() == [[5, 6], [7, 0], [0, 0]]
    assert right.mask_BT.tolist() == [[1, 1], [1, 0], [0, 0]]
    assert right.last_B.tolist()[:2] == [1, 0]
    assert right.ragged
    left = pad(rows, left=True, device=torch.device("cpu"))
    assert left.ids_BT.tolist() == [[5, 6], [0, 7], [0, 0]]
    assert left.mask_BT.tolist() == [[1, 1], [0, 1], [0, 0]]
    assert left.last_B.tolist() == [1, 1, 1]
    assert not pad(rows[:1], left=True, device=torch.device("cpu")).ragged


def test_vectors_are_unit_float32_whatever_the_model_computes_in() -> None:
    vectors = normalized(torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.bfloat16))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0.0, 0.0]], atol=1e-7)
