"""What every benchmark shares: where its result comes from, and how it ends on wrong input."""

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from thought1.data.outputs import whole_file
from thought1.evaluation.results import provenance
from thought1.evaluation.results.provenance import write_json
from thought1.types import Thought1Error

__all__ = ["ROOT", "exit_code", "origin", "write_json", "write_lines"]

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


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON lines, all of them or none.

    Raises:
        Thought1Error: the file cannot be written.
    """
    with whole_file(path) as stream:
        for row in rows:
            stream.write((json.dumps(row, ensure_ascii=False) + "\n").encode())


def exit_code(work: Callable[[], object]) -> int:
    """Do the work of a command: 0, or 2 where the input is wrong, with the reason on stderr."""
    try:
        work()
    except Thought1Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
