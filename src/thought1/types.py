"""The plain data that the parts of Thought 1 exchange.

Read this first; the Protocols of exchangeable parts are in `contracts`. It knows neither torch, nor
a model, nor a store, nor a file format.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from thought1.moved import moved_names

if not TYPE_CHECKING:  # a type checker would take any name for one of this module's
    __getattr__ = moved_names(__name__)

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
was forced); it was written elsewhere, by a person or another model ("edited"); or no thought was
requested (budget 0)."""


class Thought1Error(Exception):
    """An error in the user's input or setup: its message says what is wrong and what to do.

    The command line prints the message and exits with code 2; a server answers 4xx.
    """


class IndexUnavailable(Thought1Error):
    """The index itself cannot be read or written: its folder is gone or damaged, the disk is full,
    or other writers leave no gap.

    Its message names the folder, so a server logs it and answers 503 without it.
    """


class DiskFull(IndexUnavailable):
    """Nothing more can be written into the index, for want of space; what it holds can be searched.

    A server answers 507.
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
    """The result of a budget of `budget` tokens, read in the course of a longer thought.

    If the thought ended earlier, this is its final vector.
    """

    budget: int
    vector: Vectors
    """Shape (d,), L2-normalised."""
    seconds: float
    """Wall time of the batch from its start to this vector, without earlier snapshots."""


@dataclass(frozen=True, slots=True)
class Thought:
    """A reasoning trajectory. Token ids are authoritative; `text` is their decoding."""

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    vector: Vectors | None = field(default=None, compare=False, repr=False)
    """The query vector after this thought, shape (d,), if the engine computed it."""
    checkpoints: tuple[Snapshot, ...] = field(default=(), compare=False, repr=False)
    """The query vector after its first tokens, by ascending budget, if checkpoints were
    requested."""
    cached: bool = field(default=False, compare=False, repr=False)
    """Whether it was thought before and stored (`search.thought_cache`)."""

    @property
    def forced(self) -> bool:
        """True if `<emb_token>` was appended to the thought instead of sampled by the model."""
        return self.finish_reason in ("eos", "budget", "settled")

    @property
    def written(self) -> int:
        """Number of tokens that the model wrote: 0 if a person wrote the thought."""
        return 0 if self.finish_reason == "edited" else len(self.token_ids)

    def to_json(self) -> dict[str, Any]:
        """JSON data for display; `tokens` is the number of tokens."""
        return {
            "text": self.text,
            "tokens": len(self.token_ids),
            "finish_reason": self.finish_reason,
        }


@dataclass(frozen=True, slots=True)
class ThoughtPart:
    """One part of a thought, and what it does for one hit."""

    text: str
    effect: float
    """The hit's cosine behind the whole thought, minus that behind the thought without this
    part."""


@dataclass(frozen=True, slots=True)
class Highlight:
    """The sentence of a document that is nearest to the query's vector."""

    start: int
    """Offset of its first character in the document's text."""
    end: int
    """Offset after its last character."""
    score: float
    """Cosine."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a document was found."""

    parts: tuple[ThoughtPart, ...] = ()
    """Of the thought, in their order; empty where nothing was thought."""
    highlight: Highlight | None = None
    """None where no model searched, or the document has no words."""
    words: tuple[tuple[str, float], ...] = ()
    """Words of the query that the document has, with the BM25 score that each adds, largest
    first."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result; `rank` counts from 1."""

    id: str
    score: float
    rank: int
    text: str = ""
    title: str = ""
    metadata: Metadata = field(default_factory=dict)
    explanation: Explanation | None = None
    """Where it was requested."""
    passages: tuple[tuple[str, float], ...] = ()
    """Where passages are grouped: (id, score) of those that gave this document its score, best
    first; the hit shows the first one."""
    before: tuple[Document, ...] = ()
    """The passages before this one in its text, where they were requested."""
    after: tuple[Document, ...] = ()
    """Those after it."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The cost of one search, summed over its queries."""

    queries: int
    prompt_tokens: int
    thought_tokens: int
    forced: int
    milliseconds: Mapping[str, float]
    """Wall time by step: "think" (generation and vector), "dense", "bm25", "fuse", "fetch"; with
    several thoughts "confidence", and "fall-back" if it is enabled; with evidence, the same with
    the prefix "first-" for the first search, and "read"; with checkpoints, "stages"; with a gate,
    "gate"; with given texts as thoughts, "embed"; with a reranker, "rerank"; with grouped
    passages, "group"; with neighbours, "neighbours"; with explanations, "explain"."""
    rerank_calls: int = 0
    """Requests to a server, or forward passes."""
    rerank_tokens: int = 0
    """Tokens that a reranker read and wrote, by its own count."""
    cached: int = 0
    """Thoughts read from the cache; `thought_tokens` and `forced` do not count them."""
    left_out: int = 0
    """Queries that were answered without a requested step (`SearchResult.left_out`)."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a search with a smaller budget would have found."""

    budget: int
    """Maximum number of tokens of the thought."""
    milliseconds: float
    """Wall time from the start of the thought's batch to the vector, excluding retrieval."""
    ranking: tuple[tuple[str, float], ...]
    """(document id, score) of its hits, best first."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A step of a thought, and what a search with it found."""

    text: str
    documents: tuple[str, ...]
    """Ids of the first ones."""


@dataclass(frozen=True, slots=True)
class Round:
    """One of several rounds of reading and thinking."""

    evidence: tuple[str, ...]
    """Ids of the documents that were read."""
    thought: str
    hops: tuple[Hop, ...]
    """One for each step of the thought; empty where it was the last and was not followed."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A step that could not be done, so that the answer is the one without it."""

    step: str
    """Its name in the receipt, such as "rerank"."""
    reason: str
    """For who runs the search: it may name a server."""


@dataclass(frozen=True, slots=True)
class Reranked:
    """What a reranker thinks of some documents."""

    scores: tuple[float, ...]
    """One for each document, of any scale; the higher, the better."""
    calls: int = 1
    """Requests to a server, or forward passes."""
    tokens: int = 0
    """Read and written."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result for one query: hits, best first, and the thought that led to them, if any."""

    query: str
    hits: tuple[Hit, ...]
    thought: Thought | None = None
    others: tuple[Thought, ...] = ()
    """With several sampled thoughts: all but the first, or all but the chosen one."""
    evidence: tuple[str, ...] = ()
    """Ids of the documents that the model read before it thought, in the last round."""
    rounds: tuple[Round, ...] = ()
    """In their order, if there were to be several."""
    confidence: float | None = None
    """With several thoughts: the mean cosine between pairs of their vectors; 1 if all agree."""
    fell_back: bool = False
    """Whether the confidence was too low, so that the hits are those of mode hybrid."""
    stages: tuple[Stage, ...] = ()
    """By ascending budget, if checkpoints were requested."""
    left_out: tuple[LeftOut, ...] = ()
    """What was requested and could not be done."""

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
    """No n-gram of this many tokens appears twice in a thought; 0 allows repetition."""


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
    """By ascending budget, if requested."""


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one step of a running batch.

    Rows are numbered prompt by prompt, and copy by copy within a prompt.
    """

    tokens: Mapping[int, int]
    """Row -> the token its thought has just got; `<emb_token>` belongs to no thought."""
    snapshots: Mapping[int, Snapshot]
    """Row -> the intermediate vector of a row that continues."""
    finished: Mapping[int, Generation]
    """Row -> its complete thought and vector; the snapshots are in earlier steps."""
    seconds: float
    """Wall time of the batch from its start, or since the oldest of its rows joined, excluding
    intermediate vectors."""


Until = Callable[[int, Mapping[int, Vectors]], Collection[int]]
"""Called at each checkpoint with its number of tokens, and the vector (d,) at that point of each
thought that continues. Thoughts are numbered as in the result: query by query, and sample by sample
within a query. Returns those that end there."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Checkpoints at which thoughts may end, as "settled"."""

    tokens: Sequence[int]
    until: Until


Checkpoints = Sequence[int] | Watched
"""Numbers of tokens at which the intermediate vectors of a thought are read."""


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
Operators: eq, ne, gt, gte, lt, lte, in, nin (none of these). ne and nin hold where the field
exists with another value. gt, gte, lt and lte with a number also read numbers in text, and the
year of an ISO 8601 date; with such a date they compare dates."""
