"""`t1 serve` under load: many clients that search, think, embed, add and delete at the same time.

    python benchmarks/serve_load.py [--clients 200] [--seconds 180] [--model t1-nano] [--json FILE]

The server is a process of its own on this machine, which it shares with the clients. They warm it
up, all leave, and come again for the time that counts. Then it must be true that

- every answer was 200, or 429 with `Retry-After`;
- every document that was acknowledged is there with its text, once, and no deleted one is;
- the server's memory has not grown by more than `GROWTH` in the second half of that time;
- it counted the same answers as the clients, and nothing waits in it any more;
- its log holds no traceback.

What was not true is told, and the exit code is 1. `make test-slow` runs the same.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil
from load_clients import Client, Seen
from prometheus_client.parser import text_string_to_metric_families
from record import ROOT, exit_code, origin, write_json
from server_process import ServerProcess, server_process

from thought1 import T1, Index
from thought1.data.formats import BeirFolder

COLLECTION = BeirFolder(ROOT / "examples" / "everyday-science")
GROWTH = 48
"""MiB by which the memory of a server may grow in the second half of the time: that of its
libraries varies, up to 27 were measured. In three minutes 6 KiB for each request are more."""
SETTLE_SECONDS = 30.0
"""How long a server has for becoming quiet when all clients have left."""
SAMPLES = 12
WARM_UP = 30.0
"""Least seconds until a server's memory is what its load needs."""
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Load:
    """How much, and for how long."""

    clients: int
    seconds: float
    warm_up: float
    questions: Sequence[str]
    """Each shares a word with the collection: a search that finds nothing is a problem."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a campaign saw."""

    load: Load
    seen: Seen
    """After the warm-up."""
    memory: tuple[float, float]
    """MiB of the server after the warm-up and at the end, both without any request."""
    course: list[float]
    """The same at `SAMPLES` equal intervals in between, under load."""
    problems: list[str]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "clients": self.load.clients,
            "seconds": self.load.seconds,
            "warm_up_seconds": self.load.warm_up,
            "requests": self.seen.requests,
            "refused": self.seen.refused,
            "memory_mib": {
                "after_warm_up": round(self.memory[0]),
                "under_load": [round(one) for one in self.course],
                "at_the_end": round(self.memory[1]),
            },
            "milliseconds": {
                kind: spread(times) for kind, times in sorted(self.seen.milliseconds.items())
            },
            "problems": self.problems,
        }


def spread(values: Sequence[float]) -> dict[str, float]:
    """How many, median, 95th percentile and largest."""
    # Twice, because one value has no quantiles.
    percentiles = quantiles([*values, *values], n=100, method="inclusive")
    return {
        "answers": len(values),
        "p50": round(percentiles[49], 1),
        "p95": round(percentiles[94], 1),
        "max": round(max(values), 1),
    }


def campaign(folder: Path, load: Load, options: Sequence[str] = ()) -> Report:
    """Load a server over the index in this folder.

    Raises:
        Thought1Error: it does not start.
    """
    with server_process(folder, options) as server:
        report = asyncio.run(_campaign(server, load))
    usual = ("serving ", " WARNING ")  # texts that were cut to the model's length
    told = [line for line in server.log if not any(word in line for word in usual)]
    return replace(
        report, problems=report.problems + [f"the log says: {line.strip()}" for line in told]
    )


async def _campaign(server: ServerProcess, load: Load) -> Report:
    limits = httpx.Limits(max_connections=load.clients, keepalive_expiry=2.0)
    async with httpx.AsyncClient(base_url=server.url, timeout=180, limits=limits) as http:
        before = await _documents(http)
        clients = [Client(http, number, load.questions) for number in range(load.clients)]
        warm, seen = Seen(), Seen()
        memory, courses = [], []
        for seconds, into in ((load.warm_up, warm), (load.seconds, seen)):
            watching = asyncio.create_task(_watch(server, seconds))
            await asyncio.gather(*(client.run(seconds, into) for client in clients))
            courses.append(await watching)
            into.problems += await _busy(http)
            memory.append(_memory(server))
        problems = [*warm.problems, *seen.problems]
        problems += await _miscounted(http, warm.answers + seen.answers)
        problems += await _lost(http, clients, before)
    middle, last = courses[1][SAMPLES // 2 - 1], courses[1][-1]
    if last - middle > GROWTH:
        problems.append(f"memory grew from {middle:.0f} to {last:.0f} MiB in the second half")
    return Report(load, seen, (memory[0], memory[1]), courses[1], problems)


def _memory(server: ServerProcess) -> float:
    return float(psutil.Process(server.process.pid).memory_info().rss / MIB)


async def _watch(server: ServerProcess, seconds: float) -> list[float]:
    """The server's memory at equal intervals."""
    found = []
    for _ in range(SAMPLES):
        await asyncio.sleep(seconds / SAMPLES)
        found.append(_memory(server))
    return found


async def _documents(http: httpx.AsyncClient) -> int:
    answer = await http.get("/v1/indexes")
    return sum(index["documents"] for index in answer.json()["indexes"])


async def _metrics(http: httpx.AsyncClient) -> dict[str, list[tuple[dict[str, str], float]]]:
    families = text_string_to_metric_families((await http.get("/metrics")).text)
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for sample in (sample for family in families for sample in family.samples):
        found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


async def _busy(http: httpx.AsyncClient) -> list[str]:
    """What still waits in the server long after all clients have left."""
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        found = await _metrics(http)
        gauges = [("t1_requests_in_flight", "kind"), ("t1_waiting_texts", "kind")]
        waiting = [
            f"{name} of {labels[label]} is {value:g}"
            for name, label in gauges
            for labels, value in found[name]
            if value
        ]
        if not waiting or time.monotonic() > until:
            return waiting
        await asyncio.sleep(0.1)


async def _miscounted(http: httpx.AsyncClient, seen: Counter[tuple[str, int]]) -> list[str]:
    """Where the server counted other answers than its clients."""
    routes = {route for route, _ in seen}
    counted = {
        (labels["route"], int(labels["status"])): int(value)
        for labels, value in (await _metrics(http))["t1_requests_total"]
        if labels["route"] in routes
    }
    return [] if counted == seen else [f"the server counted {counted}, its clients {dict(seen)}"]


async def _lost(http: httpx.AsyncClient, clients: Sequence[Client], before: int) -> list[str]:
    """Documents that are not as they were acknowledged."""
    promised = {id_: text for client in clients for id_, text in client.promised.items()}
    problems = []
    for id_, text in promised.items():
        answer = await http.get(f"/v1/documents/{id_}")
        found = answer.json()["text"] if answer.status_code == 200 else None
        if found != text or answer.status_code not in (200, 404):
            problems.append(f"{id_} is {found!r} ({answer.status_code}), promised was {text!r}")
    expected = before + sum(text is not None for text in promised.values())
    if (documents := await _documents(http)) != expected:
        problems.append(f"there are {documents} documents, not {expected}")
    return problems


def run(options: argparse.Namespace) -> Report:
    """The campaign over an index that is made for it."""
    questions = [query.text for query in COLLECTION.queries()]
    load = Load(options.clients, options.seconds, max(WARM_UP, options.seconds / 3), questions)
    with TemporaryDirectory() as place:
        index = Index.create(Path(place) / "bench.index", T1.from_pretrained(options.model))
        index.add(COLLECTION.corpus())
        index.optimize()
        return campaign(index.path, load)


def show(report: Report) -> None:
    """The table."""
    seen, load = report.seen, report.load
    print(
        f"{load.clients} clients, {load.seconds:.0f} s: {seen.requests} requests, "
        f"{seen.refused} of them refused (429)"
    )
    print("request    answers      p50      p95      max   (ms)")
    for kind, times in sorted(seen.milliseconds.items()):
        row = spread(times)
        print(f"{kind:8s}{row['answers']:10.0f}{row['p50']:9.0f}{row['p95']:9.0f}{row['max']:9.0f}")
    course = ", ".join(f"{one:.0f}" for one in report.course)
    print(f"memory: {report.memory[0]:.0f} MiB after the warm-up, under load {course},")
    print(f"        {report.memory[1]:.0f} at the end")
    for problem in report.problems[:20]:
        print(f"wrong: {problem}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="t1-nano")
    parser.add_argument("--clients", type=int, default=200, help="how many at the same time")
    parser.add_argument("--seconds", type=float, default=180.0, help="after the warm-up")
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args(given)
    reports: list[Report] = []

    def work() -> None:
        report = run(options)
        reports.append(report)
        show(report)
        if options.json:
            write_json(options.json, {"origin": origin("serve_load.py", given), **report.to_json()})

    return exit_code(work) or int(any(report.problems for report in reports))


if __name__ == "__main__":
    sys.exit(main())
