"""Vectors on disk, found again only by everything that decided them.

The name of a file is the SHA-256 over all ingredients (weights, templates, instruction, lengths,
types, ...) and over every text. Whatever changes has another name, so that nothing stale can be
read; old files are never deleted here. It knows neither models nor collections.

A file is one header of fixed size (JSON: shape, and the SHA-256 of the data) and the float32 rows.
It appears whole or not at all, and is checked whenever it is read.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from thought1.files.whole import write_whole
from thought1.types import Thought1Error, Vectors

logger = logging.getLogger(__name__)

Ingredients = Mapping[str, str | int | float | bool | None]
"""Everything but the texts that decides a vector, by name."""

FORMAT = 1
"""Part of every name: raise it when the file's form or the way vectors are computed changes."""
_HEADER_BYTES = 256


def key_of(ingredients: Ingredients, texts: Sequence[str]) -> str:
    """SHA-256 in hexadecimal over the ingredients and the texts, in order."""
    head = json.dumps({"format": FORMAT, **ingredients}, sort_keys=True, allow_nan=False)
    digest = hashlib.sha256()
    for part in (head, *texts):
        # The length in front: no two lists of texts give the same bytes.
        content = part.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()


class VectorCache:
    """A folder of vectors. Several processes may share it.

    Args:
        folder: made where it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found = 0
        """Texts whose vectors were read."""
        self.computed = 0
        """Texts whose vectors were computed."""

    def vectors(
        self,
        ingredients: Ingredients,
        texts: Sequence[str],
        encode: Callable[[Sequence[str]], Vectors],
    ) -> Vectors:
        """Vectors (n, d) of n texts: read (memory-mapped, read-only), else computed and kept.

        Raises:
            Thought1Error: the folder cannot be written.
            ValueError: `encode` does not give one row for each text.
        """
        key = key_of(ingredients, texts)
        path = self.folder / key[:2] / f"{key}.vectors"
        known = _read(path, len(texts))
        if known is not None:
            self.found += len(texts)
            return known
        computed = np.ascontiguousarray(encode(texts), dtype=np.float32)
        if computed.ndim != 2 or len(computed) != len(texts):
            raise ValueError(f"{len(texts)} texts gave vectors of shape {computed.shape}")
        self.computed += len(texts)
        _write(path, computed)
        return computed


def _read(path: Path, rows: int) -> Vectors | None:
    """What the file holds; None if there is none, or a broken one."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(_HEADER_BYTES))
        if header["rows"] != rows:
            raise ValueError(f"{header['rows']} rows instead of {rows}")
        shape = (rows, header["dim"])
        if path.stat().st_size != _HEADER_BYTES + 4 * rows * header["dim"]:
            raise ValueError("wrong size")
        if rows * header["dim"] == 0:  # which cannot be mapped
            return np.zeros(shape, np.float32)
        vectors: Vectors = np.memmap(path, np.dtype("<f4"), "r", _HEADER_BYTES, shape)
        if hashlib.sha256(vectors.data).hexdigest() != header["sha256"]:
            raise ValueError("wrong checksum")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s is broken (%s): its vectors are computed again", path, error)
        return None
    return vectors


def _write(path: Path, vectors: Vectors) -> None:
    data = vectors.astype("<f4", copy=False).tobytes()
    checksum = hashlib.sha256(data).hexdigest()
    header = {"rows": vectors.shape[0], "dim": vectors.shape[1], "sha256": checksum}
    try:
        with write_whole(path) as stream:
            stream.write(json.dumps(header).encode().ljust(_HEADER_BYTES) + data)
    except OSError as error:
        raise Thought1Error(
            f"the vector cache at {path.parent.parent} cannot be written: {error}"
        ) from error
