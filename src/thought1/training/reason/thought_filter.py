"""The gain filter: reference thoughts that do not improve retrieval are dropped.

LREM (arXiv 2510.14321) keeps a query only if its thought changes what is found for the better. It
knows a model, pairs and a pool of documents, no losses.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from thought1.t1 import T1
from thought1.training.data.sources import TrainingPair, shown_evidence
from thought1.types import Thought, Vectors

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GainCounts:
    """What became of the reference thoughts."""

    kept: int
    dropped: int


def drop_useless_thoughts(
    model: T1, pairs: Sequence[TrainingPair], pool: Sequence[str], most: int
) -> tuple[list[TrainingPair], GainCounts]:
    """The pairs, without the thoughts that do not raise DCG over the whole pool.

    Args:
        pool: documents; the pairs' positives come on top.
        most: thoughts are cut to this many tokens, as in training.
    """
    model.checkpoint.model.eval()
    documents = list(dict.fromkeys([*pool, *(text for p in pairs for text in p.positives)]))
    indices = {text: i for i, text in enumerate(documents)}
    documents_ND = np.asarray(model.encode_document(documents))
    thinking = [pair for pair in pairs if pair.thought]
    texts = [pair.query for pair in thinking]
    shown = shown_evidence(thinking)
    rows = model.renderer.text([pair.thought for pair in thinking])
    thoughts = [Thought("", tuple(row[:most]), "edited") for row in rows]
    bare_QD = np.asarray(model.encode_query(texts, budget=0, evidence=shown))
    behind_QD = np.asarray(model.encode_query(texts, thoughts=thoughts, evidence=shown))
    kept = set()
    for q, pair in enumerate(thinking):
        relevant = [indices[text] for text in pair.positives]
        if _dcg(documents_ND, behind_QD[q], relevant) > _dcg(documents_ND, bare_QD[q], relevant):
            kept.add(pair.query_id)
    counts = GainCounts(len(kept), len(thinking) - len(kept))
    logger.info("reference thoughts that help: %d kept, %d dropped", counts.kept, counts.dropped)
    found = [pair if pair.query_id in kept else replace(pair, thought="") for pair in pairs]
    return found, counts


def _dcg(documents_ND: Vectors, query_D: Vectors, relevant: Sequence[int]) -> float:
    """Discounted cumulative gain over all documents, binary grades."""
    scores_N = documents_ND @ query_D
    ranks = [1 + int((scores_N > scores_N[index]).sum()) for index in relevant]
    return float(sum(1 / np.log2(1 + rank) for rank in ranks))
