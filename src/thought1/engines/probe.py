"""Does a model keep what the engine promises? A few short sequences are run in two ways.

It knows an engine and token ids; where the model came from, and what is said when it fails, is the
business of `loading`.
"""

import numpy as np
from transformers import PreTrainedModel

from thought1.engines.hf import HFEngine
from thought1.engines.padding import Ids
from thought1.types import Sampling

PREFIX = 3
LENGTHS = (6, 2)
"""Tokens of the shared prefix, and of the two rows after it."""


def keeps_a_state(model: PreTrainedModel) -> bool:
    """Whether the model sums up what it has read in a state, instead of keeping keys and values.

    Padding and shared prefixes go into such a state (Mamba, RWKV, and hybrids such as Jamba).
    """
    return bool(getattr(model, "_is_stateful", False))


def disagreement(engine: HFEngine, ids: Ids) -> float:
    """How far vectors differ between one row at a time and a padded batch, the largest element.

    The batch is read in one forward pass, and again through a shared prefix, a cache and a decode
    step, as thoughts are. Vectors have length 1; rounding gives about 1e-6 in float32. Not a
    number where the model's vectors are none.

    Args:
        ids: ordinary tokens, of which the first few are used.
    """
    prefix = list(ids[:PREFIX])
    rows = [list(ids[PREFIX : PREFIX + length]) for length in LENGTHS]
    ended = [[*row, engine.emb_id] for row in rows]
    single = np.concatenate([engine.embed((), [[*prefix, *row]]) for row in ended])
    batch = engine.embed(prefix, ended)
    with engine.unrounded():
        decoded = engine.generate(prefix, rows, [0] * len(rows), Sampling())
    stepwise = np.stack([each.vector for each in decoded])
    return float(max(np.abs(batch - single).max(), np.abs(stepwise - single).max()))
