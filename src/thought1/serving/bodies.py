"""The request bodies of questions and searches, field by field.

Data alone; `SearchOptions` says what its fields mean. Responses are in `answers`, field
names that clients of other servers know in `embedding_bodies`.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator
from pydantic_core import PydanticCustomError

from thought1.search.adaptive import CHECKPOINTS, Adaptive, Gate, Signal
from thought1.search.fuse import RANK_CONSTANT
from thought1.search.options import (
    MAX_NEIGHBOURS,
    Combination,
    FusedBy,
    Fusion,
    Mode,
    SearchOptions,
)
from thought1.types import Sampling, Thought1Error

Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Body(BaseModel):
    """A request: of exact types, without unknown fields, in valid Unicode."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _unicode(cls, value: Any) -> Any:
        """JSON may hold half a character ("\\ud800"), which no tokenizer and no store takes."""
        if not _is_unicode(value):
            raise PydanticCustomError("unicode", "Text must be valid Unicode")
        return value


def _is_unicode(value: Any) -> bool:
    """Whether all text in a value of JSON is; without recursion, however deep it is nested."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            try:
                one.encode()
            except UnicodeEncodeError:
                return False
        elif isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
    return True


class SamplingIn(Body):
    """How thoughts are sampled; what is left out is the model's own for this kind of search."""

    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    no_repeat_ngram: Annotated[int, Field(ge=0, le=1000)] | None = None

    def over(self, own: Sampling) -> Sampling:
        """With what is left out taken from `own`.

        Raises:
            Thought1Error: top_p or seed are given where nothing is sampled.
        """
        temperature = own.temperature if self.temperature is None else self.temperature
        if temperature == 0 and (self.top_p is not None or self.seed is not None):
            raise Thought1Error("top_p and seed need a temperature above 0")
        return Sampling(
            temperature,
            own.top_p if self.top_p is None else self.top_p,
            own.seed if self.seed is None else self.seed,
            own.no_repeat_ngram if self.no_repeat_ngram is None else self.no_repeat_ngram,
        )


class FusionIn(Body):
    """How the two rankings of mode hybrid become one."""

    by: FusedBy = "scores"
    rank_constant: Count = RANK_CONSTANT
    dense_weight: Annotated[float, Field(ge=0)] = 1.0
    bm25_weight: Annotated[float, Field(ge=0)] = 1.0


class GateIn(Body):
    """Thinks about a question only where the bare one's result is uncertain."""

    signal: Signal
    below: float


class AdaptiveIn(Body):
    """How much a search thinks about each question; see `search.adaptive.Adaptive`."""

    checkpoints: Annotated[list[Count], Field(min_length=2, max_length=64)] | None = None
    cosine: float | None = None
    overlap: float | None = None
    gate: GateIn | None = None

    @property
    def rule(self) -> Adaptive:
        """As the library has it.

        Raises:
            Thought1Error: it would change nothing, or a value is out of range.
        """
        gate = None if self.gate is None else Gate(self.gate.signal, self.gate.below)
        tokens = CHECKPOINTS if self.checkpoints is None else tuple(self.checkpoints)
        return Adaptive(tokens, self.cosine, self.overlap, gate)


class Questions(Body):
    """What questions to think about, and how."""

    query: Text | Texts
    """One question or several."""
    think: Count | None = None
    """Most tokens of a thought; null is the model's own budget, 0 is not thinking."""
    sampling: SamplingIn | None = None
    """Null: the likeliest tokens, or for several samples the model's own sampling."""
    samples: Annotated[int, Field(ge=1)] = 1
    """Thoughts on each question."""
    stream: bool = False
    """Answer with server-sent events: thoughts as they are written, then the rest."""

    @property
    def queries(self) -> list[str]:
        """The questions."""
        return [self.query] if isinstance(self.query, str) else self.query


class ThinkRequest(Questions):
    """POST /v1/think."""

    model: Name | None = None
    """One of GET /v1/models; may be left out where there is one only."""
    task: Text | None = None
    """Replaces the model's own instruction."""


class SearchRequest(Questions):
    """POST /v1/search: the fields of `SearchOptions`."""

    index: Name | None = None
    """One of GET /v1/indexes; may be left out where there is one only."""
    k: Annotated[int, Field(ge=1)] = 10
    mode: Mode = "hybrid"
    where: dict[str, JsonValue] | None = None
    """Conditions on metadata: {"lang": "en", "year": {"gte": 1990}}."""
    offset: Count = 0
    fusion: FusionIn | None = None
    evidence: Count = 0
    rounds: Annotated[int, Field(ge=1)] = 1
    """Of reading and thinking, with evidence: the steps of each thought find what is read next."""
    combine: Combination = "mean"
    min_confidence: float | None = None
    checkpoints: Annotated[list[Count], Field(max_length=64)] = Field(default_factory=list)
    adaptive: AdaptiveIn | None = None
    """Ends thoughts early, or leaves them out."""
    group_by: str = ""
    """A metadata field, such as source: one hit for each of its values."""
    group_best: Annotated[int, Field(ge=1)] = 1
    neighbours: Annotated[int, Field(ge=0, le=MAX_NEIGHBOURS)] = 0
    explain: bool = False
    """Say for each hit what each part of the thought did for it, which of its sentences is nearest,
    and what each shared word adds to BM25."""
    rerank: Name | None = None
    """One of the rerankers that GET /v1/indexes names."""
    rerank_depth: Annotated[int, Field(ge=1)] = 50
    rerank_weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    rerank_guided: bool = False
    """Read neighbours of what the reranker has found best so far, not the first documents only."""
    thinker: Name | None = None
    """Who writes the thoughts instead of the model: one that GET /v1/indexes names."""
    thoughts: list[str] | None = None
    """One for each question, written or edited by a person: nothing is thought."""

    def options(self, usual: Sampling) -> SearchOptions:
        """As the library has them.

        Raises:
            Thought1Error: they contradict each other.
        """
        if self.mode == "bm25" and (self.sampling or self.thoughts is not None):
            raise Thought1Error("bm25 does not think: leave sampling and thoughts out")
        if self.mode != "hybrid" and self.fusion:
            raise Thought1Error("fusion weighs the two sides of the mode hybrid")
        if self.thoughts is not None:
            self._check_given(self.thoughts)
        if self.thinker is not None and self.thoughts is not None:
            raise Thought1Error("thoughts are given or written by a thinker, not both")
        fusion = self.fusion or FusionIn()
        return SearchOptions(
            self.k,
            self.mode,
            self.think,
            self.where,
            self.offset,
            sampling=None if self.sampling is None else self.sampling.over(usual),
            fusion=Fusion(**fusion.model_dump()),
            samples=self.samples,
            evidence=self.evidence,
            rounds=self.rounds,
            combine=self.combine,
            min_confidence=self.min_confidence,
            checkpoints=tuple(self.checkpoints),
            adaptive=None if self.adaptive is None else self.adaptive.rule,
            group_by=self.group_by,
            group_best=self.group_best,
            neighbours=self.neighbours,
            explain=self.explain,
            rerank=self.rerank,
            rerank_depth=self.rerank_depth,
            rerank_weight=self.rerank_weight,
            rerank_guided=self.rerank_guided,
        )

    def _check_given(self, thoughts: list[str]) -> None:
        if len(thoughts) != len(self.queries):
            raise Thought1Error(f"{len(self.queries)} questions but {len(thoughts)} thoughts")
        thinking = self.think or self.samples > 1 or self.sampling or self.evidence
        if thinking or self.checkpoints or self.adaptive:
            raise Thought1Error(
                "where thoughts are given nothing is thought: leave think, samples, sampling, "
                "evidence, checkpoints and adaptive out"
            )
