"""Vectors from any server that speaks OpenAI's embeddings protocol, through the `openai` client.

POST URL/v1/embeddings with {"model", "input": [texts], "encoding_format": "base64"}; the answer's
"data" holds for each text its "index" and its "embedding", as base64 of little-endian float32 or
as a list of numbers, whichever the server prefers (platform.openai.com/docs/api-reference). Knows
no rankings.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from thought1.evaluation.systems.base import (
    SystemFacts,
    SystemOptions,
    revision_of,
    unknown_system,
)
from thought1.evaluation.systems.dense import DenseSystem, EmbedderEncoder
from thought1.openai_client import Endpoint
from thought1.types import Thought1Error, Vectors

BATCH = 128
"""Texts in one request."""

TIMEOUT = 120.0
"""Seconds for one answer."""

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each new attempt where the server is busy (429), broken (5xx) or not reached."""


@dataclass
class OpenAIServer:
    """A model on a server. `embed` may be called any number of times."""

    url: str
    """Up to and without /v1/embeddings; a final /v1 is accepted."""
    model: str
    waits: Sequence[float] = WAITS
    timeout: float = TIMEOUT
    tokens: int = field(default=0, init=False)
    """Tokens that the server has counted so far; 0 if it counts none."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, d), L2-normalised float32.

        Raises:
            Thought1Error: the server is not reached, refuses, or answers something else.
        """
        parts = [self._embed(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
        if len({part.shape[1] for part in parts}) > 1:
            raise Thought1Error(f"{self._endpoint.address} answers with vectors of several lengths")
        return np.concatenate(parts)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """As `embed`: the protocol knows no sides, and a server adds its own prompts or none."""
        return self.embed(texts)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """As `embed`."""
        return self.embed(texts)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        # No server embeds nothing; a blank is as near as it gets.
        answer = self._ask([text or " " for text in texts])
        try:
            rows = sorted(answer["data"], key=lambda row: row["index"])
            vectors = np.array([_vector(row["embedding"]) for row in rows], dtype=np.float32)
            self.tokens += int((answer.get("usage") or {}).get("prompt_tokens", 0))
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise self._endpoint.strange(f"{type(error).__name__}: {error}") from error
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise self._endpoint.strange(
                f"{len(rows)} rows for {len(texts)} texts, or no numbers in them"
            )
        norms_N1 = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = (vectors / np.maximum(norms_N1, 1e-12)).astype(np.float32)
        return unit

    def _ask(self, texts: list[str]) -> Any:
        """The answer's JSON as it came."""
        return self._endpoint.ask(
            lambda client, headers: client.embeddings.with_raw_response.create(
                input=texts, model=self.model, encoding_format="base64", extra_headers=headers
            )
        )

    @cached_property
    def _endpoint(self) -> Endpoint:
        return Endpoint(self.url, "embeddings", "embedding", self.waits, self.timeout)


def open_server(spec: str, options: SystemOptions) -> DenseSystem:
    """The model named by `openai:URL#MODEL`, as a system; no request is sent yet.

    Raises:
        Thought1Error: the name has another form.
    """
    kind, _, rest = spec.partition(":")
    url, _, model = rest.partition("#")
    if not url or not model:
        raise unknown_system(spec)
    # Which model serves the address, now or later, cannot be known.
    facts = SystemFacts(model, kind, revision_of(None), model=model)
    return DenseSystem(facts, EmbedderEncoder(OpenAIServer(url, model)))


def _vector(embedding: Any) -> Any:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    return embedding
