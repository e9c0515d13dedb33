"""`t1 serve` as a process of its own, for benchmarks and for tests that load it or kill it."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from thought1.types import Thought1Error

START_SECONDS = 120.0
END_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server that answers."""

    url: str
    process: "subprocess.Popen[str]"
    log: list[str] = field(default_factory=list)
    """Lines on stderr; all of them once the server has ended."""


@contextmanager
def server_process(folder: Path, options: Sequence[str] = ()) -> Iterator[ServerProcess]:
    """`t1 serve` over the index, ready to answer; it is told to end when the block does.

    Raises:
        Thought1Error: it does not start.
    """
    command = [sys.executable, "-m", "thought1.cli", "serve", str(folder), "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=_environment()) as server:
        try:
            log: list[str] = []
            url = _address(server, log)
            # Somebody must read on: a full pipe would stop it.
            reading = threading.Thread(target=_keep, args=(server, log), daemon=True)
            reading.start()
            _wait(url)
            yield ServerProcess(url, server, log)
            server.terminate()
            server.wait(END_SECONDS)
            reading.join()
        finally:
            server.kill()


def _address(server: "subprocess.Popen[str]", log: list[str]) -> str:
    assert server.stderr is not None
    for line in server.stderr:
        log.append(line)
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return found[0]
    raise Thought1Error(f"the server did not start: {''.join(log).strip()}")


def _keep(server: "subprocess.Popen[str]", log: list[str]) -> None:
    assert server.stderr is not None
    log.extend(server.stderr)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def _wait(url: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            if httpx.get(f"{url}/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise Thought1Error(f"the server at {url} is not ready after {START_SECONDS:.0f} seconds")
