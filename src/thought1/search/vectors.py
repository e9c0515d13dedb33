"""Several vectors of one query as one. Knows neither models nor searches."""

import numpy as np

from thought1.types import Vectors


def fused(vectors_QKD: Vectors) -> Vectors:
    """The mean of each row's K vectors, L2-normalised again, (Q, d)."""
    mean_QD = vectors_QKD.mean(axis=1)
    # Opposite vectors leave nothing to normalise; zeros then score 0 with every document.
    norms_Q1 = np.maximum(np.linalg.norm(mean_QD, axis=1, keepdims=True), 1e-12)
    unit_QD: Vectors = (mean_QD / norms_Q1).astype(np.float32)
    return unit_QD
