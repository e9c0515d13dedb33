"""The bodies of embeddings, reranking and documents, as clients of other servers know them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, JsonValue

from thought1.serving.bodies import Body, Count, Name, Text, Texts

# -- embeddings: platform.openai.com/docs/api-reference/embeddings ---------------------------------


class EmbeddingsRequest(Body):
    """POST /v1/embeddings, as OpenAI has it, and three fields of our own."""

    input: Text | Texts
    """Texts; token ids are refused, since they are another tokenizer's."""
    model: Name | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    """The model's own number, or nothing."""
    user: str | None = None
    """Taken, as OpenAI's clients send it, and not looked at."""
    input_type: Literal["query", "document"] = "document"
    """Questions are thought about, documents read once."""
    task: Text | None = None
    """Replaces the model's own instruction for questions."""
    think: Count | None = None
    """Most tokens of a thought about a question; null is the model's own budget."""


class Embedding(BaseModel):
    """One vector, L2-normalised."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str
    """Numbers, or base64 of little-endian float32."""


class Usage(BaseModel):
    """Tokens that were read and written."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(BaseModel):
    """The answer of POST /v1/embeddings."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


# -- reranking: docs.cohere.com/reference/rerank, api.jina.ai/redoc -------------------------------


class RerankDocument(Body):
    """A text to be ranked."""

    text: Text


class RerankRequest(Body):
    """POST /v1/rerank and /v2/rerank, as Cohere and Jina have it, and one field of our own."""

    query: Text
    documents: Annotated[list[Text | RerankDocument], Field(min_length=1)]
    model: Name | None = None
    top_n: Annotated[int, Field(ge=1)] | None = None
    """Only the best so many."""
    return_documents: bool = False
    max_tokens_per_doc: Annotated[int, Field(ge=1)] | None = None
    """Tokens of a document that are read; null is as many as the model reads."""
    think: Count | None = None
    """Most tokens of a thought about the query; null is the model's own budget."""

    @property
    def texts(self) -> list[str]:
        """The documents."""
        return [one if isinstance(one, str) else one.text for one in self.documents]


class RankedText(BaseModel):
    """A document as it was given."""

    text: str


class Ranked(BaseModel):
    """A document's place; the best one first."""

    index: int
    """Place in the request."""
    relevance_score: float
    """Cosine of the query's vector and the document's, from -1 to 1."""
    document: RankedText | None = None


class ApiVersion(BaseModel):
    """Which of Cohere's APIs was spoken."""

    version: str


class RerankMeta(BaseModel):
    """As Cohere has it."""

    api_version: ApiVersion


class RerankResponse(BaseModel):
    """The answer of POST /v1/rerank."""

    id: str
    model: str
    results: list[Ranked]
    meta: RerankMeta
    usage: Usage


# -- documents ------------------------------------------------------------------------------------


class DocumentIn(Body):
    """A document to be stored."""

    id: Annotated[str, Field(min_length=1, max_length=1000)]
    text: str
    title: str = ""
    metadata: dict[str, JsonValue] = Field(default_factory=dict)


class DocumentsRequest(Body):
    """POST /v1/documents."""

    index: Name | None = None
    documents: Annotated[list[DocumentIn], Field(min_length=1)]


class DocumentsResponse(BaseModel):
    """What became of the documents, which are on disk."""

    index: str
    added: int
    replaced: int
    unchanged: int
    documents: int
    """Of the index, now."""


class DeleteResponse(BaseModel):
    """How many documents were there, and are no longer."""

    index: str
    deleted: int
    documents: int
    """Of the index, now."""


class DocumentOut(BaseModel):
    """A stored document."""

    index: str
    id: str
    title: str
    text: str
    metadata: dict[str, str | int | float | bool]


# -- what is there --------------------------------------------------------------------------------


class ModelOut(BaseModel):
    """A model, as OpenAI has it, and what it can do."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """When the server loaded it, in seconds since 1970."""
    owned_by: Literal["thought1"] = "thought1"
    dimensions: int
    think: int
    """Its own budget: most tokens of a thought where a request names none."""


class ModelsResponse(BaseModel):
    """The answer of GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[ModelOut]


class IndexOut(BaseModel):
    """An index."""

    name: str
    model: str
    documents: int
    dimensions: int
    created: str
    """ISO 8601, UTC."""


class IndexesResponse(BaseModel):
    """The answer of GET /v1/indexes."""

    indexes: list[IndexOut]
    rerankers: list[str]
    """Names that a search may give as rerank."""
    thinkers: list[str]
    """Names that a search may give as thinker."""
    writable: bool
    """Whether who asks may add and remove documents."""


class Health(BaseModel):
    """The answer of GET /health and /ready."""

    status: Literal["ok", "degraded"] = "ok"
    problems: list[str] = Field(default_factory=list)
    """What may fail although searches are answered; empty unless degraded."""
