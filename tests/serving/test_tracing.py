"""The spans of a request: those of OpenTelemetry's instrumentation of FastAPI, and ours in them."""

from pathlib import Path

import httpx
import pytest
from live_server import listening, notes_app
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from recorded_spans import identity, parent, recording

from thought1.t1 import T1

TRACE = "1" * 32


@pytest.mark.parametrize("stream", [False, True])
def test_steps_belong_to_the_trace_of_the_client(
    tmp_path: Path, checkpoint: str, stream: bool
) -> None:
    model = T1.from_pretrained(checkpoint)
    app = notes_app(tmp_path / "notes", model)
    FastAPIInstrumentor.instrument_app(app)
    with recording() as exporter, listening(app) as url:
        answer = httpx.post(
            f"{url}/v1/search",
            json={"query": "Why do ice cubes crack?", "think": 4, "stream": stream},
            headers={"traceparent": f"00-{TRACE}-{'2' * 16}-01"},
            timeout=30,
        )
        assert answer.status_code == 200
    spans = [s for s in exporter.get_finished_spans() if f"{s.context.trace_id:x}" == TRACE]
    (request,) = [span for span in spans if span.name == "POST /v1/search"]
    (search,) = [span for span in spans if span.name == "t1.search"]
    assert parent(search) == identity(request)
    steps = {span.name for span in spans if parent(span) == identity(search)}
    assert steps == {"t1.think", "t1.dense", "t1.bm25", "t1.fuse", "t1.fetch"}
