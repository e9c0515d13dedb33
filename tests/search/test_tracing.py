"""Spans of a search, recorded by OpenTelemetry's own SDK."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from recorded_spans import identity, parent, recording

from thought1.index import Index
from thought1.search.options import SearchOptions
from thought1.testing import FakeModel
from thought1.types import Document, Thought1Error

SECRET = "crack"


@pytest.fixture
def recorded() -> Iterator[InMemorySpanExporter]:
    with recording() as exporter:
        yield exporter


@pytest.fixture
def index(tmp_path: Path) -> Index:
    found = Index.create(tmp_path / "facts.index", FakeModel())
    found.add([Document("ice", f"Ice may {SECRET}."), Document("bread", "Bread rises.")])
    return found


def test_a_search_and_its_steps(index: Index, recorded: InMemorySpanExporter) -> None:
    _, receipt = index.search_many([f"why ice {SECRET}s"], SearchOptions(k=1, think=4))
    spans = recorded.get_finished_spans()
    (search,) = [span for span in spans if span.name == "t1.search"]
    assert parent(search) is None
    steps = [span.name for span in spans if parent(span) == identity(search)]
    assert steps == [f"t1.{step}" for step in receipt.milliseconds]
    assert search.attributes is not None
    assert dict(search.attributes) == {
        "t1.queries": 1,
        "t1.mode": "hybrid",
        "t1.k": 1,
        "t1.thought_tokens": receipt.thought_tokens,
        "t1.left_out": 0,
    }
    assert not any(SECRET in span.to_json() for span in spans)


def test_a_step_that_fails(index: Index, recorded: InMemorySpanExporter) -> None:
    with pytest.raises(Thought1Error):
        index.search_many(["ice"], SearchOptions(where={"year": {"gte": []}}))
    failed = {
        span.name
        for span in recorded.get_finished_spans()
        if span.status.status_code is StatusCode.ERROR
    }
    assert "t1.search" in failed and len(failed) == 2


def test_no_error_brings_a_question_into_a_span(
    index: Index, recorded: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise Thought1Error(f"not valid: {SECRET}")

    monkeypatch.setattr(FakeModel, "think", fail)
    with pytest.raises(Thought1Error):
        index.search_many([SECRET], SearchOptions(think=4))
    spans = recorded.get_finished_spans()
    assert any(span.status.description == "Thought1Error" for span in spans)
    assert not any(SECRET in span.to_json() for span in spans)


def test_it_is_not_loaded_for_nothing() -> None:
    code = (
        "import sys; from thought1.search.tracing import span\n"
        "with span('search', {}) as later: later['k'] = 1\n"
        "assert 'opentelemetry.trace' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
