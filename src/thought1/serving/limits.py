"""How much one request may ask for, and how much a server does at a time. Plain numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a server; what goes beyond one is refused with its name and number."""

    body: int = 10_000_000
    """Bytes of a request."""
    texts: int = 256
    """Questions, or texts to embed or rerank, of one request."""
    documents: int = 1000
    """Documents that one request adds or removes."""
    characters: int = 100_000
    """Of one text."""
    k: int = 1000
    """Hits of a question."""
    offset: int = 10_000
    """Hits that are left out at the start."""
    conditions: int = 500
    """Values that a filter compares with."""
    think: int = 512
    """Tokens of a thought."""
    samples: int = 16
    """Thoughts on a question."""
    evidence: int = 20
    """Documents that are read before thinking."""
    rounds: int = 5
    """Rounds of reading and thinking."""
    rerank: int = 100
    """Documents of a question that are reranked."""
    requests: int = 128
    """Requests that ask the model at a time, those that wait included; beyond it: 429."""
    writes: int = 16
    """Requests that add or remove documents at a time; beyond it: 429."""
    seconds: float = 120.0
    """How long a request may take; beyond it: 504."""
