"""Vectors from any server that speaks OpenAI's embeddings protocol.

POST URL/v1/embeddings with {"model", "input": [texts], "encoding_format": "base64"}; the answer's
"data" holds for each text its "index" and its "embedding", as base64 of little-endian float32 or
as a list of numbers, whichever the server prefers (platform.openai.com/docs/api-reference). Knows
neither documents nor queries.
"""

import base64
import binascii
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from thought1.types import Thought1Error, Vectors

KEY = "OPENAI_API_KEY"
"""The environment variable whose content, if any, is sent as the bearer token."""

BATCH = 128
"""Texts in one request."""

TIMEOUT = 120.0
"""Seconds for one answer."""

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each new attempt where the server is busy (429), broken (5xx) or not reached."""


@dataclass(slots=True)
class OpenAIServer:
    """A model on a server. `embed` may be called any number of times."""

    url: str
    """Up to and without /v1/embeddings; a final /v1 is accepted."""
    model: str
    waits: Sequence[float] = WAITS
    timeout: float = TIMEOUT
    tokens: int = field(default=0, init=False)
    """Tokens that the server has counted so far; 0 where it counts none."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, d), L2-normalised float32.

        Raises:
            Thought1Error: the server is not reached, refuses, or answers something else.
        """
        parts = [self._embed(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
        if len({part.shape[1] for part in parts}) > 1:
            raise Thought1Error(f"{self._endpoint()} answers with vectors of several lengths")
        return np.concatenate(parts)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        answer = self._post(
            {
                "model": self.model,
                # No server embeds nothing; a blank is as near as it gets.
                "input": [text or " " for text in texts],
                "encoding_format": "base64",
            }
        )
        try:
            rows = sorted(answer["data"], key=lambda row: row["index"])
            vectors = np.array([_vector(row["embedding"]) for row in rows], dtype=np.float32)
            self.tokens += int((answer.get("usage") or {}).get("prompt_tokens", 0))
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise self._strange(f"{type(error).__name__}: {error}") from error
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise self._strange(f"{len(rows)} rows for {len(texts)} texts, or no numbers in them")
        norms_N1 = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = (vectors / np.maximum(norms_N1, 1e-12)).astype(np.float32)
        return unit

    def _post(self, content: dict[str, Any]) -> Any:
        """The answer's JSON; tries again where waiting may help."""
        import httpx2  # comes with huggingface-hub

        problem = ""
        for wait in (*self.waits, None):
            try:
                response = httpx2.post(
                    self._endpoint(), json=content, headers=_headers(), timeout=self.timeout
                )
            except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
                raise Thought1Error(f"{self.url!r} is no address of a server: {error}") from error
            except httpx2.TransportError as error:
                problem = f"cannot be reached ({type(error).__name__}: {error})"
            else:
                if response.is_success:
                    return self._json(response)
                problem = f"answers {response.status_code}: {response.text[:300].strip()}"
                if response.status_code != 429 and response.status_code < 500:
                    break
            if wait is not None:
                time.sleep(wait)
        hint = f" (set {KEY})" if problem.startswith("answers 401") else ""
        raise Thought1Error(f"{self._endpoint()} {problem}{hint}")

    def _json(self, response: Any) -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise self._strange(str(error)) from error

    def _endpoint(self) -> str:
        return f"{self.url.rstrip('/').removesuffix('/v1')}/v1/embeddings"

    def _strange(self, why: str) -> Thought1Error:
        return Thought1Error(
            f"{self._endpoint()} does not answer as an OpenAI-compatible embedding server ({why})"
        )


def _headers() -> dict[str, str]:
    key = os.environ.get(KEY)
    return {"Authorization": f"Bearer {key}"} if key else {}


def _vector(embedding: Any) -> Any:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    return embedding
