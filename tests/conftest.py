"""What every test stands on: one thread per process, no network, and the shared data if present."""

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Before torch is first imported, and inherited by the processes that tests start. Several OpenMP
# threads on busy cores are many times slower than one, so only `make test-numerics` asks for two.
os.environ["OMP_NUM_THREADS"] = os.environ.get("THOUGHT1_TEST_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.pop("T1_MODEL", None)
os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "false"  # read when it is first imported
os.environ["LANGSMITH_TRACING"] = "false"

# What is read from GGUF files is kept for one run, and its processes share it.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["T1_MODEL_CACHE"] = tempfile.mkdtemp(prefix="thought1-models-")
    atexit.register(shutil.rmtree, os.environ["T1_MODEL_CACHE"], ignore_errors=True)

# The time of an example depends on the machine's load; a wrong result does not.
settings.register_profile("thought1", deadline=None)
settings.load_profile("thought1")

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Arguments of a browser that asks the network for nothing of its own."""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the public data sets; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("THOUGHT1_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}; set THOUGHT1_DATA to the folder that holds them")
    return folder


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A real one; tests that need it are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser on this machine: none of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=program, args=QUIET)
        yield launched
        launched.close()


def pytest_collection_finish() -> None:
    """What is imported stays: a collection of garbage need not look through all of torch again."""
    gc.freeze()
