"""The answers to questions and searches, field by field, whole and as events of a stream.

Data only, made from the library's results. Requests are in `bodies`.
"""

from typing import Literal

from pydantic import BaseModel

from thought1.serving.hit_bodies import HitOut, ScoredId
from thought1.types import FinishReason, Receipt, Round, SearchResult, Stage, Thought


class ThoughtOut(BaseModel):
    """A thought."""

    text: str
    tokens: int
    finish_reason: FinishReason

    @classmethod
    def of(cls, thought: Thought) -> "ThoughtOut":
        """A thought of the library."""
        return cls(
            text=thought.text,
            tokens=len(thought.token_ids),
            finish_reason=thought.finish_reason,
        )


class StageOut(BaseModel):
    """What a search with a smaller budget would have found."""

    budget: int
    milliseconds: float
    """From the start of the thought to the vector; finding is not in it."""
    hits: list[ScoredId]

    @classmethod
    def of(cls, stage: Stage) -> "StageOut":
        """A stage of the library."""
        return cls(
            budget=stage.budget,
            milliseconds=stage.milliseconds,
            hits=[ScoredId(id=id_, score=score) for id_, score in stage.ranking],
        )


class HopOut(BaseModel):
    """A step of a thought, and what a search with it found."""

    text: str
    documents: list[str]


class RoundOut(BaseModel):
    """One of several rounds of reading and thinking."""

    evidence: list[str]
    """Ids of the documents that were read."""
    thought: str
    hops: list[HopOut]
    """Of each step; empty where it was the last."""

    @classmethod
    def of(cls, one: Round) -> "RoundOut":
        """A round of the library."""
        hops = [HopOut(text=hop.text, documents=list(hop.documents)) for hop in one.hops]
        return cls(evidence=list(one.evidence), thought=one.thought, hops=hops)


class ResultOut(BaseModel):
    """The answer to one question."""

    query: str
    thoughts: list[ThoughtOut]
    """Empty without thinking; of several, the chosen one comes first."""
    confidence: float | None
    """Of several thoughts the mean cosine of two of their vectors."""
    fell_back: bool
    """Whether that was too low, so that words counted as well."""
    evidence: list[str]
    """Ids of the documents that were read before thinking."""
    rounds: list[RoundOut]
    """What was read and thought, if there were to be several rounds."""
    stages: list[StageOut]
    """By ascending budget, if checkpoints were requested."""
    left_out: list[str]
    """Steps that were requested and failed, such as "rerank"; the server's log says why."""
    hits: list[HitOut]

    @classmethod
    def of(cls, result: SearchResult) -> "ResultOut":
        """A result of the library."""
        return cls(
            query=result.query,
            thoughts=[ThoughtOut.of(thought) for thought in result.thoughts],
            confidence=result.confidence,
            fell_back=result.fell_back,
            evidence=list(result.evidence),
            rounds=[RoundOut.of(one) for one in result.rounds],
            stages=[StageOut.of(stage) for stage in result.stages],
            left_out=[one.step for one in result.left_out],
            hits=[HitOut.of(hit) for hit in result.hits],
        )


class ReceiptOut(BaseModel):
    """What the answer cost, over all its questions."""

    queries: int
    prompt_tokens: int
    thought_tokens: int
    forced: int
    milliseconds: dict[str, float]
    """Wall time by step, waiting included."""
    rerank_calls: int
    rerank_tokens: int
    cached: int
    """Thoughts that were kept, and are not counted as written."""
    left_out: int
    """Questions that were answered without a step that failed."""

    @classmethod
    def of(cls, receipt: Receipt) -> "ReceiptOut":
        """A receipt of the library."""
        return cls(
            queries=receipt.queries,
            prompt_tokens=receipt.prompt_tokens,
            thought_tokens=receipt.thought_tokens,
            forced=receipt.forced,
            milliseconds=dict(receipt.milliseconds),
            rerank_calls=receipt.rerank_calls,
            rerank_tokens=receipt.rerank_tokens,
            cached=receipt.cached,
            left_out=receipt.left_out,
        )


class SearchResponse(BaseModel):
    """The answer of POST /v1/search."""

    index: str
    model: str
    results: list[ResultOut]
    receipt: ReceiptOut


class ThoughtsOut(BaseModel):
    """The thoughts about one question."""

    query: str
    thoughts: list[ThoughtOut]


class ThinkResponse(BaseModel):
    """The answer of POST /v1/think."""

    model: str
    results: list[ThoughtsOut]
    receipt: ReceiptOut


class TokenEvent(BaseModel):
    """Server-sent event "thought": a thought has got a token."""

    type: Literal["thought"] = "thought"
    query: int
    """Place of the question in the request."""
    sample: int
    token_id: int
    text: str
    """What the token adds; empty where it is a part of a character."""


class ThoughtEvent(ThoughtOut):
    """Server-sent event "thought_end": a thought is finished; its text is the whole of it."""

    type: Literal["thought_end"] = "thought_end"
    query: int
    sample: int


class HitsEvent(ResultOut):
    """Server-sent event "hits": the answer to one question."""

    type: Literal["hits"] = "hits"
    index: str
    number: int
    """Place of the question in the request."""


class ReceiptEvent(ReceiptOut):
    """Server-sent event "receipt": the last one."""

    type: Literal["receipt"] = "receipt"
    model: str
