"""In which numbers thoughts are computed on a CPU: float32, or products of bfloat16.

`T1_THOUGHTS` says it: float32 (the default), bfloat16, or auto, which takes bfloat16 where a short
measurement finds it worth its while. It knows products and clocks, no model.
"""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from thought1.engines.packed import bfloat16_exists, packed, product
from thought1.engines.route import (
    PRODUCTS,
    Product,
    Rates,
    clock,
    kept_rates,
    key_of,
    linear_route,
)
from thought1.types import Thought1Error

VARIABLE = "T1_THOUGHTS"
NAMES = ("float32", "bfloat16")
WORTH = 1.3
"""auto takes bfloat16 if it is this many times faster for a batch, and not slower for one row."""

# Rows, inputs, outputs: one thought, and a batch of them.
SHAPES = {"one": ((1, 576, 1536), (1, 1536, 576)), "batch": ((32, 576, 1536), (32, 1536, 576))}
COPIES = 8
"""Different weights in turn, 28 MB of float32: as in a step, few of them are in a cache."""
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Precision:
    """What was chosen."""

    name: str
    """"float32" or "bfloat16"."""
    rates: Rates
    """What was measured; empty if nothing was."""
    kept: str
    """Where the figures are stored: a file, or why there are none."""


def thought_precision() -> Precision:
    """How thoughts are computed here; auto measures at its first call on a machine (below 1 s).

    Raises:
        Thought1Error: `T1_THOUGHTS` has another value, or needs what this processor lacks.
    """
    wanted = os.environ.get(VARIABLE) or "float32"
    if wanted not in ("auto", *NAMES):
        raise Thought1Error(f"{VARIABLE} is {wanted!r}: set it to float32, bfloat16 or auto")
    if wanted == "bfloat16" and not bfloat16_exists():
        raise Thought1Error(
            f"{VARIABLE} is bfloat16, which this processor or torch lacks: set it to auto"
        )
    if wanted != "auto":
        return Precision(wanted, {}, f"set by {VARIABLE}, or the default")
    if not bfloat16_exists():
        return Precision("float32", {}, "nothing to choose: no products of bfloat16 here")
    return _measured(torch.get_num_threads())


@cache
def _measured(threads: int) -> Precision:
    key = {**key_of(threads, SHAPES), "copies": COPIES}
    rates, kept = kept_rates(key, "thoughts", NAMES, measure)
    gain = {kind: rate["bfloat16"] / rate["float32"] for kind, rate in rates.items()}
    worth = gain["one"] >= 1 and gain["batch"] >= WORTH
    return Precision("bfloat16" if worth else "float32", rates, kept)


@torch.inference_mode()
def measure() -> Rates:
    """Operations per second of both: the best of some rounds, in turn."""
    random = torch.Generator().manual_seed(0)  # the global one stays where it is
    route, now = linear_route(), clock()
    rates: Rates = {}
    for kind, shapes in SHAPES.items():
        seconds = dict.fromkeys(NAMES, 0.0)
        for rows, inputs, outputs in shapes:
            x = torch.rand(rows, inputs, generator=random)
            plain = torch.rand(COPIES, outputs, inputs, generator=random)
            exact = PRODUCTS[route.of(rows)]
            ways: dict[str, tuple[Product, list[Tensor]]] = {
                "float32": (exact, list(plain)),
                "bfloat16": (product, [packed(weight) for weight in plain]),
            }
            for name, best in _best(x, ways, now).items():
                seconds[name] += best
        operations = COPIES * sum(2 * math.prod(shape) for shape in shapes)
        rates[kind] = {name: operations / taken for name, taken in seconds.items()}
    return rates


def _best(
    x: Tensor, ways: Mapping[str, tuple[Product, list[Tensor]]], now: Callable[[], float]
) -> dict[str, float]:
    """The smallest time of each way through all weights, in seconds."""
    best = dict.fromkeys(ways, math.inf)
    for _ in range(ROUNDS):
        for name, (way, weights) in ways.items():
            start = now()
            for weight in weights:
                way(x, weight, None)
            best[name] = min(best[name], max(now() - start, 1e-9))
    return best
