"""The last layer for the last tokens alone: the same vectors, and nothing left behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from tiny import ARCHITECTURES, make_checkpoint
from torch import nn
from transformers import DynamicCache

from thought1.engines import hf
from thought1.engines.hf import HFEngine
from thought1.engines.last_layer import MODEL_TYPES, _last_layer, last_tokens_only
from thought1.model.checkpoint_loading import load_checkpoint

ROWS = [[5, 6, 7, 8, 9, 10, 11], [12], [13, 14, 15], [5, 6, 7, 8, 9, 10, 11]]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HFEngine:
    folder = make_checkpoint(tmp_path_factory.mktemp("last") / request.param, request.param)
    checkpoint = load_checkpoint(folder, device="cpu")
    return HFEngine(checkpoint.model, checkpoint.emb_id, checkpoint.eos_ids)


@contextmanager
def all_tokens(*_arguments: Any) -> Iterator[None]:
    yield


def columns_of(engine: HFEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many columns the hidden states of each forward pass have."""
    found: list[int] = []
    backbone = HFEngine._backbone

    def counted(self: HFEngine, *arguments: Any) -> torch.Tensor:
        hidden = backbone(self, *arguments)
        found.append(hidden.shape[1])
        return hidden

    monkeypatch.setattr(HFEngine, "_backbone", counted)
    return found


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("prefix", [[], [3], [3, 4, 3, 4, 3]])
@pytest.mark.parametrize("rows", [ROWS, ROWS[1:2], ROWS[:1] * 2])
def test_the_vectors_are_the_same(
    rows: list[list[int]],
    prefix: list[int],
    attention: str,
    engine: HFEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if attention == "sdpa" and not engine.model._supports_sdpa:
        pytest.skip("this architecture has no sdpa")
    engine.model.set_attn_implementation(attention)
    columns = columns_of(engine, monkeypatch)
    found = engine.embed(prefix, rows)
    monkeypatch.setattr(hf, "last_tokens_only", all_tokens)
    torch.testing.assert_close(found, engine.embed(prefix, rows), rtol=0, atol=1e-5)
    known = engine.model.config.model_type in MODEL_TYPES and engine.padding_side == "right"
    assert columns[0] == (1 if known else columns[1])


def test_autocast_changes_nothing(engine: HFEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mask is float32 where the attention computes in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16):
        found = engine.embed([3], ROWS)
        monkeypatch.setattr(hf, "last_tokens_only", all_tokens)
        expected = engine.embed([3], ROWS)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)


def test_every_named_type_is_tested(tmp_path_factory: pytest.TempPathFactory) -> None:
    types = set()
    for name in ARCHITECTURES:
        folder = make_checkpoint(tmp_path_factory.mktemp("types") / name, name)
        types.add(load_checkpoint(folder, device="cpu").model.config.model_type)
    assert types >= MODEL_TYPES


def test_nothing_is_left_behind(engine: HFEngine) -> None:
    cache, last_B = DynamicCache(config=engine.model.config), torch.tensor([0])
    layer = _last_layer(engine.model)
    if layer is None:
        pytest.skip("this architecture runs whole")
    with pytest.raises(ZeroDivisionError), last_tokens_only(engine.model, cache, last_B):
        assert "forward" in vars(layer)
        _ = 1 / 0
    assert "forward" not in vars(layer)


def test_another_forward_pass_meanwhile_sees_all_tokens(engine: HFEngine) -> None:
    """As a second thread would run it, with a cache of its own, and the other way round."""
    own, other = (DynamicCache(config=engine.model.config) for _ in range(2))
    ids, last_B = torch.tensor([[5, 6, 7]]), torch.tensor([2])
    first, second = (last_tokens_only(engine.model, cache, last_B) for cache in (own, other))
    with torch.inference_mode(), first:
        hidden = engine.model.base_model(ids, past_key_values=other, use_cache=True)
        assert hidden.last_hidden_state.shape[1] == 3
        second.__enter__()
    second.__exit__(None, None, None)
    assert not any("forward" in vars(module) for module in engine.model.modules())


def test_a_replaced_forward_stays(engine: HFEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = _last_layer(engine.model)
    if layer is None:
        pytest.skip("this architecture runs whole")
    mine = nn.Identity().forward
    monkeypatch.setattr(layer, "forward", mine)
    assert _last_layer(engine.model) is None
