"""Whether products of bfloat16 pay in training here: asked of the device, then measured once.

Having the instructions does not make them fast: an Intel Xeon with AVX-512's bfloat16 and without
AMX computes them at half the rate of float32. It knows products and clocks, no trainer.
"""

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from thought1.engines.devices import computes_bfloat16
from thought1.engines.precision import NAMES, Precision
from thought1.engines.route import Rates, clock, kept_rates, key_of

WORTH = 1.1
"""bfloat16 is taken if it is this many times faster: float32 is the more exact one."""

# Rows, inputs, outputs: tokens of a batch through the feed-forward layers of a small model.
SHAPES = {"step": ((512, 576, 1536), (512, 1536, 576))}
ROUNDS = 4


def training_precision(device: str = "") -> Precision:
    """What `bf16 = "auto"` of a stage means here: autocast to bfloat16, or float32.

    A GPU with instructions for bfloat16 uses them. On a CPU that has them a measurement decides
    (about a second, at the first call on a machine, kept with that of `engines.route`).

    Args:
        device: "cpu" or "cuda"; "" is the one that trains here.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if not computes_bfloat16(device):
        return Precision("float32", {}, "nothing to choose: no instructions for bfloat16 here")
    if torch.device(device).type == "cuda":
        return Precision("bfloat16", {}, "not measured: a GPU")
    return _measured(torch.get_num_threads())


def trains_in_bfloat16(device: str = "") -> bool:
    """Whether that is bfloat16."""
    return training_precision(device).name == "bfloat16"


@cache
def _measured(threads: int) -> Precision:
    key = key_of(threads, SHAPES)
    rates, kept = kept_rates(key, "training", NAMES, measure)
    worth = rates["step"]["bfloat16"] >= WORTH * rates["step"]["float32"]
    return Precision("bfloat16" if worth else "float32", rates, kept)


@torch.inference_mode(False)
@torch.enable_grad()
def measure() -> Rates:
    """Operations per second of a layer's three products under autocast, both ways in turn."""
    random = torch.Generator().manual_seed(0)  # the global one stays where it is
    now = clock()
    seconds = dict.fromkeys(NAMES, 0.0)
    for rows, inputs, outputs in SHAPES["step"]:
        x = torch.rand(rows, inputs, generator=random, requires_grad=True)
        weight = torch.rand(outputs, inputs, generator=random, requires_grad=True)
        for name, best in _best(x, weight, now).items():
            seconds[name] += best
    operations = 3 * sum(2 * math.prod(shape) for shape in SHAPES["step"])
    return {"step": {name: operations / taken for name, taken in seconds.items()}}


def _best(x: Tensor, weight: Tensor, now: Callable[[], float]) -> dict[str, float]:
    """The smallest time of each way, in seconds; the first round only warms up."""
    best = dict.fromkeys(NAMES, math.inf)
    for number in range(ROUNDS):
        for name in NAMES:
            start = now()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=name == "bfloat16"):
                functional.linear(x, weight).float().sum().backward()
            if number:
                best[name] = min(best[name], max(now() - start, 1e-9))
    return best
