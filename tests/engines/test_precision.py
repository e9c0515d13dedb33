"""Thoughts in bfloat16: asked for or measured, near the float32 ones, and never out of date."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import make_checkpoint
from torch import nn

from thought1.engines import precision
from thought1.engines.hf import HFEngine
from thought1.engines.likelihood import mean_logprobs
from thought1.engines.linear import onednn_linears
from thought1.engines.packed import PackedLinears, bfloat16_exists
from thought1.engines.precision import thought_precision
from thought1.engines.probe import disagreement
from thought1.engines.route import Rates
from thought1.model.checkpoint_loading import load_checkpoint
from thought1.types import Sampling, Thought1Error

PREFIX = [3, 4, 3]
ROWS = [[5, 6, 7, 8, 9, 10, 11], [12], [13, 14, 15]]

needs_bfloat16 = pytest.mark.skipif(not bfloat16_exists(), reason="no products of bfloat16 here")


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has measured nothing yet, with a cache folder of its own."""
    monkeypatch.delenv("T1_THOUGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    precision._measured.cache_clear()
    yield
    precision._measured.cache_clear()


@pytest.fixture
def engine(tmp_path: Path) -> HFEngine:
    checkpoint = load_checkpoint(make_checkpoint(tmp_path / "llama", "llama"), device="cpu")
    return HFEngine(checkpoint.model, checkpoint.emb_id, frozenset())


def found(one: float, batch: float) -> Rates:
    """Rates where bfloat16 is so many times faster."""
    return {
        "one": {"float32": 1e9, "bfloat16": one * 1e9},
        "batch": {"float32": 1e9, "bfloat16": batch * 1e9},
    }


def test_float32_unless_asked() -> None:
    assert thought_precision().name == "float32"


@pytest.mark.parametrize(
    ("one", "batch", "name"),
    [(1.1, 2.0, "bfloat16"), (0.9, 2.0, "float32"), (2.0, 1.2, "float32")],
)
def test_auto_takes_what_pays_and_measures_once(
    one: float, batch: float, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def measure() -> Rates:
        calls.append(1)
        return found(one, batch)

    monkeypatch.setenv("T1_THOUGHTS", "auto")
    monkeypatch.setattr(precision, "bfloat16_exists", lambda: True)
    monkeypatch.setattr(precision, "measure", measure)
    first = thought_precision()
    precision._measured.cache_clear()  # another process
    assert thought_precision() == first
    assert (first.name, calls, Path(first.kept).is_file()) == (name, [1], True)


def test_auto_without_bfloat16_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T1_THOUGHTS", "auto")
    monkeypatch.setattr(precision, "bfloat16_exists", lambda: False)
    assert thought_precision().name == "float32"


def test_what_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T1_THOUGHTS", "int8")
    with pytest.raises(Thought1Error, match="set it to float32, bfloat16 or auto"):
        thought_precision()
    monkeypatch.setenv("T1_THOUGHTS", "bfloat16")
    monkeypatch.setattr(precision, "bfloat16_exists", lambda: False)
    with pytest.raises(Thought1Error, match="lacks: set it to auto"):
        thought_precision()


@needs_bfloat16
def test_the_measurement_measures_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "SHAPES", {"one": ((1, 32, 48),), "batch": ((8, 32, 48),)})
    rates = precision.measure()
    assert rates.keys() == {"one", "batch"}
    assert all(rate > 0 for both in rates.values() for rate in both.values())


@needs_bfloat16
@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_products_are_near_and_follow_the_weights(bias: bool) -> None:
    torch.manual_seed(0)
    layer, linears = nn.Linear(96, 64, bias=bias), PackedLinears()
    for rows in (1, 3, 70):
        x = torch.randn(rows, 2, 96)
        expected = layer(x)
        with onednn_linears(layer, linears):
            inside = layer(x)
        assert inside.dtype == torch.float32
        assert 1e-5 < (inside - expected).abs().max() < 0.05  # as bfloat16 rounds, and it does
    layer.weight.mul_(2)
    with onednn_linears(layer, linears):
        torch.testing.assert_close(layer(x), layer(x), rtol=0, atol=0)
        changed = layer(x)
    torch.testing.assert_close(changed, layer(x), rtol=0, atol=0.1)


@needs_bfloat16
def test_thoughts_use_it_and_documents_do_not(
    engine: HFEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = engine.embed(PREFIX, ROWS)
    exact = engine.generate(PREFIX, ROWS, [0, 0, 0], Sampling())
    monkeypatch.setenv("T1_THOUGHTS", "bfloat16")
    rounded = engine.generate(PREFIX, ROWS, [0, 0, 0], Sampling())
    for one, other in zip(rounded, exact, strict=True):
        assert np.abs(one.vector - other.vector).max() > 1e-5
        assert one.vector @ other.vector > 0.99
    # The prefix that thoughts have read in bfloat16 is not theirs.
    np.testing.assert_array_equal(engine.embed(PREFIX, ROWS), embedded)
    monkeypatch.setenv("T1_THOUGHTS", "float32")
    again = engine.generate(PREFIX, ROWS, [0, 0, 0], Sampling())
    for one, other in zip(again, exact, strict=True):
        np.testing.assert_array_equal(one.vector, other.vector)


@needs_bfloat16
def test_an_architecture_is_judged_without_it(
    engine: HFEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [*PREFIX, *ROWS[0], *range(20, 40)]
    exact = disagreement(engine, ids)
    monkeypatch.setenv("T1_THOUGHTS", "bfloat16")
    assert disagreement(engine, ids) == exact


@needs_bfloat16
def test_likelihoods_use_it(engine: HFEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    given = PREFIX, ROWS, [[7, 8, 9]] * len(ROWS)
    exact = mean_logprobs(engine, *given)
    monkeypatch.setenv("T1_THOUGHTS", "bfloat16")
    rounded = mean_logprobs(engine, *given)
    assert rounded != exact
    assert rounded == pytest.approx(exact, abs=0.1)
