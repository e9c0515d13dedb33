"""Vectors from any server that speaks OpenAI's embeddings protocol, through the `openai` client.

POST URL/v1/embeddings with {"model", "input": [texts], "encoding_format": "base64"}; the answer's
"data" holds for each text its "index" and its "embedding", as base64 of little-endian float32 or
as a list of numbers, whichever the server prefers (platform.openai.com/docs/api-reference). Knows
no rankings.
"""

import base64
import binascii
import os
import time
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
from thought1.types import Thought1Error, Vectors

KEY = "OPENAI_API_KEY"
"""The environment variable whose content, if any, is sent as the bearer token."""

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
            raise Thought1Error(f"{self._endpoint()} answers with vectors of several lengths")
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
            raise self._strange(f"{type(error).__name__}: {error}") from error
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise self._strange(f"{len(rows)} rows for {len(texts)} texts, or no numbers in them")
        norms_N1 = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = (vectors / np.maximum(norms_N1, 1e-12)).astype(np.float32)
        return unit

    def _ask(self, texts: list[str]) -> Any:
        """The answer's JSON as it came; tries again where waiting may help."""
        openai, problem = _library(), ""
        import httpx2  # openai's own

        for wait in (*self.waits, None):
            try:
                response = self._client.embeddings.with_raw_response.create(
                    input=texts,
                    model=self.model,
                    encoding_format="base64",
                    extra_headers=_headers(),
                )
                return response.http_response.json()
            except openai.APIStatusError as error:
                status, text = error.status_code, error.response.text[:300].strip()
                problem = f"answers {status}: {text}" + f" (set {KEY})" * (status == 401)
                if status != 429 and status < 500:
                    break
            except openai.APIConnectionError as error:
                cause = error.__cause__ or error
                if isinstance(cause, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
                    raise self._no_address(cause) from error
                problem = f"cannot be reached ({type(cause).__name__}: {cause})"
            except httpx2.InvalidURL as error:  # before anything is sent
                raise self._no_address(error) from error
            except ValueError as error:
                raise self._strange(str(error)) from error
            if wait is not None:
                time.sleep(wait)
        raise Thought1Error(f"{self._endpoint()} {problem}")

    @cached_property
    def _client(self) -> Any:
        """It neither waits nor decodes for us: docs/evaluation.md promises how both are done."""
        base = self._endpoint().removesuffix("/embeddings")
        # The client insists on a key; `_headers` decides what is sent.
        return _library().OpenAI(base_url=base, api_key="none", timeout=self.timeout, max_retries=0)

    def _no_address(self, why: BaseException) -> Thought1Error:
        return Thought1Error(f"{self.url!r} is not the address of a server: {why}")

    def _endpoint(self) -> str:
        return f"{self.url.rstrip('/').removesuffix('/v1')}/v1/embeddings"

    def _strange(self, why: str) -> Thought1Error:
        return Thought1Error(
            f"{self._endpoint()} does not answer as an OpenAI-compatible embedding server ({why})"
        )


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


def _headers() -> dict[str, Any]:
    """Only the key: the other variables the client reads must not reach a third party."""
    nothing, key = _library().omit, os.environ.get(KEY)
    return {
        "Authorization": f"Bearer {key}" if key else nothing,
        "OpenAI-Organization": nothing,
        "OpenAI-Project": nothing,
    }


def _library() -> Any:
    try:
        import openai
    except ImportError as error:
        raise Thought1Error(
            'embedding servers need the package openai: pip install "thought1[eval]"'
        ) from error
    return openai


def _vector(embedding: Any) -> Any:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    return embedding
