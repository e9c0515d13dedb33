"""Clients of `t1 serve` that mix everything it does, and remember what was promised to them.

Each sends its next request when the last one is answered. It knows HTTP alone, not how the server
works: what counts is what a client sees.
"""

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

SHARES = {"bm25": 3, "dense": 3, "think": 3, "stream": 2, "embed": 2, "add": 3, "delete": 1}
"""How often a client does what."""
THINK = 8
"""Tokens of a thought."""
DOCUMENTS = 4
"""Documents of each client, which it adds, replaces and deletes: the index does not grow."""
PATIENCE = 0.5
"""Seconds after which a refused client comes again, sooner than it was told."""


@dataclass(slots=True)
class Seen:
    """What all clients saw."""

    milliseconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Of each kind of request, the times of those that were answered with 200."""
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By route and status."""
    problems: list[str] = field(default_factory=list)
    """Whatever should not have been."""

    @property
    def requests(self) -> int:
        """How many there were."""
        return self.answers.total()

    @property
    def refused(self) -> int:
        """Those that were told to come again later."""
        return sum(n for (_, status), n in self.answers.items() if status == 429)


class Client:
    """One client, whose documents nobody else changes.

    Attributes:
        promised: id -> the text that was acknowledged last; None where its deletion was.
    """

    def __init__(self, http: httpx.AsyncClient, number: int, questions: Sequence[str]) -> None:
        self._http = http
        self._number = number
        self._questions = questions
        self._chance = random.Random(number)
        self._generation = 0
        self.promised: dict[str, str | None] = {}

    async def run(self, seconds: float, seen: Seen) -> None:
        """Send requests for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            (kind,) = self._chance.choices(list(SHARES), list(SHARES.values()))
            try:
                start = time.perf_counter()
                answer = await self._send(kind, seen)
                if answer.status_code == 200:
                    seen.milliseconds[kind].append(1000 * (time.perf_counter() - start))
                else:
                    await self._refused(answer, seen)
            except (httpx.HTTPError, KeyError, ValueError) as error:
                seen.problems.append(f"{kind}: {type(error).__name__}: {error}")
                return

    async def _refused(self, answer: httpx.Response, seen: Seen) -> None:
        wait = answer.headers.get("retry-after", "")
        if answer.status_code != 429 or not wait.isdecimal() or int(wait) < 1:
            seen.problems.append(f"{answer.status_code} {dict(answer.headers)} {answer.text[:200]}")
        await asyncio.sleep(min(PATIENCE, int(wait or 1)) * self._chance.uniform(0.5, 1.0))

    async def _send(self, kind: str, seen: Seen) -> httpx.Response:
        question = self._chance.choice(self._questions)
        if kind == "embed":
            return await self._embed(question, seen)
        if kind == "add":
            return await self._add(seen)
        if kind == "delete":
            return await self._delete(seen)
        mode = {"bm25": "bm25", "dense": "dense"}.get(kind, "hybrid")
        think = THINK if kind in ("think", "stream") else 0
        body = {"query": question, "mode": mode, "think": think, "stream": kind == "stream"}
        answer = await self._post("/v1/search", body, seen)
        if answer.status_code == 200:
            self._check_hits(answer, kind == "stream", seen)
        return answer

    def _check_hits(self, answer: httpx.Response, stream: bool, seen: Seen) -> None:
        if not stream:
            found = answer.json()["results"][0]["hits"]
        else:
            lines = [x[6:] for x in answer.text.splitlines() if x.startswith("data: ")]
            events = [json.loads(line) for line in lines if line != "[DONE]"]
            found = [event for event in events if event.get("type") == "hits"]
            if any("error" in event for event in events) or lines[-1:] != ["[DONE]"]:
                seen.problems.append(f"a stream broke off: {lines[-2:]}")
        if not found:
            seen.problems.append(f"a search found nothing: {answer.text[:200]}")

    async def _embed(self, question: str, seen: Seen) -> httpx.Response:
        texts = [question] * self._chance.randint(1, 4)
        kind = self._chance.choice(["query", "document"])
        body: dict[str, Any] = {"input": texts, "input_type": kind}
        if kind == "query":
            body["think"] = 0
        answer = await self._post("/v1/embeddings", body, seen)
        if answer.status_code == 200 and len(answer.json()["data"]) != len(texts):
            seen.problems.append(f"{len(texts)} texts have {len(answer.json()['data'])} vectors")
        return answer

    async def _add(self, seen: Seen) -> httpx.Response:
        self._generation += 1
        places = self._chance.sample(range(DOCUMENTS), self._chance.randint(1, DOCUMENTS))
        texts = {
            f"client{self._number}-{place}": f"Note {self._generation} of client{self._number}: "
            + self._chance.choice(self._questions)
            for place in places
        }
        body = {"documents": [{"id": id_, "text": text} for id_, text in texts.items()]}
        answer = await self._post("/v1/documents", body, seen)
        if answer.status_code == 200:
            self.promised.update(texts)
        return answer

    async def _delete(self, seen: Seen) -> httpx.Response:
        id_ = f"client{self._number}-{self._chance.randrange(DOCUMENTS)}"
        answer = await self._http.delete(f"/v1/documents/{id_}")
        seen.answers["/v1/documents/{id:path}", answer.status_code] += 1
        if answer.status_code == 200:
            self.promised[id_] = None
        return answer

    async def _post(self, route: str, body: dict[str, Any], seen: Seen) -> httpx.Response:
        answer = await self._http.post(route, json=body)
        seen.answers[route, answer.status_code] += 1
        return answer
