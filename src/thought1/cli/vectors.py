"""Files of vectors, written some rows at a time: memory does not grow with them.

A file appears under its name when it is complete. Knows no model.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from thought1.types import Thought1Error, Vectors

Write = Callable[[Sequence[str], Vectors], None]
"""Appends vectors (n, d) with the ids of their texts."""


@contextmanager
def vector_file(path: Path, dim: int) -> Iterator[Write]:
    """A file to write vectors of `dim` dimensions to: NumPy (.npy) or JSON lines (.jsonl).

    Raises:
        Thought1Error: another ending, or the file cannot be made.
    """
    if path.suffix not in (".npy", ".jsonl"):
        raise Thought1Error(f"{path}: the output must end in .npy or .jsonl")
    if path.is_dir():
        raise Thought1Error(f"{path} is a folder; name a file for the output")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        stream = part.open("wb")
    except OSError as error:
        raise Thought1Error(f"{path} cannot be written: {error}") from None
    try:
        with stream:
            yield _npy(stream, dim) if path.suffix == ".npy" else _jsonl(stream)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _npy(stream: BinaryIO, dim: int) -> Write:
    """NumPy's format, float32; the ids are left out.

    NumPy keeps room in the header for a growing number of rows, so it can be written anew.
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


def _jsonl(stream: BinaryIO) -> Write:
    """One object {"_id", "vector"} a line."""

    def write(ids: Sequence[str], vectors: Vectors) -> None:
        for id_, vector in zip(ids, vectors, strict=True):
            # The shortest decimals that give the same float32 again
            numbers = [float(str(number)) for number in vector]
            stream.write(json.dumps({"_id": id_, "vector": numbers}).encode() + b"\n")

    return write
