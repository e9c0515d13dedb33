"""`t1 env`: what is installed, and what it runs on; for bug reports. Loads no model.

For programs:

    t1 env --json
"""

import os
import platform
import sys
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from thought1 import __version__
from thought1.cli.console import print_json
from thought1.cli.options import Json
from thought1.types import Thought1Error

_PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "huggingface-hub",
    "numpy",
    "lancedb",
    "pyarrow",
    "accelerate",
    "ir-measures",
    "sentence-transformers",
)


def env(as_json: Json = False) -> None:
    """Show versions, threads, devices, the route of products and the default model."""
    facts = _facts()
    if as_json:
        print_json(facts)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    packages, linear = facts.pop("packages"), facts.pop("linear")
    precisions = {
        name: "{name} ({kept})".format(**facts.pop(name)) for name in ("thoughts", "training")
    }
    for name, value in {**facts, **_linear_rows(linear), **precisions, **packages}.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        table.add_row(name, "-" if shown is None else str(shown))
    Console(highlight=False, markup=False).print(table)


def _facts() -> dict[str, Any]:
    from thought1.engines.devices import devices, threads
    from thought1.engines.precision import thought_precision
    from thought1.engines.route import linear_route
    from thought1.engines.training_precision import training_precision
    from thought1.model.inventory import default_model
    from thought1.model.place import BUNDLED_MODELS, bundled_folder

    default, bundled = default_model(), None
    if default.name in BUNDLED_MODELS:
        with suppress(Thought1Error):
            bundled = str(bundled_folder(default.name))
    return {
        "thought1": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": threads(),
        "devices": devices(),
        "linear": asdict(linear_route()),
        "thoughts": asdict(thought_precision()),
        "training": asdict(training_precision()),
        "default_model": default.name,
        "bundled_model": bundled,
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _linear_rows(linear: dict[str, Any]) -> dict[str, str]:
    """The route of float32 products, for people."""
    rows = {}
    for kind in ("few", "many"):
        rates = linear["rates"].get(kind, {})
        shown = ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in rates.items())
        rows[f"linear, {kind} rows"] = f"{linear[kind]} ({shown or 'not measured'})"
    return {**rows, "linear, kept": linear["kept"]}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
