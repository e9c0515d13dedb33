"""The vectors of a frozen companion, which a stage compares with but does not train: kept on disk.

It knows texts and vectors, nothing of the language model.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from thought1.files.whole import write_whole
from thought1.model.sentence_model import SentenceModel
from thought1.t1 import T1
from thought1.training.data.batches import Rows, Text
from thought1.training.data.sources import Role, TrainingData
from thought1.training.recipe import BaseStage


def with_given(rows: Rows, stage: BaseStage, model: T1, data: TrainingData, cache: Path) -> Rows:
    """`rows`, with the companion's vectors where the stage trains a projection into its space.

    Each text is encoded once, and read from `cache` by a resumed run.
    """
    if model.companion is None or model.checkpoint.projection is None or not stage.learns_anchor:
        return rows
    documents = [text for pair in data.pairs for text in pair.positives]
    documents += data.pool if stage.negatives_per_query else []
    given = _vectors(model.companion, "query", (pair.query for pair in data.pairs), cache)
    return replace(rows, given=given | _vectors(model.companion, "document", documents, cache))


def _vectors(
    companion: SentenceModel, role: Role, texts: Iterable[str], cache: Path
) -> dict[Text, npt.NDArray[np.float32]]:
    distinct = sorted(set(texts))
    key = hashlib.sha256("\0".join([companion.hash, role, *distinct]).encode()).hexdigest()[:16]
    file = cache / f"companion-{key}.npy"
    if not file.is_file():
        encode = companion.embed_queries if role == "query" else companion.embed_documents
        vectors = encode(distinct)
        with write_whole(file) as stream:
            np.save(stream, vectors)
    rows = np.load(file, mmap_mode="r")
    return {(role, text): rows[i] for i, text in enumerate(distinct)}
