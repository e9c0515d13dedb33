"""When a search thinks at all, and when it has thought enough: rules over rankings and vectors.

A gate looks at what the bare query finds: where that is certain, nothing is thought. A thought ends
early where two checkpoints in a row say the same, by its vector or by the documents it finds. Knows
neither a store nor a model; `calibration` chooses the numbers.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from thought1.types import Ranking, Thought1Error, Vectors

Signal = Literal["score", "margin", "spread", "agreement"]
"""How certain the bare query's result is: the first document's cosine; how far it is above the
second's; above the tenth's; or the share of documents that dense and BM25 both have among their
first ten."""

CHECKPOINTS = (0, 8, 16, 24, 32, 40, 48)
"""Numbers of tokens at which a thought may end where nothing else is said."""

TOP = 10
"""Documents that signals and overlaps look at."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Thinks about a query only where its signal is below a threshold.

    Raises:
        Thought1Error: no such signal, or a threshold that is no number.
    """

    signal: Signal
    below: float

    def __post_init__(self) -> None:
        if self.signal not in get_args(Signal):
            signals = ", ".join(get_args(Signal))
            raise Thought1Error(f"a gate goes by {signals}, not by {self.signal!r}")
        if self.below != self.below:
            raise Thought1Error("a gate's threshold must be a number")

    def opens(self, value: float) -> bool:
        """Whether a query with this signal is thought about."""
        return value < self.below


@dataclass(frozen=True, slots=True)
class Adaptive:
    """How much a search thinks about each query.

    Raises:
        Thought1Error: it would change nothing, or a value is out of range.
    """

    checkpoints: tuple[int, ...] = CHECKPOINTS
    """Numbers of tokens, ascending, at which a thought may end. The largest is the budget where no
    other is named; those above the budget do not count."""
    cosine: float | None = None
    """A thought ends where its vector has at least this cosine to that of the checkpoint before."""
    overlap: float | None = None
    """Or where at least this share of its first ten documents were there at the one before."""
    gate: Gate | None = None
    """Whether a query is thought about at all; None thinks about each."""

    def __post_init__(self) -> None:
        if self.cosine is None and self.overlap is None and self.gate is None:
            raise Thought1Error("adaptive thinking needs a cosine, an overlap or a gate")
        if self.cosine is not None and not -1 <= self.cosine <= 1:
            raise Thought1Error(f"a cosine is a number from -1 to 1, not {self.cosine}")
        if self.overlap is not None and not 0 <= self.overlap <= 1:
            raise Thought1Error(f"an overlap is a share from 0 to 1, not {self.overlap}")
        ascending = sorted(set(self.checkpoints))
        if len(ascending) < 2 or list(self.checkpoints) != ascending or ascending[0] < 0:
            raise Thought1Error(
                "adaptive thinking needs two checkpoints or more, numbers of tokens, each larger "
                f"than the one before, not {list(self.checkpoints)}"
            )

    @property
    def stops(self) -> bool:
        """Whether a thought may end early."""
        return self.cosine is not None or self.overlap is not None

    def within(self, budget: int | None) -> tuple[int, ...]:
        """The checkpoints up to the budget."""
        return tuple(n for n in self.checkpoints if budget is None or n <= budget)


@dataclass(slots=True)
class Settled:
    """Ends thoughts as `rule` says; to be handed to a model as `until`.

    Args:
        find: the first documents of vectors (n, d), given with the numbers of their thoughts.
    """

    rule: Adaptive
    find: Callable[[Sequence[int], Sequence[Vectors]], Sequence[Sequence[str]]]
    _vectors: dict[int, Vectors] = field(default_factory=dict)
    _found: dict[int, Sequence[str]] = field(default_factory=dict)

    def __call__(self, tokens: int, vectors: Mapping[int, Vectors]) -> Collection[int]:
        """Of the thoughts with these vectors (d,), those that end after that number of tokens."""
        ending: set[int] = set()
        if self.rule.cosine is not None:
            for thought, vector_D in vectors.items():
                before_D = self._vectors.get(thought)
                if before_D is not None and float(before_D @ vector_D) >= self.rule.cosine:
                    ending.add(thought)
            self._vectors |= vectors
        if self.rule.overlap is not None and vectors:
            lists = self.find(list(vectors), list(vectors.values()))
            for thought, ids in zip(vectors, lists, strict=True):
                before = self._found.get(thought)
                if before is not None and shared(before, ids) >= self.rule.overlap:
                    ending.add(thought)
                self._found[thought] = ids
        return ending


def shared(before: Sequence[str], now: Sequence[str]) -> float:
    """Which share of the documents of the longer list is in both; of two empty lists, all."""
    longest = max(len(before), len(now))
    return len(set(before) & set(now)) / longest if longest else 1.0


def signal(name: Signal, dense: Ranking, bm25: Ranking | None = None) -> float:
    """How certain a result is; of a ranking without documents, 0.

    Args:
        dense: with cosines.
        bm25: of the same query; only "agreement" needs it.
    """
    scores = [score for _, score in dense[:TOP]]
    if not scores:
        return 0.0
    if name == "score":
        return scores[0]
    if name == "margin":
        return scores[0] - scores[1] if len(scores) > 1 else scores[0]
    if name == "spread":
        return scores[0] - scores[-1]
    if bm25 is None:
        raise ValueError("agreement needs both rankings")
    return shared([id_ for id_, _ in dense[:TOP]], [id_ for id_, _ in bm25[:TOP]])
