"""Which way float32 products take on this machine: measured once, and kept.

torch sends them to MKL. oneDNN is twice as fast on one AMD EPYC and slower on one Intel Xeon, so
neither is assumed. `T1_LINEAR` names a route (torch, onednn) or selects the measurement (auto, the
default). It knows products, clocks and one small file, no model.
"""

import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from thought1.files.user_cache import user_cache
from thought1.files.whole import write_whole
from thought1.types import Thought1Error

VARIABLE = "T1_LINEAR"
FEW_ROWS = 64
"""Products with at most this many rows count as decode steps, others as documents."""

# Rows, inputs, outputs: a step of 32 thoughts with a wide head; short documents, and a square.
SHAPES = {
    "few": ((32, 384, 384), (32, 384, 1536), (32, 1536, 384), (32, 384, 4096)),
    "many": ((256, 384, 384), (256, 384, 1536), (256, 1536, 384), (512, 512, 512)),
}
SECONDS = 0.2
"""No round begins later than this."""
ROUNDS = 6

Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]
Shapes = Mapping[str, Sequence[tuple[int, int, int]]]
Rates = dict[str, dict[str, float]]
"""Kind of shape -> route -> operations per second."""

_lock = Lock()


def onednn(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`functional.linear` through oneDNN: float32 on CPU, no gradient."""
    # The operator that torch.compile puts here; it has no public name.
    product: Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")
    return product


PRODUCTS: dict[str, Product] = {"torch": functional.linear, "onednn": onednn}


@dataclass(frozen=True, slots=True)
class Route:
    """The ways chosen, "torch" or "onednn"."""

    few: str
    """For products of at most `FEW_ROWS` rows."""
    many: str
    rates: Rates
    """What was measured; empty if nothing was."""
    kept: str
    """Where the decision is stored: a file, or why there is none."""

    def of(self, rows: int) -> str:
        """The route of a product with this many rows."""
        return self.few if rows <= FEW_ROWS else self.many


def linear_route() -> Route:
    """The route of float32 products here, measured at the first call (below 0.3 s).

    Raises:
        Thought1Error: `T1_LINEAR` names no route, or one that this torch lacks.
    """
    wanted = os.environ.get(VARIABLE) or "auto"
    if wanted not in ("auto", *PRODUCTS):
        raise Thought1Error(f"{VARIABLE} is {wanted!r}: set it to auto, torch or onednn")
    if wanted != "auto" and wanted not in products():
        raise Thought1Error(f"{VARIABLE} is {wanted}, which this torch lacks: set it to auto")
    if wanted != "auto":
        return Route(wanted, wanted, {}, f"set by {VARIABLE}")
    if not onednn_exists():
        return Route("torch", "torch", {}, "nothing to choose: this torch has no oneDNN")
    with _lock:  # two measurements at once would disturb each other
        return _measured(torch.get_num_threads())


def onednn_exists() -> bool:
    """Whether this torch has the oneDNN operator, and it is not switched off."""
    backend = torch.backends.mkldnn
    return (
        backend.is_available()
        and bool(backend.enabled)
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def products() -> dict[str, Product]:
    """The ways that this torch has, by name."""
    return PRODUCTS if onednn_exists() else {"torch": PRODUCTS["torch"]}


@cache
def _measured(threads: int) -> Route:
    key = key_of(threads)
    rates, kept = kept_rates(key, "linear", PRODUCTS, measure)
    few, many = (max(rates[kind], key=rates[kind].__getitem__) for kind in ("few", "many"))
    return Route(few, many, rates, kept)


@torch.inference_mode()
def measure() -> Rates:
    """Operations per second of both routes: the best of some rounds, the routes in turn."""
    now = clock()
    random = torch.Generator().manual_seed(0)  # the global one stays where it is
    rates: Rates = {}
    for kind, shapes in SHAPES.items():
        seconds = dict.fromkeys(PRODUCTS, 0.0)
        for rows, inputs, outputs in shapes:
            x = torch.rand(rows, inputs, generator=random)
            weight = torch.rand(outputs, inputs, generator=random)
            for name, best in _best(x, weight, now, SECONDS / 2 / len(shapes)).items():
                seconds[name] += best
        operations = sum(2 * math.prod(shape) for shape in shapes)
        rates[kind] = {name: operations / taken for name, taken in seconds.items()}
    return rates


def clock() -> Callable[[], float]:
    """Processor time of this thread where that is fine enough: others' work does not count."""
    fine = time.get_clock_info("thread_time").resolution < 1e-5
    return time.thread_time if fine else time.perf_counter


def _best(x: Tensor, weight: Tensor, now: Callable[[], float], limit: float) -> dict[str, float]:
    """The smallest time of each route, in seconds; the first round only warms up."""
    best = dict.fromkeys(PRODUCTS, math.inf)
    end = time.perf_counter() + limit
    for number in range(ROUNDS):
        if number > 1 and time.perf_counter() > end:
            break
        for name, product in PRODUCTS.items():
            start = now()
            product(x, weight, None)
            if number:
                best[name] = min(best[name], max(now() - start, 1e-9))
    return best


def processor() -> str:
    """The processor's model, as exactly as the system reports it."""
    names = ("vendor_id", "model name", "cpu family", "model", "stepping")
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
        found = {name.strip(): value.strip() for name, _, value in lines}
        if known := [f"{name} {found[name]}" for name in names if name in found]:
            return ", ".join(known)
    return platform.processor() or platform.machine()


def key_of(threads: int, shapes: Shapes = SHAPES) -> dict[str, Any]:
    """What the figures depend on."""
    limits = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
    return {
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "limits": {name: os.environ[name] for name in limits if name in os.environ},
        "torch": torch.__version__,
        "threads": threads,
        "shapes": {kind: [list(shape) for shape in group] for kind, group in shapes.items()},
    }


def kept_rates(
    key: Mapping[str, Any], name: str, ways: Iterable[str], measure: Callable[[], Rates]
) -> tuple[Rates, str]:
    """The figures of a key: those kept on this machine, else measured now and kept.

    Args:
        name: the file's, before the digest of the key.
        ways: what each kind of shape has a figure for.

    Returns:
        The figures, and the file, or why there is none.
    """
    path = path_of(key, name)
    rates = read(path, key, ways) if path else None
    if rates is not None:
        return rates, str(path)
    rates = measure()
    written = path is not None and write(path, key, rates)
    return rates, str(path) if written else "this process only: no file was writable"


def path_of(key: Mapping[str, Any], name: str = "linear") -> Path | None:
    """The file of this key in the user's cache folder; None if the user has no home."""
    base = user_cache()
    if base is None:
        return None
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return base / f"{name}-{digest}.json"


def read(
    path: Path, key: Mapping[str, Any], names: Iterable[str] = ("torch", "onednn")
) -> Rates | None:
    """The figures kept there; None if the file is absent, broken, or of another key."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["key"] != key:
            return None
        rates = {
            kind: {name: float(content["operations_per_second"][kind][name]) for name in names}
            for kind in key["shapes"]
        }
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return None
    values = [value for group in rates.values() for value in group.values()]
    return rates if all(math.isfinite(value) and value > 0 for value in values) else None


def write(path: Path, key: Mapping[str, Any], rates: Rates) -> bool:
    """Whole or not at all, whoever writes at the same time; whether it worked."""
    text = json.dumps({"key": key, "operations_per_second": rates}, indent=2) + "\n"
    try:
        with write_whole(path) as stream:
            stream.write(text.encode())
    except OSError:
        return False
    return True
