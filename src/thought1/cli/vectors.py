"""Files of vectors, written some rows at a time: memory does not grow with them.

A file appears under its name when it is complete. Knows no model.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from thought1.data.outputs import check_file, whole_file
from thought1.types import Thought1Error, Vectors

Write = Callable[[Sequence[str], Vectors], None]
"""Appends vectors (n, d) with the ids of their texts."""


def check_vector_file(path: Path) -> None:
    """Raise Thought1Error if vectors cannot be written to `path`, by its ending or at all."""
    if path.suffix not in (".npy", ".jsonl"):
        raise Thought1Error(f"{path}: the output must end in .npy or .jsonl")
    check_file(path)


@contextmanager
def vector_file(path: Path, dim: int) -> Iterator[Write]:
    """A file to write vectors of `dim` dimensions to: NumPy (.npy) or JSON lines (.jsonl).

    Raises:
        Thought1Error: the file cannot be made.
    """
    with whole_file(path) as stream:
        yield _npy(stream, dim) if path.suffix == ".npy" else _jsonl(stream)


def _npy(stream: IO[bytes], dim: int) -> Write:
    """NumPy's format, float32; the ids are left out.

    NumPy leaves space in the header for a growing number of rows, so it can be written again.
    """
    total = 0

    def header() -> None:
        shape = {"descr": "<f4", "fortran_order": False, "shape": (total, dim)}
        stream.seek(0)
        np.lib.format.write_array_header_1_0(stream, shape)
        stream.seek(0, os.SEEK_END)

    def write(ids: Sequence[str], vectors: Vectors) -> None:
        nonlocal total
        stream.write(vectors.astype("<f4").tobytes())
        total += len(vectors)
        header()

    header()
    return write


def _jsonl(stream: IO[bytes]) -> Write:
    """One object {"_id", "vector"} a line."""

    def write(ids: Sequence[str], vectors: Vectors) -> None:
        for id_, vector in zip(ids, vectors, strict=True):
            # The shortest decimals that give the same float32 again
            numbers = [float(str(number)) for number in vector]
            stream.write(json.dumps({"_id": id_, "vector": numbers}).encode() + b"\n")

    return write
