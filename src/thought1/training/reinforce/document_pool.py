"""What thoughts are ranked against: the documents of their batch, or an index that may be stale.

It knows vectors, token ids and the model; no reward.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from accelerate import PartialState

from thought1.t1 import T1
from thought1.training.recipe import ReinforceConfig
from thought1.training.reinforce.rollouts import evaluating
from thought1.types import Vectors

PROBES = 64
"""Documents whose vectors show how far an index has drifted."""


class DocumentPool:
    """Vectors of all documents, recomputed by interval or when they have drifted.

    They are kept in files by step, so that a resumed run ranks against the same ones.
    """

    def __init__(
        self, model: T1, texts: Sequence[str], config: ReinforceConfig, folder: Path
    ) -> None:
        self.model = model
        self.texts = list(dict.fromkeys(texts))
        self.config = config
        self.folder = folder
        self.drift = 1.0
        """Mean cosine of the probe documents' vectors to current ones, when last looked at."""
        self._step = -1
        self._vectors_ND: Vectors = np.zeros((0, 0), np.float32)
        indices = random.Random(0).sample(range(len(self.texts)), min(PROBES, len(self.texts)))
        self._probes = sorted(indices)

    def vectors(self, step: int) -> Vectors:
        """Those to rank against in this step (N, d)."""
        if self._step < 0:
            self._load(step)
        every = self.config.index_steps
        due = self._step < 0 or (every and step - self._step >= every)
        if not due and self.config.index_cosine:
            due = self._drifted()
        if due:
            self._vectors_ND, self._step, self.drift = encode(self.model, self.texts), step, 1.0
            if PartialState().is_main_process:
                np.save(self.folder / f"index-{step}.npy", self._vectors_ND)
        return self._vectors_ND

    def _drifted(self) -> bool:
        now_PD = encode(self.model, [self.texts[i] for i in self._probes])
        self.drift = float((now_PD * self._vectors_ND[self._probes]).sum(1).mean())
        return self.drift < self.config.index_cosine

    def _load(self, step: int) -> None:
        found = sorted(int(p.stem.partition("-")[2]) for p in self.folder.glob("index-*.npy"))
        usable = [at for at in found if at < step]
        if usable:
            self._step = usable[-1]
            self._vectors_ND = np.load(self.folder / f"index-{self._step}.npy")


def encode(model: T1, texts: Sequence[str]) -> Vectors:
    """Vectors (N, d) of documents with the current weights, without gradient."""
    with evaluating(model):
        return np.asarray(model.encode_document(list(texts)))
