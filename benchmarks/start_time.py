"""Seconds from typing `t1 search` to its hits, on a small index: in mode bm25, and with the model.

    python benchmarks/start_time.py [--model t1-nano] [--repeats 5] [--json FILE]

The index is that of examples/everyday-science. Each run is a process of its own, and the modes take
turns; the first run of each, which reads the files of the libraries for the first time, is shown
apart. Processor time does not count while others have the processor.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from record import ROOT, exit_code, origin, write_json
from timing import Spread

from thought1.types import Thought1Error

COLLECTION = ROOT / "examples" / "everyday-science"
QUESTION = "Why do ice cubes crack in warm water?"
MODES = ("bm25", "hybrid")


def t1(*arguments: str) -> tuple[float, float]:
    """Run the command: seconds on the clock, and of the processor.

    Raises:
        Thought1Error: it fails.
    """
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "thought1.cli", *arguments]
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **threads})
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise Thought1Error(f"t1 {arguments[0]} failed: {done.stderr.strip()}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run_benchmark(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Make the index, search it, print, write."""
    if options.repeats < 1:
        raise Thought1Error(f"--repeats is 1 or more, not {options.repeats}")
    times: dict[str, list[tuple[float, float]]] = {mode: [] for mode in MODES}
    with TemporaryDirectory() as folder:
        index = str(Path(folder) / "small.index")
        t1("index", str(COLLECTION), "-o", index, "--model", options.model)
        for _ in range(1 + options.repeats):
            for mode in MODES:
                times[mode].append(t1("search", index, QUESTION, "--mode", mode))
    report = {}
    print("| mode | seconds | of the processor | the first run |\n|---|---|---|---|")
    for mode, (first, *others) in times.items():
        wall, cpu = (Spread.of([one[place] for one in others]) for place in (0, 1))
        print(f"| {mode} | {wall} | {cpu} | {first[0]:.2f}, {first[1]:.2f} |")
        report[mode] = {"wall": asdict(wall), "cpu": asdict(cpu), "first": first}
    if options.json:
        write_json(options.json, {**origin("start_time.py", arguments), "seconds": report})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description="Seconds from typing t1 search to its hits.")
    parser.add_argument("--model", default="t1-nano", help="a T1, whose own budget is used")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each mode after the first")
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args(arguments)
    return exit_code(lambda: run_benchmark(options, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
