"""What a search over HTTP says of one hit: the document, what surrounds it, why it was found."""

from pydantic import BaseModel, Field

from thought1.types import Explanation, Hit


class PartOut(BaseModel):
    """A part of the thought."""

    text: str
    effect: float
    """The hit's cosine with the whole thought, minus that without this part."""


class HighlightOut(BaseModel):
    """The sentence nearest to the query."""

    start: int
    end: int
    score: float


class WordOut(BaseModel):
    """A word that query and document share."""

    word: str
    score: float
    """What it adds to BM25."""


class ExplanationOut(BaseModel):
    """Why a document was found."""

    parts: list[PartOut]
    highlight: HighlightOut | None
    words: list[WordOut]

    @classmethod
    def of(cls, found: Explanation) -> "ExplanationOut":
        """An explanation of the library."""
        lit = found.highlight
        return cls(
            parts=[PartOut(text=part.text, effect=part.effect) for part in found.parts],
            highlight=None
            if lit is None
            else HighlightOut(start=lit.start, end=lit.end, score=lit.score),
            words=[WordOut(word=word, score=score) for word, score in found.words],
        )


class ScoredId(BaseModel):
    """A document with its score, without its text."""

    id: str
    score: float


class NeighbourOut(BaseModel):
    """A passage beside the one that was found."""

    id: str
    text: str


class HitOut(BaseModel):
    """A document that was found."""

    rank: int
    id: str
    score: float
    title: str
    text: str
    metadata: dict[str, str | int | float | bool]
    passages: list[ScoredId] = Field(default_factory=list)
    """Where passages are grouped: those that gave the document its score, best first."""
    before: list[NeighbourOut] = Field(default_factory=list)
    after: list[NeighbourOut] = Field(default_factory=list)
    explanation: ExplanationOut | None = None

    @classmethod
    def of(cls, hit: Hit) -> "HitOut":
        """A hit of the library."""
        return cls(
            rank=hit.rank,
            id=hit.id,
            score=hit.score,
            title=hit.title,
            text=hit.text,
            metadata=dict(hit.metadata),
            passages=[ScoredId(id=id_, score=score) for id_, score in hit.passages],
            before=[NeighbourOut(id=one.id, text=one.text) for one in hit.before],
            after=[NeighbourOut(id=one.id, text=one.text) for one in hit.after],
            explanation=None if hit.explanation is None else ExplanationOut.of(hit.explanation),
        )
