"""Steps written out for the Llama family: the same thoughts and vectors as transformers' own."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from tiny import ARCHITECTURES, make_checkpoint
from transformers import DynamicCache, Qwen2Config, Qwen2ForCausalLM

from thought1.engines import hf
from thought1.engines.hf import HFEngine
from thought1.engines.lean import MODEL_TYPES, runs_lean
from thought1.engines.preallocated import PreallocatedLayer, preallocate
from thought1.engines.snapshots import fork
from thought1.model.checkpoint_loading import load_checkpoint
from thought1.types import Generation, Sampling

PREFIX = [3, 4, 3]
ROWS = [[5, 6, 7, 8, 9, 10, 11], [12], [13, 14, 15]]


def engine_of(folder: Path, architecture: str, side: str = "right") -> HFEngine:
    checkpoint = load_checkpoint(make_checkpoint(folder, architecture), device="cpu")
    return HFEngine(checkpoint.model, checkpoint.emb_id, frozenset(), side)


def thoughts(engine: HFEngine, rows: Sequence[Sequence[int]]) -> list[Generation]:
    budgets = [9, 2, 5][: len(rows)]
    return engine.generate(PREFIX, rows, budgets, Sampling(), copies=2, snapshots=(0, 3))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", sorted(MODEL_TYPES))
def test_the_thoughts_and_vectors_are_those_of_transformers(
    name: str, side: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(tmp_path / name, name, side)
    assert runs_lean(engine.model)
    for rows in (ROWS, ROWS[:1]):
        monkeypatch.setattr(hf, "runs_lean", runs_lean)
        monkeypatch.setattr(engine.model, "forward", lambda *_, **__: 1 / 0)
        found = thoughts(engine, rows)
        monkeypatch.undo()
        monkeypatch.setattr(hf, "runs_lean", lambda _: False)
        for mine, theirs in zip(found, thoughts(engine, rows), strict=True):
            assert mine.token_ids == theirs.token_ids
            torch.testing.assert_close(mine.vector, theirs.vector, rtol=0, atol=1e-5)
            for one, other in zip(mine.snapshots, theirs.snapshots, strict=True):
                torch.testing.assert_close(one.vector, other.vector, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - MODEL_TYPES))
def test_other_families_do_not_run_lean(name: str, tmp_path: Path) -> None:
    assert not runs_lean(engine_of(tmp_path / name, name).model)


def test_what_the_step_does_not_compute_is_left_to_transformers(tmp_path: Path) -> None:
    engine = engine_of(tmp_path / "llama", "llama")
    assert not runs_lean(engine.model.train())
    engine.model.eval().set_attn_implementation("eager")
    assert not runs_lean(engine.model)
    windows = Qwen2Config(
        vocab_size=16,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        use_sliding_window=True,
        max_window_layers=1,
    )
    assert not runs_lean(Qwen2ForCausalLM(windows).eval())


def test_preallocated_layers_hold_what_joined_tensors_hold() -> None:
    torch.manual_seed(0)
    plain, preallocated = DynamicCache(), DynamicCache()
    for cache in (plain, preallocated):
        torch.manual_seed(1)
        cache.update(torch.randn(3, 2, 5, 4), torch.randn(3, 2, 5, 4), 0)
    preallocate(preallocated, 2)
    assert type(preallocated.layers[0]) is PreallocatedLayer
    for step in range(70):  # beyond the preallocated columns, and beyond what is added to it
        if step == 3:
            for cache in (plain, preallocated):
                cache.batch_select_indices(torch.tensor([0, 2]))
        rows = 3 if step < 3 else 2
        column = torch.randn(rows, 2, 1, 4), torch.randn(rows, 2, 1, 4)
        for one, other in zip(
            plain.update(*column, 0), preallocated.update(*column, 0), strict=True
        ):
            assert torch.equal(one, other)
    assert preallocated.get_seq_length() == plain.get_seq_length() == 75


def test_a_fork_reads_on_without_the_original() -> None:
    cache = DynamicCache()
    cache.update(torch.ones(1, 1, 2, 4), torch.ones(1, 1, 2, 4), 0)
    preallocate(cache, 4)
    column = torch.full((1, 1, 1, 4), 7.0)
    keys, _ = fork(cache).update(column, column, 0)
    assert keys[0, 0, :, 0].tolist() == [1, 1, 7]
    assert cache.get_seq_length() == 2
    keys, _ = cache.update(column + 1, column + 1, 0)
    assert keys[0, 0, :, 0].tolist() == [1, 1, 8]


def test_a_layer_without_columns_stays(tmp_path: Path) -> None:
    cache = DynamicCache(config=engine_of(tmp_path / "llama", "llama").model.config)
    preallocate(cache, 4)
    assert not any(isinstance(layer, PreallocatedLayer) for layer in cache.layers)
