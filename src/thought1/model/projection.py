"""The projection of a companion's reader: a matrix in a file next to the checkpoint.

It maps the language model's vectors after thoughts into the companion's space; see `reader`. It
knows a folder and an array, no model.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from thought1.model.loading import loading_errors
from thought1.model.place import Place
from thought1.types import Thought1Error, Vectors

FILE_NAME = "companion_projection.safetensors"
_TENSOR = "weight"


def untrained_projection(dim: int, own_dim: int) -> Vectors:
    """Zeros (dim, own_dim): until it is trained, thoughts leave the companion's vectors alone."""
    return np.zeros((dim, own_dim), np.float32)


def save_projection(projection_ED: Vectors, folder: Path) -> None:
    """Write it into the folder of a checkpoint or an adapter."""
    save_file({_TENSOR: np.ascontiguousarray(projection_ED, np.float32)}, folder / FILE_NAME)


def load_projection(place: Place, dim: int, own_dim: int) -> Vectors:
    """The matrix (dim, own_dim) of a checkpoint.

    Args:
        dim: of the companion's vectors.
        own_dim: of the language model's.

    Raises:
        Thought1Error: it is missing, broken or of another shape.
    """
    label, path = place.name, place.folder / FILE_NAME
    if not path.is_file():
        raise Thought1Error(
            f"{label} reads thoughts by a projection, and its {FILE_NAME} is missing: copy the "
            "whole folder"
        )
    with loading_errors(f"{label} has a broken {FILE_NAME}", label):
        tensors = load_file(path)
    found = tensors.get(_TENSOR)
    if found is None or found.shape != (dim, own_dim) or not np.isfinite(found).all():
        raise Thought1Error(
            f"{path} does not hold one finite matrix of {dim} x {own_dim}, from the language "
            "model's vectors to the companion's: take the one that the checkpoint was saved with"
        )
    return np.asarray(found, np.float32)
