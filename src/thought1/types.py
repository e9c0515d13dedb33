"""What travels between the parts of Thought 1, and the contracts of the parts one can exchange.

Read this first. It holds plain data and Protocols only: it knows neither torch, nor a model,
nor a store, nor a file format.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""Float32 array of shape (n, d), rows L2-normalised."""

MetadataValue = str | int | float | bool
Metadata = Mapping[str, MetadataValue]

Run = dict[str, dict[str, float]]
"""query id -> document id -> score (higher is better)."""

Qrels = dict[str, dict[str, int]]
"""query id -> document id -> relevance grade (0 = judged not relevant)."""

FinishReason = Literal["emb_token", "eos", "budget", "settled", "edited", "none"]
"""How a thought ended: the model sampled `<emb_token>`; it sampled an end-of-text token; its
budget was spent; it was ended because its vector had settled (in these three cases `<emb_token>`
was forced); a person wrote it; or no thought was asked for (budget 0)."""


class Thought1Error(Exception):
    """An error of the user's input or set-up: its message says what is wrong and what to do.

    The command line prints the message and exits with code 2; a server answers 4xx.
    """


class IndexUnavailable(Thought1Error):
    """The index itself cannot be read or written: its folder is gone or damaged, the disk is full,
    or other writers leave no gap.

    Its message names the folder, so a server logs it and answers 503 without it.
    """


@dataclass(frozen=True, slots=True)
class Document:
    """One retrievable text. `metadata` can be filtered on at search time."""

    id: str
    text: str
    title: str = ""
    metadata: Metadata = field(default_factory=dict)

    @property
    def full_text(self) -> str:
        """What a model reads: title and text on two lines, or the text alone."""
        return f"{self.title}\n{self.text}" if self.title else self.text


@dataclass(frozen=True, slots=True)
class Query:
    """One question with its id in a collection."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a budget of `budget` tokens would have given, read on the way through a longer thought.

    A thought that ended earlier has its final vector here.
    """

    budget: int
    vector: Vectors
    """Shape (d,), L2-normalised."""
    seconds: float
    """Wall time of the whole batch from its start to this vector, without the snapshots before."""


@dataclass(frozen=True, slots=True)
class Thought:
    """A reasoning trajectory. Token ids are the truth; `text` is their decoding, to be shown."""

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    vector: Vectors | None = field(default=None, compare=False, repr=False)
    """The query vector behind this thought, shape (d,), where the engine computed it."""
    checkpoints: tuple[Snapshot, ...] = field(default=(), compare=False, repr=False)
    """The query vector behind its first tokens, by rising budget, where checkpoints were asked
    for."""

    @property
    def forced(self) -> bool:
        """True where `<emb_token>` was put after the thought instead of sampled by the model."""
        return self.finish_reason in ("eos", "budget", "settled")

    @property
    def written(self) -> int:
        """Tokens that the model has written: none where a person wrote the thought."""
        return 0 if self.finish_reason == "edited" else len(self.token_ids)

    def to_json(self) -> dict[str, Any]:
        """JSON data to be shown; `tokens` is their number."""
        return {
            "text": self.text,
            "tokens": len(self.token_ids),
            "finish_reason": self.finish_reason,
        }


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result; `rank` counts from 1."""

    id: str
    score: float
    rank: int
    text: str = ""
    title: str = ""
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one search cost, summed over its queries."""

    queries: int
    prompt_tokens: int
    thought_tokens: int
    forced: int
    milliseconds: Mapping[str, float]
    """Wall time by step: "think" (generation and vector), "dense", "bm25", "fuse", "fetch"; of
    several thoughts "confidence", and "fall-back" where it is asked for; where the model read
    before it thought, "first-" of the search before that, and "read"; where there
    are checkpoints, "stages"; where a gate decides, "gate"."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a search with a smaller budget would have found."""

    budget: int
    """Most tokens of the thought."""
    milliseconds: float
    """Wall time from the start of the thought's batch to the vector; finding is not in it."""
    ranking: tuple[tuple[str, float], ...]
    """(document id, score) of its hits, best first."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer to one query: hits, best first, and the thought that led there (if any)."""

    query: str
    hits: tuple[Hit, ...]
    thought: Thought | None = None
    others: tuple[Thought, ...] = ()
    """Of several sampled thoughts all but the first, or but the one that was chosen."""
    evidence: tuple[str, ...] = ()
    """Ids of the documents that the model read before it thought."""
    confidence: float | None = None
    """Of several thoughts: the mean cosine of two of their vectors, 1 where all agree."""
    fell_back: bool = False
    """Whether that was too low, so that the hits are those of mode hybrid."""
    stages: tuple[Stage, ...] = ()
    """By rising budget, where checkpoints were asked for."""

    @property
    def thoughts(self) -> tuple[Thought, ...]:
        """All of them."""
        return () if self.thought is None else (self.thought, *self.others)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How thoughts are sampled. Temperature 0 is greedy.

    `seed` and the prompt alone determine a row's random numbers, so that a thought does not
    depend on the other rows of its batch.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    no_repeat_ngram: int = 0
    """No sequence of so many tokens appears twice in a thought; 0 allows it."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What an engine returns for one prompt; `token_ids` excludes `<emb_token>`."""

    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    vector: Vectors
    """Shape (d,): last hidden state at `<emb_token>`, L2-normalised."""
    logprobs: tuple[float, ...] = ()
    """Log-probability, in nats, of each token that was sampled, under the distribution it was
    sampled from; a sampled `<emb_token>` is the last one, a forced one has none. Greedy thoughts
    have none at all."""
    snapshots: tuple[Snapshot, ...] = ()
    """By rising budget, where they were asked for."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of a running batch brought.

    Rows are numbered prompt by prompt, and copy by copy within a prompt.
    """

    tokens: Mapping[int, int]
    """Row -> the token its thought has just got; `<emb_token>` belongs to no thought."""
    snapshots: Mapping[int, Snapshot]
    """Row -> the vector that was read aside, of rows that think on."""
    finished: Mapping[int, Generation]
    """Row -> all of its thought, and its vector; the snapshots stand in earlier steps."""
    seconds: float
    """Wall time of the batch from its start, or since the oldest of its rows joined, without what
    was read aside."""


Until = Callable[[int, Mapping[int, Vectors]], Collection[int]]
"""Called at each checkpoint with its number of tokens, and the vector (d,) behind so much of each
thought that goes on. Thoughts are numbered as in the answer: query by query, and sample by sample
within a query. Returns those that end there."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Checkpoints at which thoughts may end, as "settled"."""

    tokens: Sequence[int]
    until: Until


Checkpoints = Sequence[int] | Watched
"""Numbers of tokens at which the vectors behind so much of a thought are read."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A document with its vector (d,) and the hash of what was encoded."""

    document: Document
    vector: Vectors
    content_hash: str


Ranking = list[tuple[str, float]]
"""(document id, score) pairs, best first."""

Filter = Mapping[str, Any]
"""Metadata conditions, all of which must hold: `{"lang": "en", "year": {"gte": 1990}}`.
Operators: eq, ne, gt, gte, lt, lte, in, nin (none of these). ne and nin hold where the field is
there with another value. gt, gte, lt and lte with a number also read numbers in text, and the
year of an ISO 8601 date; with such a date they compare dates."""
