"""Documents: `T1.encode_document` beside `SentenceTransformer.encode_document` on its export.

Both get the same texts and prompt and run the same weights; that they give the same vectors is
checked first. T1 runs with its defaults, the peer at its fastest batch size.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer
from speed_matmul import encoding_operations
from speed_texts import Length, write_texts
from timing import Comparison, fastest, interleaved

from thought1 import T1
from thought1.types import Thought1Error

BATCH_SIZES = (8, 16, 32, 64, 128, 256)
TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class DocumentTask:
    """Texts of one kind, and how much faster T1 should be."""

    name: str
    length: Length
    number: int
    goal: float


@dataclass(frozen=True, slots=True)
class DocumentResult:
    """What was measured; rates are per second of processor time."""

    task: DocumentTask
    difference: float
    peer_batch_size: int
    comparison: Comparison
    documents_per_second: float
    peer_documents_per_second: float
    operations_per_second: float


def measure_documents(
    model: T1, peer: SentenceTransformer, task: DocumentTask, repeats: int
) -> DocumentResult:
    """Check that both give the same vectors, choose the peer's batch size, then time both.

    Raises:
        Thought1Error: a text does not fit, or the vectors differ.
    """
    texts = write_texts(model, task.number, task.length, seed=1)

    def ours() -> Any:
        return model.encode_document(texts)

    def theirs(batch_size: int) -> Any:
        return peer.encode_document(texts, batch_size=batch_size)

    truncated = model.truncated
    difference = float(np.abs(ours() - theirs(32)).max())
    if model.truncated > truncated:
        raise Thought1Error(f"texts of {task.length} tokens do not fit this model's documents")
    if difference > TOLERANCE:
        raise Thought1Error(f"vectors of {task.name} differ from the peer's by {difference:.1e}")
    sizes = [BATCH_SIZES[0], *(size for size in BATCH_SIZES[1:] if size < 2 * task.number)]
    best = min(sizes, key=lambda size: fastest(partial(theirs, size), 2))
    times = interleaved({"ours": ours, "peer": partial(theirs, best)}, repeats)
    settings = model.settings
    rendered = model.renderer.render(settings.document, texts, settings.max_document_tokens)
    operations = encoding_operations(
        model.checkpoint.model, len(rendered.prefix), [len(row) + 1 for row in rendered.rows]
    )
    seconds, peer_seconds = np.median(times["ours"].cpu), np.median(times["peer"].cpu)
    return DocumentResult(
        task,
        difference,
        best,
        Comparison.of(times["ours"], times["peer"]),
        float(task.number / seconds),
        float(task.number / peer_seconds),
        float(operations / seconds),
    )
