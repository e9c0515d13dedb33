"""Seconds and peak memory of loading a model and of one query, without and with what is kept.

    python benchmarks/load_time.py [--model t1-mini-companion] [--repeats 3] [--json FILE]

Each run is a process of its own (`load_once.py`); the model cache is a temporary folder:

- off: nothing is kept (`T1_MODEL_CACHE=off`); a model that is no GGUF file always loads like this;
- first: the cache is empty, and is filled;
- kept: the cache is full.

The modes take turns. Importing the libraries is timed apart; processor time does not count while
others have the processor. Peak memory is the process's own
(`getrusage`, MB of 10^6 bytes), libraries included; that of the query is the most up to its end.
All runs must give the same weights, thought and vector, to the last bit.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from record import exit_code, origin, write_json
from timing import Spread

from thought1.types import Thought1Error

MEASURES = {
    "import_s": "import (s)",
    "load_s": "load (s)",
    "load_cpu_s": "load, processor time (s)",
    "query_s": "query (s)",
    "load_peak_mb": "peak of loading (MB)",
    "query_peak_mb": "peak with a query (MB)",
}
Runs = dict[str, list[dict[str, Any]]]


def measure(model: str, think: int, repeats: int, folder: Path) -> Runs:
    """The runs of each mode.

    Raises:
        Thought1Error: one fails, or gives something else than the others.
    """
    runs: Runs = {"off": [], "first": [], "kept": []}
    for number in range(repeats):
        cache = str(folder / str(number))
        for mode, where in (("off", "off"), ("first", cache), ("kept", cache)):
            runs[mode].append(run(model, think, where))
    if len({one["content"] for several in runs.values() for one in several}) > 1:
        raise Thought1Error("the runs differ in weights, thought or vector")
    return runs


def run(model: str, think: int, cache: str) -> dict[str, Any]:
    """One process."""
    script = Path(__file__).with_name("load_once.py")
    done = subprocess.run(
        [sys.executable, str(script), model, str(think)],
        env={**os.environ, "T1_MODEL_CACHE": cache},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Thought1Error(f"{model}: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def report(runs: Runs) -> None:
    """The table."""
    print(f"| cache | {' | '.join(MEASURES.values())} |")
    print("|---|" + "---:|" * len(MEASURES))
    for mode, several in runs.items():
        spreads = {key: Spread.of([one[key] for one in several]) for key in MEASURES}
        cells = [
            f"{spread.median:.0f}" if key.endswith("_mb") else str(spread)
            for key, spread in spreads.items()
        ]
        print(f"| {mode} | {' | '.join(cells)} |")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    parser = argparse.ArgumentParser(description="Seconds and peak memory of loading a model.")
    parser.add_argument("--model", default="t1-mini-companion", help="as T1.from_pretrained")
    parser.add_argument("--think", type=int, default=48, help="tokens of the query's thought")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each mode")
    parser.add_argument("--json", type=Path, help="write the runs and their origin here")
    options = parser.parse_args(arguments)
    if options.repeats < 1 or options.think < 0:
        parser.error("--repeats is 1 or more, --think 0 or more")

    def work() -> None:
        with TemporaryDirectory() as folder:
            runs = measure(options.model, options.think, options.repeats, Path(folder))
        report(runs)
        if options.json:
            given = sys.argv[1:] if arguments is None else arguments
            write_json(options.json, {"origin": origin("load_time.py", given), "runs": runs})

    return exit_code(work)


if __name__ == "__main__":
    raise SystemExit(main())
