"""`bf16` of a stage: what the trainer is told on processors with and without bfloat16."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from thought1.engines import training_precision as precision
from thought1.engines.devices import computes_bfloat16
from thought1.engines.route import Rates
from thought1.engines.training_precision import trains_in_bfloat16
from thought1.training.arguments import supervised_arguments
from thought1.training.recipe import Recipe, load_recipe
from thought1.training.recipe.represent import RepresentStage

NANO = Path(__file__).parents[2] / "recipes" / "nano-cpu.toml"


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe(NANO)


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has measured nothing yet, with a cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    precision._measured.cache_clear()
    yield
    precision._measured.cache_clear()


def told(recipe: Recipe, folder: Path, **stage: Any) -> bool:
    first = recipe.stages[0]
    assert isinstance(first, RepresentStage)
    return supervised_arguments(recipe, replace(first, **stage), folder).bf16


@pytest.mark.parametrize("has", [False, True])
def test_auto_takes_what_pays_here(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has: bool
) -> None:
    monkeypatch.setattr("thought1.training.arguments.trains_in_bfloat16", lambda device: has)
    assert told(recipe, tmp_path) is has
    assert told(recipe, tmp_path, bf16=True) is True
    assert told(recipe, tmp_path, bf16=False) is False


X86 = {"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}


@pytest.mark.parametrize(
    ("capabilities", "onednn", "expected"),
    [
        (X86, True, False),
        (X86 | {"avx512_bf16": True}, True, True),
        (X86 | {"amx_bf16": True}, True, True),
        (X86 | {"amx_bf16": True}, False, False),
        ({"architecture": "aarch64"}, True, True),
        ({"architecture": "aarch64"}, False, False),
    ],
)
def test_emulated_products_do_not_count(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, Any], onednn: bool, expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn)
    assert computes_bfloat16() is expected


def test_what_onednn_is_told_to_leave_alone_does_not_count() -> None:
    """As `make test-numerics` does: without it this trained 15 times slower on an Intel Xeon."""
    asked = "from thought1.engines.devices import computes_bfloat16; print(computes_bfloat16())"
    told_so = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    command = [sys.executable, "-c", asked]
    found = subprocess.run(command, env=told_so, capture_output=True, text=True, check=True)
    assert found.stdout == f"{platform.machine() != 'x86_64' and computes_bfloat16()}\n"


@pytest.mark.parametrize(("gain", "expected"), [(0.6, False), (1.0, False), (1.2, True)])
def test_instructions_count_where_they_are_faster_and_are_measured_once(
    monkeypatch: pytest.MonkeyPatch, gain: float, expected: bool
) -> None:
    calls = []

    def measure() -> Rates:
        calls.append(1)
        return {"step": {"float32": 1e9, "bfloat16": gain * 1e9}}

    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: True)
    monkeypatch.setattr(precision, "measure", measure)
    assert trains_in_bfloat16() is expected
    precision._measured.cache_clear()  # another process
    assert trains_in_bfloat16() is expected
    assert calls == [1]


def test_without_instructions_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: False)
    monkeypatch.setattr(precision, "measure", lambda: pytest.fail("measured"))
    assert not trains_in_bfloat16()


def test_a_gpu_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: True)
    monkeypatch.setattr(precision, "measure", lambda: pytest.fail("measured"))
    assert trains_in_bfloat16("cuda")


def test_the_measurement_leaves_gradients_and_the_generator_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "SHAPES", {"step": ((8, 32, 48),)})
    state = torch.get_rng_state()
    with torch.inference_mode():  # as a caller may
        rates = precision.measure()
    assert all(rate > 0 for rate in rates["step"].values())
    assert torch.equal(torch.get_rng_state(), state)
