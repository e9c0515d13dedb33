"""What every benchmark shares: where its result comes from, and how it ends on wrong input."""

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from thought1.evaluation.results import provenance
from thought1.evaluation.results.provenance import write_json
from thought1.types import Thought1Error

__all__ = ["ROOT", "exit_code", "origin", "write_json"]

ROOT = Path(__file__).resolve().parent.parent


def origin(script: str, arguments: Sequence[str]) -> dict[str, Any]:
    """The origin of a result that `script`, a file of this folder, makes now."""
    command = ["python", f"benchmarks/{script}", *arguments]
    found = provenance.origin(command, Path(__file__))
    return {
        **found,
        "command": shlex.join(command),
        "machine": {
            **found["machine"],
            "torch_threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def exit_code(work: Callable[[], object]) -> int:
    """Do the work of a command: 0, or 2 where the input is wrong, with the reason on stderr."""
    try:
        work()
    except Thought1Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
