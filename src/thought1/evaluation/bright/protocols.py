"""The four ways in which published figures of BRIGHT are computed, as data.

Sources: official: xlang-ai/BRIGHT, run.py and retrievers.py; mteb: mteb 2.26.24,
bright_v1_1_retrieval.py; adjusted: castorini/pyserini, scripts/bright/create_adjusted_qrels.py;
legacy: mteb 2.26.24, bright_retrieval.py.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BrightProtocol:
    """One way to get a figure from a ranking."""

    name: str
    excludes: bool
    """A query's excluded documents are taken out, before the cut."""
    adds_copies: bool
    """Documents with the content of a gold document are relevant too."""
    difference: str
    """To the official one, in a sentence; for the official one, what it is."""


PROTOCOLS = (
    BrightProtocol(
        "official",
        excludes=True,
        adds_copies=False,
        difference="excluded documents out, then the first 1000; nDCG@10, and Recall@1 for long "
        "documents; the instruction that was given with the queries",
    ),
    BrightProtocol(
        "mteb",
        excludes=True,
        adds_copies=False,
        difference="MTEB v1.1: the same ranking and judgements; an excluded id that the pool lacks "
        "is ignored, where the official code stops; its own prompts are not computed here, "
        "instruction mteb gives them to all four",
    ),
    BrightProtocol(
        "adjusted",
        excludes=True,
        adds_copies=True,
        difference="official, and documents with the same content as a gold document count as "
        "relevant (castorini's adjusted qrels; theirs exist for short documents only)",
    ),
    BrightProtocol(
        "legacy",
        excludes=False,
        adds_copies=False,
        difference="MTEB's BrightRetrieval before v1.1: nothing is excluded, and nDCG@10 also for "
        "long documents; its wrong prompts are not computed here",
    ),
)
