"""What a server counts, for Prometheus. It knows counters and times, no request and no model."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from thought1.types import Receipt

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The counters of one server."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._count_requests(self._registry)
        self._count_models(self._registry)

    def _count_requests(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "t1_requests", "Answers, by route and status", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "t1_request_seconds",
            "Time to the last byte of an answer, by route",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self.errors = Counter(
            "t1_errors",
            "Refusals and failures, by the code sent to clients",
            ["code"],
            registry=registry,
        )
        self.search_steps = Histogram(
            "t1_search_step_seconds",
            "Time of a step of a search, waiting included",
            ["step"],
            buckets=SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "t1_requests_in_flight",
            "Requests in the server that ask a model or write",
            ["kind"],
            registry=registry,
        )
        self.first_token = Histogram(
            "t1_first_token_seconds",
            "Time from a streamed request to its first thought token",
            buckets=SECONDS,
            registry=registry,
        )

    def _count_models(self, registry: CollectorRegistry) -> None:
        self.steps = Histogram(
            "t1_step_seconds",
            "Time of a generation step",
            ["model"],
            buckets=SECONDS,
            registry=registry,
        )
        self.rows = Histogram(
            "t1_batch_rows",
            "Thoughts that shared a generation step",
            ["model"],
            buckets=ROWS,
            registry=registry,
        )
        self.tokens = Counter(
            "t1_thought_tokens", "Tokens of thoughts", ["model"], registry=registry
        )
        self.cached = Counter(
            "t1_cached_thoughts",
            "Thoughts that were kept and not written again",
            ["model"],
            registry=registry,
        )
        self.texts = Counter(
            "t1_embedded_texts",
            "Texts that were read without a thought",
            ["model", "kind"],
            registry=registry,
        )
        self.reading = Counter(
            "t1_embedding_seconds", "Time spent reading them", ["model", "kind"], registry=registry
        )
        self.waiting = Gauge(
            "t1_waiting_texts",
            "Questions that wait for a place in the batch, documents that wait to be read",
            ["model", "kind"],
            registry=registry,
        )

    def searched(self, receipt: Receipt, model: str) -> None:
        """The steps of one search, and its thoughts that were kept."""
        for step, spent in receipt.milliseconds.items():
            self.search_steps.labels(step).observe(spent / 1000)
        self.cached.labels(model).inc(receipt.cached)

    def text(self) -> bytes:
        """All of them as Prometheus reads them."""
        return generate_latest(self._registry)


class ModelMeter:
    """The `batching.Meter` of one model's thread."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._metrics = metrics
        self._model = model

    def step(self, rows: int, tokens: int, seconds: float) -> None:
        """See `batching.Meter`."""
        self._metrics.rows.labels(self._model).observe(rows)
        self._metrics.tokens.labels(self._model).inc(tokens)
        self._metrics.steps.labels(self._model).observe(seconds)

    def embedded(self, kind: str, texts: int, seconds: float) -> None:
        """See `batching.Meter`."""
        self._metrics.texts.labels(self._model, kind).inc(texts)
        self._metrics.reading.labels(self._model, kind).inc(seconds)

    def waiting(self, kind: str, texts: int) -> None:
        """See `batching.Meter`."""
        self._metrics.waiting.labels(self._model, kind).set(texts)
