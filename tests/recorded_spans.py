"""What OpenTelemetry's own SDK records in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


@cache
def _provider() -> TracerProvider:
    trace.set_tracer_provider(TracerProvider())  # a process has one
    found = trace.get_tracer_provider()
    assert isinstance(found, TracerProvider)
    return found


@contextmanager
def recording() -> Iterator[InMemorySpanExporter]:
    """Spans that end inside."""
    exporter = InMemorySpanExporter()
    _provider().add_span_processor(SimpleSpanProcessor(exporter))
    try:
        yield exporter
    finally:
        exporter.shutdown()


def parent(span: ReadableSpan) -> int | None:
    """The id of the span around it."""
    return None if span.parent is None else span.parent.span_id


def identity(span: ReadableSpan) -> int:
    """Its own id."""
    assert span.context is not None
    return span.context.span_id
