"""What rounding, and so the processor, may decide: nothing but draws and ranks at a boundary.

Logits of two instruction sets differ by about 1e-7; equal scores must come out in one order.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import make_checkpoint

from thought1.engines.decoding import _sample
from thought1.search.exact import exact_run
from thought1.training.teacher import mine_negatives
from thought1.types import Sampling

AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}


def near_a_boundary(
    logits_V: torch.Tensor, draw: float, sampling: Sampling, error: float
) -> tuple[bool, bool]:
    """Whether logits off by `error` may move a step of the CDF across the draw, or the nucleus.

    From the definitions, for one row.
    """
    slack = error / (2 * sampling.temperature) + 1e-12  # and what float64 loses over the vocabulary
    probs_V = (logits_V.double() / sampling.temperature).softmax(0)
    order_V = probs_V.argsort(descending=True)
    mass_V = probs_V[order_V].cumsum(0)
    kept = len(probs_V)
    if sampling.top_p < 1:
        kept = int((mass_V < sampling.top_p).sum()) + 1
    first_cut = logits_V[order_V[kept : kept + 1]]
    tie = bool((logits_V[order_V[kept - 1]] - first_cut <= 2 * error).any())
    edge = bool(((mass_V[max(kept - 2, 0) : kept] - sampling.top_p).abs() <= slack).any())
    steps_K = probs_V[order_V[:kept].sort().values].cumsum(0) / mass_V[kept - 1]
    step = bool(((steps_K - draw).abs() <= slack).any())
    return step, sampling.top_p < 1 and (tie or edge)


def compare_draws(
    one_BV: torch.Tensor, two_BV: torch.Tensor, uniform_B: torch.Tensor, sampling: Sampling
) -> int:
    """Draws from logits that should be equal; how many of them rounding may change.

    Every difference lies at a boundary.
    """
    error = float((one_BV.double() - two_BV.double()).abs().max())
    one_B, two_B = (_sample(logits, uniform_B, sampling)[0] for logits in (one_BV, two_BV))
    near = [
        any(near_a_boundary(logits_V, draw, sampling, error))
        for logits_V, draw in zip(one_BV, uniform_B.tolist(), strict=True)
    ]
    differ = (one_B != two_B).tolist()
    assert not [row for row, other in enumerate(differ) if other and not near[row]]
    return sum(near)


@pytest.mark.numerics
@pytest.mark.parametrize("temperature", [0.7, 1.0])
@pytest.mark.parametrize("top_p", [0.9, 1.0])
def test_rounding_moves_a_draw_at_a_boundary_alone(temperature: float, top_p: float) -> None:
    """The 20 most likely tokens are ten near-equal pairs, of which many swap their ranks."""
    rows, vocabulary, error = 1000, 300, 1e-6
    rng = torch.Generator().manual_seed(0)
    logits_BV = torch.randn(rows, vocabulary, generator=rng).double()
    head_BK = logits_BV.topk(20).indices
    pairs_BK = torch.arange(10).repeat_interleave(2).expand(rows, -1) * 0.1 + 2.5
    noise_BK = torch.rand(rows, 20, generator=rng).double() * error
    logits_BV.scatter_(1, head_BK, pairs_BK + noise_BK)
    noise_BV = (2 * torch.rand(rows, vocabulary, generator=rng).double() - 1) * error
    moved_BV = logits_BV + noise_BV
    swapped = logits_BV.gather(1, head_BK).diff()[:, ::2].sign()
    assert (swapped != moved_BV.gather(1, head_BK).diff()[:, ::2].sign()).double().mean() > 0.2
    uniform_B = torch.rand(rows, generator=rng).double()
    near = compare_draws(logits_BV, moved_BV, uniform_B, Sampling(temperature, top_p))
    assert near < 0.02 * rows  # so that the others say something


def draw_a_thousand(folder: Path, environment: Mapping[str, str], logits: Path) -> torch.Tensor:
    """Logits (1000, V) of a model in a process of its own: its last place after 1,000 prompts."""
    code = (
        "import sys, torch\n"
        "from transformers import AutoModelForCausalLM\n"
        "model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()\n"
        "ids = torch.arange(16000).mul(7919).remainder(300).reshape(1000, 16)\n"
        "with torch.inference_mode():\n"
        "    torch.save(model(input_ids=ids).logits[:, -1].clone(), sys.argv[2])\n"
    )
    command = [sys.executable, "-c", code, str(folder), str(logits)]
    subprocess.run(command, check=True, env={**os.environ, **environment})
    found: torch.Tensor = torch.load(logits)
    return found


@pytest.mark.numerics
@pytest.mark.slow  # two processes that load torch; make test-numerics runs it too
def test_two_instruction_sets_draw_the_same_tokens(tmp_path: Path) -> None:
    """The same 1,000 draws with the instructions of this processor and with AVX2 alone."""
    folder = make_checkpoint(tmp_path / "qwen3", "qwen3")
    own = draw_a_thousand(folder, {}, tmp_path / "own.pt")
    avx2 = draw_a_thousand(folder, AVX2, tmp_path / "avx2.pt")
    torch.testing.assert_close(own, avx2, rtol=0, atol=1e-5)
    uniform_B = torch.rand(1000, generator=torch.Generator().manual_seed(1)).double()
    for sampling in (Sampling(1.0, 0.9), Sampling(1.0), Sampling(0.5, 0.9)):
        # Up to 28 of 1,000 draws were near a boundary, on an Intel Xeon with AMX.
        assert compare_draws(own, avx2, uniform_B, sampling) < 50


# -- equal scores: numpy's default sort places them as its instructions happen to ---------------


def test_equal_scores_keep_the_order_of_the_documents() -> None:
    """100 documents with five different scores."""
    scores = np.arange(100) * 7 % 5
    documents_ND = np.stack([scores, np.zeros(100)], 1).astype(np.float32)
    ids = [f"d{number}" for number in range(100)]
    query = np.array([[1, 0]], np.float32)
    expected = sorted(range(100), key=lambda number: -scores[number])
    run = exact_run(["q"], query, ids, documents_ND, 100)
    assert list(run["q"]) == [ids[number] for number in expected]
    teacher = dict(zip(ids, documents_ND, strict=True)) | {"question": query[0]}
    mined = mine_negatives({"q": "question"}, {"question": frozenset()}, ids, teacher, 100)
    assert mined["q"] == [ids[number] for number in expected]
