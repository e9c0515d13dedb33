"""Why a document was found, as a search over HTTP says it."""

from pydantic import BaseModel

from thought1.types import Explanation


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
