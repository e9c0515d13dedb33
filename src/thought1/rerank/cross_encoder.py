"""A cross-encoder of sentence-transformers: reads query and document together, gives one number.

Nogueira and Cho, "Passage re-ranking with BERT", arXiv 1901.04085. The package is imported when a
model is loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from thought1.model.loading import check_pointers, loading_errors
from thought1.model.place import locate
from thought1.model.sentence_identity import weights_of
from thought1.types import Reranked, Thought1Error

BATCH = 32
"""Documents that go through the model together."""

_HEADS = ("ForSequenceClassification", "ForCausalLM")


@dataclass
class CrossEncoderReranker:
    """A `sentence_transformers.CrossEncoder` that gives one number. Load it by its name."""

    name: str
    model: Any
    place: str
    """Folder or hub id."""
    _lock: Lock = field(default_factory=Lock)
    """A tokenizer cuts for one thread at a time."""
    pointwise = True

    @property
    def weights_hash(self) -> str | None:
        """Over the files of its weights."""
        return weights_of(self.place)

    def rerank(self, query: str, documents: Sequence[str]) -> Reranked:
        """The model's score of each document; see `contracts.Reranker`."""
        pairs = [(query, document) for document in documents]
        with self._lock:
            scores = self.model.predict(pairs, batch_size=BATCH, show_progress_bar=False)
            read = self.model.tokenizer(
                *map(list, zip(*pairs, strict=True)),
                truncation=True,
                max_length=self.model.max_seq_length,
            )
        tokens = sum(map(len, read["input_ids"]))
        calls = -(-len(documents) // BATCH)
        return Reranked(tuple(map(float, np.asarray(scores, np.float64))), calls, tokens)


def open_cross_encoder(spec: str, model: object) -> CrossEncoderReranker:
    """The cross-encoder named by `cross-encoder:NAME`.

    Raises:
        Thought1Error: no such model, one without a trained head for this, or one that gives several
            numbers.
    """
    name = spec.partition(":")[2]
    if not name:
        raise Thought1Error(
            "name the cross-encoder: cross-encoder:FOLDER, cross-encoder:OWNER/NAME of the hub, or "
            "cross-encoder:package:NAME/FOLDER"
        )
    place = locate(name)
    check_pointers(name, Path(place))
    from sentence_transformers import CrossEncoder

    with loading_errors(f"{name} is no cross-encoder", name):
        loaded = CrossEncoder(place)
    config = loaded.config
    trained = getattr(config, "architectures", None) or []
    if not any(one.endswith(_HEADS) for one in trained):
        raise Thought1Error(
            f"{name} is no cross-encoder: its weights are of {', '.join(trained) or 'no model'}, "
            "which has no head that scores a pair; train one with benchmarks/train_cross_encoder.py"
        )
    if loaded.num_labels != 1:
        raise Thought1Error(
            f"{name} gives {loaded.num_labels} numbers for a pair; a reranker gives one"
        )
    return CrossEncoderReranker(spec, loaded, place)
