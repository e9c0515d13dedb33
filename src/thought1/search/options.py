"""How to search: the same options in Python, on the command line and over HTTP.

Plain values, checked; it knows no store and no model.
"""

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Literal, get_args

from thought1.search.adaptive import Adaptive
from thought1.search.fuse import RANK_CONSTANT
from thought1.types import Filter, Sampling, Thought1Error

Mode = Literal["hybrid", "dense", "bm25"]

FusedBy = Literal["scores", "ranks"]

Combination = Literal["mean", "rank", "agreement", "like-bare", "like-bm25", "like-others"]

MAX_K = 1_000_000
"""Most hits of one query: their texts are all in memory, and no reader needs more."""

MAX_SAMPLES = 1_000
"""Most thoughts on one query: they are written together, each with a cache of its own."""

MAX_RERANK = 1_000
"""Most documents of a query that are reranked: each is read together with the query."""

MAX_EVIDENCE = 1_000
"""Most documents that are read before a query is thought about; a prompt has room for fewer."""

MAX_ROUNDS = 100
"""Most rounds of reading and thinking."""

MAX_NEIGHBOURS = 100
"""Most passages before or after a hit."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """How the two rankings of hybrid search become one.

    By scores (`fuse.score_fusion`), BM25 weighs as much as its first hits stand out and the vectors
    agree, so that a side which knows nothing does no harm; by ranks
    (`fuse.reciprocal_rank_fusion`), always the same.

    Raises:
        Thought1Error: a value is negative or no number, or both weights are 0.
    """

    rank_constant: int = RANK_CONSTANT
    """By ranks: the larger, the less the first places stand out."""
    dense_weight: float = 1.0
    bm25_weight: float = 1.0
    by: FusedBy = "scores"

    def __post_init__(self) -> None:
        weights = self.dense_weight, self.bm25_weight
        if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
            raise Thought1Error(
                f"fusion weights are two numbers of 0 or more, not both 0, instead of {weights}"
            )
        if self.by not in get_args(FusedBy):
            raise Thought1Error(f"hybrid search fuses by scores or ranks, not by {self.by!r}")
        if self.by == "scores" and self.rank_constant != RANK_CONSTANT:
            raise Thought1Error("a rank constant belongs to fusion by ranks")
        if self.rank_constant < 0:
            raise Thought1Error(f"a rank constant is 0 or more, not {self.rank_constant}")


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How to search.

    Raises:
        Thought1Error: a value is out of range, or a search without a model is to think.
    """

    k: int = 10
    """Most hits per query."""
    mode: Mode = "hybrid"
    """By vector and BM25, fused (`fusion`); by vector; or by BM25, without the model."""
    think: int | None = None
    """Most tokens of a thought; None is the model's own budget, 0 is not thinking."""
    where: Filter | None = None
    """Conditions on metadata."""
    offset: int = 0
    """Hits that are left out at the start: the first one then has rank `offset` + 1."""
    sampling: Sampling | None = None
    """How thoughts are sampled; None is greedily, with the model's own repetition control, so
    that an answer depends on no seed. Of several `samples` None is `Thinker.sampled`."""
    fusion: Fusion = Fusion()
    """In mode hybrid."""
    samples: int = 1
    """Thoughts on each query, over one prompt; `combine` makes one ranking of them."""
    evidence: int = 0
    """Documents that the model reads before it thinks: the first ones of a search, by the same
    options, with the bare query. As much of them as its longest prompt has room for."""
    rounds: int = 1
    """With `evidence`: how often the model reads and thinks at most. After each thought but the
    last its steps are searched with, and what they find is read before the next
    (`rounds.Rounds`), until that is nothing else."""
    combine: Combination = "mean"
    """What becomes of several thoughts. Fused: the normalised "mean" of their vectors; their
    rankings by "rank"; the mean weighted by "agreement", how alike each one's ranking is to those
    of the others. Or one is chosen, the one whose ranking is most like that of the query without
    a thought ("like-bare"), of BM25, or of the others."""
    min_confidence: float | None = None
    """Of several thoughts in mode dense: a query whose thoughts agree less than this, by the mean
    cosine of their vectors, is answered as in mode hybrid."""
    checkpoints: tuple[int, ...] = ()
    """Numbers of tokens, up to the budget, for which the answer says what a search that stops
    there finds (`SearchResult.stages`). Where `think` is None the largest is the budget."""
    adaptive: Adaptive | None = None
    """How much of the budget each query gets; None thinks all of it. Where `think` is None the
    largest of its checkpoints is the budget."""
    group_by: str = ""
    """A field of metadata, such as "source" for the passages of text files: one hit for each of its
    values, the best passage; "" leaves passages as they are."""
    group_best: int = 1
    """With `group_by`: the score of a document is the mean over this number of best passages."""
    neighbours: int = 0
    """Number of passages before and after each hit in its text file (`Hit.before`, `Hit.after`)."""
    explain: bool = False
    """Say for each hit which parts of the thought brought it, which of its sentences is nearest,
    and which words of the query it has (`Hit.explanation`)."""
    rerank: str | None = None
    """Name of the reranker that reorders the first documents: one that the index has been given
    (`Index.rerankers`), or one of `registry.RERANKERS`, such as "cross-encoder:FOLDER"."""
    rerank_depth: int = 50
    """How many of them; later ones keep their order."""
    rerank_weight: float = 0.5
    """Weight w of the reranker, from 0 to 1: w * its score + (1 - w) * that of the search, each
    scaled to 0 to 1 over these documents."""
    rerank_guided: bool = False
    """Read neighbours of what the reranker has found best so far, instead of the first documents
    only (`guided.guided`); `rerank_depth` is how many are read. Not for listwise rerankers."""

    def __post_init__(self) -> None:
        if not _whole(self.k) or not 1 <= self.k <= MAX_K:
            raise Thought1Error(f"k must be a whole number from 1 to {MAX_K:,}, not {self.k}")
        if not _whole(self.offset) or not 0 <= self.offset <= MAX_K:
            raise Thought1Error(
                f"offset must be a whole number from 0 to {MAX_K:,}, not {self.offset}"
            )
        if self.mode not in get_args(Mode):
            modes = ", ".join(get_args(Mode))
            raise Thought1Error(f"unknown search mode {self.mode!r}; known modes: {modes}")
        if self.think is not None and self.think < 0:
            raise Thought1Error(f"a thought has 0 tokens or more, not {self.think}")
        if not _whole(self.samples) or not 1 <= self.samples <= MAX_SAMPLES:
            raise Thought1Error(
                f"the number of sampled thoughts is a whole number from 1 to {MAX_SAMPLES:,}, "
                f"not {self.samples}"
            )
        if not _whole(self.evidence) or not 0 <= self.evidence <= MAX_EVIDENCE:
            raise Thought1Error(
                f"evidence is a whole number of documents from 0 to {MAX_EVIDENCE:,}, "
                f"not {self.evidence}"
            )
        for tokens in self.checkpoints:
            if not _whole(tokens) or tokens < 0:
                raise Thought1Error(f"a checkpoint is a whole number of tokens, not {tokens}")
        thinks = self.think or self.samples > 1 or self.evidence or self.checkpoints
        if self.mode == "bm25" and thinks:
            raise Thought1Error("bm25 does not think; use the mode hybrid or dense")
        if self.adaptive is not None:
            self._check_adaptive(self.adaptive)
        if self.samples > 1 and self.think == 0:
            raise Thought1Error(
                f"{self.samples} thoughts on each query need a thinking budget of 1 token or more"
            )
        self._check_several()
        self._check_rounds()
        self._check_groups()
        if self.explain and self.samples > 1:
            raise Thought1Error(
                f"one thought can be explained, not {self.samples} together: leave samples or "
                "explain out"
            )
        self._check_rerank()
        if self.evidence and self.think == 0:
            raise Thought1Error(
                "evidence is read before thinking, which needs a thinking budget of 1 token or more"
            )

    def _check_rounds(self) -> None:
        if not _whole(self.rounds) or not 1 <= self.rounds <= MAX_ROUNDS:
            raise Thought1Error(
                f"rounds are a whole number from 1 to {MAX_ROUNDS}, not {self.rounds}"
            )
        if self.rounds > 1 and not self.evidence:
            raise Thought1Error(
                "rounds are of reading and thinking: say how many documents are read, as evidence"
            )
        if self.rounds > 1 and self.samples > 1:
            raise Thought1Error(
                f"rounds follow one thought, not {self.samples}: leave samples or rounds out"
            )

    def _check_groups(self) -> None:
        if not _whole(self.group_best) or not 1 <= self.group_best <= MAX_K:
            raise Thought1Error(
                f"a document is scored by 1 to {MAX_K:,} passages, not {self.group_best}"
            )
        if self.group_best > 1 and not self.group_by:
            raise Thought1Error("the best passages of what? Name a field to group by, as source")
        if not _whole(self.neighbours) or not 0 <= self.neighbours <= MAX_NEIGHBOURS:
            raise Thought1Error(
                f"neighbours are 0 to {MAX_NEIGHBOURS} passages, not {self.neighbours}"
            )
        if self.group_by and self.checkpoints:
            raise Thought1Error("checkpoints show passages: leave them or the grouping out")

    def _check_several(self) -> None:
        if self.combine not in get_args(Combination):
            known = ", ".join(get_args(Combination))
            raise Thought1Error(
                f"several thoughts are combined by one of {known}, not {self.combine!r}"
            )
        if self.combine != "mean" and self.samples == 1:
            raise Thought1Error(
                f"{self.combine} combines several thoughts: ask for 2 samples or more"
            )
        least = self.min_confidence
        if least is None:
            return
        if not -1 <= least <= 1:
            raise Thought1Error(f"a confidence is a cosine from -1 to 1, not {least}")
        if self.samples == 1:
            raise Thought1Error(
                "confidence is how much several thoughts agree: ask for 2 samples or more"
            )
        if self.mode != "dense":
            raise Thought1Error(
                f"unsure queries fall back from mode dense to hybrid; the mode is {self.mode}"
            )

    def _check_rerank(self) -> None:
        if not _whole(self.rerank_depth) or not 1 <= self.rerank_depth <= MAX_RERANK:
            raise Thought1Error(
                f"the depth of reranking is a whole number from 1 to {MAX_RERANK:,}, "
                f"not {self.rerank_depth}"
            )
        if not 0 <= self.rerank_weight <= 1:
            raise Thought1Error(
                f"the weight of a reranker is a number from 0 to 1, not {self.rerank_weight}"
            )
        if self.rerank_guided and self.rerank is None:
            raise Thought1Error("a search is guided by a reranker: name one")
        if self.rerank_guided and self.mode == "bm25":
            raise Thought1Error(
                "a guided search walks over vectors, which mode bm25 does not search"
            )
        if self.rerank is not None and self.checkpoints:
            raise Thought1Error(
                "checkpoints show what retrieval alone finds: leave them or the reranker out"
            )

    def _check_adaptive(self, adaptive: Adaptive) -> None:
        if self.mode == "bm25":
            raise Thought1Error("bm25 does not think; use the mode hybrid or dense")
        if self.think == 0:
            raise Thought1Error("adaptive thinking needs a thinking budget of 1 token or more")
        if self.samples > 1 or self.evidence or self.checkpoints:
            raise Thought1Error(
                "adaptive thinking is for one thought on each query, without evidence and "
                "without checkpoints of its own"
            )
        if adaptive.stops and len(adaptive.within(self.think)) < 2:
            raise Thought1Error(
                f"a thought of at most {self.think} tokens has fewer than two checkpoints of "
                f"{list(adaptive.checkpoints)}, so that nothing can be compared"
            )

    @property
    def depth(self) -> int:
        """Documents that the last ranking must hold."""
        return self.offset + self.k


def _whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
