"""What the steps of a search share: what has been found so far, and what thinks about queries.

Knows no step.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from thought1.types import (
    Checkpoints,
    Document,
    Explanation,
    LeftOut,
    Ranking,
    Round,
    Sampling,
    Stage,
    Thought,
    Vectors,
)


class Thinker(Protocol):
    """The query side of a model."""

    @property
    def greedy(self) -> Sampling:
        """Always the likeliest token, with the model's own repetition control."""

    @property
    def sampled(self) -> Sampling:
        """How several thoughts on one query are sampled by default."""

    def think(
        self,
        queries: Sequence[str],
        *,
        budget: int | None = None,
        sampling: Sampling | None = None,
        samples: int = 1,
        evidence: Sequence[Sequence[str]] | None = None,
        checkpoints: Checkpoints = (),
    ) -> list[Thought]:
        """A thought with its vector (d,) for each query.

        At most `budget` tokens each; None is the model's own budget. At 0 nothing is thought:
        the thought is empty, ends with "none", and the vector is the bare query's. `sampling`
        None is the model's own. With several `samples`, those of a query follow each other.
        `evidence`: for each query texts that are read first. `checkpoints`: numbers of tokens at
        which the vector is read too (`Thought.checkpoints`); the largest is the budget where none
        is named. `Watched` ones end thoughts.

        Raises:
            Thought1Error: it cannot think, several thoughts are to have 0 tokens, or a checkpoint
                lies beyond the budget.
        """

    def read_thoughts(
        self,
        queries: Sequence[str],
        thoughts: Sequence[str],
        *,
        evidence: Sequence[Sequence[str]] | None = None,
    ) -> list[Thought]:
        """Texts from elsewhere, one for each query, as thoughts with their vectors
        (d,). Nothing is generated; an empty text gives the bare query's vector.

        Raises:
            Thought1Error: it reads no thoughts.
        """

    def check_evidence(self, budget: int | None = None) -> None:
        """Raises Thought1Error where it cannot read evidence and think under `budget`."""

    def fit_evidence(
        self, queries: Sequence[str], evidence: Sequence[Sequence[str]]
    ) -> list[list[str]]:
        """As much of each query's texts, from the first one on, as can be read."""

    def count_prompt_tokens(
        self, queries: Sequence[str], *, evidence: Sequence[Sequence[str]] | None = None
    ) -> int:
        """Tokens of the prompts of these queries together."""


@runtime_checkable
class IndexModel(Thinker, Protocol):
    """What an index needs of a model; `T1` is one."""

    @property
    def dim(self) -> int:
        """Dimension d of the vectors."""

    @property
    def name(self) -> str:
        """The folder or hub id it was loaded from."""

    def identities(self, index_format: int, created: str) -> Sequence[Mapping[str, str | int]]:
        """What decides a document's vector, by name, as an index made at that time may hold it.

        First as it is today; what follows differs in nothing but the date in a chat template.
        """

    def encode_document_stream(
        self, documents: Iterable[Document]
    ) -> Iterator[tuple[list[Document], Vectors]]:
        """Chunks of the documents, in their order, with their vectors (n, d)."""


@dataclass(slots=True)
class Found:
    """What a search knows so far, query by query."""

    queries: Sequence[str]
    thoughts: Sequence[Sequence[Thought]]
    """Those of each query; none before thinking, or without it."""
    read: Sequence[Sequence[str]] = ()
    """Ids of the documents that each query's evidence is of; empty where none was read."""
    evidence: list[list[str]] | None = None
    prompt_tokens: int = 0
    thought_tokens: int = 0
    forced: int = 0
    dense: list[Ranking] | None = None
    bm25: list[Ranking] | None = None
    certain: Sequence[bool] = ()
    """Whether each query goes without a thought; empty where no gate has looked."""
    rankings: list[Ranking] = field(default_factory=list)
    """One per query: the answer."""
    rounds: Sequence[Sequence[Round]] = ()
    """One per query: what was read and thought in each round, where there are several."""
    stages: Sequence[Sequence[Stage]] = ()
    """One per query: what smaller budgets would have answered."""
    documents: Mapping[str, Document] = field(default_factory=dict)
    confidence: list[float] | None = None
    """How alike each query's thoughts are, where there are several (`several.confidence`)."""
    explanations: Sequence[Mapping[str, Explanation]] = ()
    """One mapping per query, from the ids of its hits."""
    members: Sequence[Mapping[str, Ranking]] = ()
    """One mapping per query, where passages are grouped: from the id of a group's best passage to
    its best passages."""
    neighbours: Mapping[str, tuple[tuple[Document, ...], tuple[Document, ...]]] = field(
        default_factory=dict
    )
    """By the id of a hit: the passages before and after it."""
    fell_back: frozenset[int] = frozenset()
    """Places of the queries whose thoughts agreed too little, so that words counted as well."""

    cached: int = 0
    rerank_calls: int = 0
    rerank_tokens: int = 0
    left_out: dict[int, LeftOut] = field(default_factory=dict)
    """Index of a query -> what could not be done for it."""

    def count(self, thoughts: Sequence[Thought]) -> None:
        """Add what some thoughts have cost."""
        new = [thought for thought in thoughts if not thought.cached]
        self.thought_tokens += sum(len(thought.token_ids) for thought in new)
        self.forced += sum(thought.forced for thought in new)
        self.cached += len(thoughts) - len(new)


class SearchStep(Protocol):
    """One step of a search."""

    @property
    def name(self) -> str:
        """Under which the receipt states its time."""

    def __call__(self, found: Found) -> None:
        """Add to what has been found."""
