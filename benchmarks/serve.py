"""Throughput of `t1 serve` with requests that think together, beside one request at a time.

    python benchmarks/serve.py [--model t1-mini-companion] [--clients 1,8,32] [--json FILE]

The same index is served twice, by processes of their own: with `--max-batch 1`, which lets one
thought be written at a time, and with the default batch. Clients are threads here, each with a
connection of its own, that send the next question when the last one is answered; so client and
server share the processor. Every number of clients asks the same questions.

- throughput: answered questions for each second, `POST /v1/search`, mode dense;
- time to the first thought token: from the request to the first event of its stream.

Both servers must find the same hits behind the same thoughts, but for near ties between two tokens
that rounding may turn: how many thoughts differ is told.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
from record import ROOT, exit_code, origin, write_json
from server_process import server_process

from thought1 import T1, Index
from thought1.data.formats import BeirFolder
from thought1.types import Thought1Error

COLLECTION = BeirFolder(ROOT / "examples" / "everyday-science")
GOAL = 4.0
"""Times the throughput of one request at a time, at the most clients."""


@dataclass(frozen=True, slots=True)
class Task:
    """What each client asks."""

    questions: Sequence[str]
    think: int
    per_client: int


@dataclass(frozen=True, slots=True)
class Load:
    """What so many clients at once saw."""

    clients: int
    questions: int
    seconds: float
    first_token_ms: list[float]
    """50th, 95th and 100th percentile."""

    @property
    def rate(self) -> float:
        """Questions for each second."""
        return self.questions / self.seconds


Answers = dict[str, tuple[str, list[str]]]
"""Question -> its thought, and the ids of its hits."""


@contextmanager
def serving(folder: Path, options: Sequence[str] = ()) -> Iterator[str]:
    """The address of `t1 serve` over the index, ready to answer.

    Raises:
        Thought1Error: it does not start.
    """
    with server_process(folder, options) as server:
        yield server.url


def ask(client: httpx2.Client, question: str, think: int) -> tuple[str, list[str]]:
    """The thought and the ids of the hits.

    Raises:
        Thought1Error: another answer than 200.
    """
    answer = client.post("/v1/search", json=_body(question, think))
    if answer.status_code != 200:
        raise Thought1Error(f"the server answers {answer.status_code}: {answer.text[:300]}")
    (result,) = answer.json()["results"]
    return result["thoughts"][0]["text"], [hit["id"] for hit in result["hits"]]


def first_token(client: httpx2.Client, question: str, think: int) -> float:
    """Milliseconds from the request to the first part of its thought; the rest is read, too.

    Raises:
        Thought1Error: the stream tells of an error, or holds no thought.
    """
    start, found = time.perf_counter(), None
    body = {**_body(question, think), "stream": True}
    with client.stream("POST", "/v1/search", json=body) as answer:
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            if event.get("error"):
                raise Thought1Error(f"the server answers {event['error']}")
            if event.get("type") == "thought" and found is None:
                found = 1000 * (time.perf_counter() - start)
    if found is None:
        raise Thought1Error("the stream of a search held no thought")
    return found


def _body(question: str, think: int) -> dict[str, Any]:
    return {"query": question, "k": 10, "mode": "dense", "think": think}


def at_once(
    url: str, task: Task, clients: int, do: Callable[[httpx2.Client, str, int], Any]
) -> tuple[float, list[tuple[str, Any]]]:
    """Wall seconds, and what each question gave, when so many clients ask.

    Raises:
        Thought1Error: one of them failed.
    """
    ready, failed = threading.Barrier(clients + 1), []
    found: list[tuple[str, Any]] = []
    every = list(islice(cycle(task.questions), clients * task.per_client))

    def work(own: Sequence[str]) -> None:
        with httpx2.Client(base_url=url, timeout=600) as client:
            ready.wait()
            try:
                for question in own:
                    found.append((question, do(client, question, task.think)))
            except (Thought1Error, httpx2.HTTPError) as error:
                failed.append(error)

    threads = [threading.Thread(target=work, args=(every[i::clients],)) for i in range(clients)]
    for thread in threads:
        thread.start()
    ready.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    if failed:
        raise Thought1Error(f"a client failed: {failed[0]}")
    return time.perf_counter() - start, found


def measure(url: str, task: Task, numbers: Sequence[int]) -> tuple[list[Load], Answers]:
    """The load by each number of clients, and all answers."""
    at_once(url, Task(task.questions, task.think, 1), 1, ask)  # what is loaded on first use
    loads, answers = [], {}
    for clients in numbers:
        seconds, found = at_once(url, task, clients, ask)
        answers.update(found)
        one_each = Task(task.questions, task.think, 1)
        _, waits = at_once(url, one_each, clients, first_token)
        loads.append(Load(clients, len(found), seconds, _spread([ms for _, ms in waits])))
    return loads, answers


def _spread(values: list[float]) -> list[float]:
    if len(values) == 1:
        return values * 3
    percentiles = quantiles(values, n=100, method="inclusive")
    return [percentiles[49], percentiles[94], max(values)]


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Both servers, one after the other, over an index that is made for it."""
    numbers = [int(number) for number in options.clients.split(",")]
    questions = [query.text for query in COLLECTION.queries()]
    task = Task(questions, options.think, options.per_client)
    with TemporaryDirectory() as place:
        index = Index.create(Path(place) / "bench.index", T1.from_pretrained(options.model))
        index.add(COLLECTION.corpus())
        with serving(index.path, ["--max-batch", "1"]) as url:
            alone, expected = measure(url, task, numbers)
        with serving(index.path) as url:
            together, answers = measure(url, task, numbers)
    same = [q for q in answers if answers[q][0] == expected[q][0]]
    wrong = [q for q in same if answers[q][1] != expected[q][1]]
    if wrong:
        raise Thought1Error(f"behind the same thought about {wrong[0]!r} other hits were found")
    return {
        "think": options.think,
        "one_at_a_time": [asdict(load) | {"rate": load.rate} for load in alone],
        "together": [asdict(load) | {"rate": load.rate} for load in together],
        "ratio": [b.rate / a.rate for a, b in zip(alone, together, strict=True)],
        "questions": len(answers),
        "other_thoughts": len(answers) - len(same),
    }


def show(found: dict[str, Any]) -> None:
    """The table."""
    print("clients   one at a time      together   ratio   first thought token, together (one)")
    rows = zip(found["one_at_a_time"], found["together"], found["ratio"], strict=True)
    for alone, together, ratio in rows:
        waits = [f"{load['first_token_ms'][0]:.0f} ms" for load in (together, alone)]
        print(
            f"{alone['clients']:7d}{alone['rate']:12.2f} q/s{together['rate']:10.2f} q/s"
            f"{ratio:8.2f}   {waits[0]} ({waits[1]})"
        )
    print(f"{found['other_thoughts']} of {found['questions']} thoughts differ")
    print(f"goal at {found['together'][-1]['clients']} clients: {GOAL}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="t1-mini-companion")
    parser.add_argument("--think", type=int, default=32, help="tokens of each thought")
    parser.add_argument("--clients", default="1,8,32", help="how many ask at once")
    parser.add_argument("--per-client", type=int, default=4, help="questions of each client")
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args(given)

    def work() -> None:
        found = run(options)
        show(found)
        if options.json:
            write_json(options.json, {"origin": origin("serve.py", given), **found})

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
