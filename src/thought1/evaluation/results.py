"""The result file of an evaluation: its numbers, what they cost, and all it takes to replay it.

`results/<system>/<revision>/<task>.json`, and beside it the run (TREC) and the details (a JSON
line for each judged query), both gzipped. docs/evaluation.md describes every field. Knows neither
how systems work nor how anything is printed.
"""

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thought1.data.formats import read_run
from thought1.data.outputs import check_file, whole_file
from thought1.data.trec import run_lines
from thought1.evaluation.measure import SEED, Measured, Request
from thought1.evaluation.provenance import origin, peak_memory_mb, write_json
from thought1.types import Run, SearchResult, Thought1Error

FORMAT = 1
"""Version of the file; a program refuses a later one."""

SNIPPET = 300
"""Characters of a hit's text in the details."""

SHOWN_HITS = 10
"""Hits of a query in the details."""

TAG = "thought1"
"""Last column of a run."""

STUDIES = ("curve", "faithfulness")
"""Fields that are there only where they were asked for."""

_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "task": dict,
    "system": dict,
    "metrics": dict,
    "ci": dict,
    "queries": int,
    "per_query": dict,
    "cost": dict,
    "origin": dict,
    "files": dict,
    "request": dict,
}
_INNER = {
    "task": ("name", "kind", "folder", "split", "queries", "documents", "hashes"),
    "system": ("name", "kind", "revision", "mode", "think", "weights", "settings"),
    "cost": (
        "prompt_tokens", "thought_tokens", "forced", "milliseconds", "peak_memory_mb",
        "price_per_million_tokens", "cost_per_1000_queries",
    ),
    "files": ("run", "details"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Studies:
    """What else was measured in the same go, as JSON data; None where it was not."""

    curve: Mapping[str, Any] | None = None
    faithfulness: Mapping[str, Any] | None = None


def build_result(
    measured: Measured,
    request: Request,
    *,
    price: float | None = None,
    studies: Studies | None = None,
) -> dict[str, Any]:
    """The content of a result file, for what was measured in this process.

    Args:
        price: of a million tokens, prompt and thought alike, in any currency.
    """
    studies = studies or Studies()
    name = measured.task.name
    content = {
        "format": FORMAT,
        "task": _task(measured),
        "system": {**measured.system.to_json(), "name": measured.system_name},
        **measured.evaluation.to_json(),
        "per_query": {m: dict(v) for m, v in measured.evaluation.per_query.items()},
        "cost": cost_of(measured, price),
        "origin": {**origin(request.command()), "seed": SEED},
        "request": request.to_json(),
        "files": _beside(name),
    }
    if measured.checks is not None:
        content["checks"] = asdict(measured.checks)
    extra = dict(zip(STUDIES, (studies.curve, studies.faithfulness), strict=True))
    return {**content, **{key: dict(value) for key, value in extra.items() if value is not None}}


def cost_of(measured: Measured, price: float | None = None) -> dict[str, Any]:
    """What a query costs on average: tokens, milliseconds, money; and the memory of the process."""
    receipt, results = measured.receipt, measured.results
    lengths = [_thought_tokens(result) for result in results]
    samples = max((len(result.thoughts) for result in results), default=0)
    prompt, thought = receipt.prompt_tokens / receipt.queries, float(np.mean(lengths))
    return {
        "prompt_tokens": prompt,
        "thought_tokens": {"mean": thought, "p95": float(np.percentile(lengths, 95))},
        "forced": receipt.forced / (receipt.queries * max(1, samples)),
        "milliseconds": {s: ms / receipt.queries for s, ms in receipt.milliseconds.items()},
        "peak_memory_mb": peak_memory_mb(),
        "price_per_million_tokens": price,
        "cost_per_1000_queries": None if price is None else (prompt + thought) * price / 1000,
    }


def _beside(task: str) -> dict[str, str]:
    return {"run": f"{_safe(task)}.run.gz", "details": f"{_safe(task)}.details.jsonl.gz"}


def result_path(folder: Path, content: Mapping[str, Any]) -> Path:
    """`folder/<system>/<revision>/<task>.json`, whatever characters the names have."""
    system, task = content["system"], content["task"]
    return (
        folder / _safe(system["name"]) / _safe(system["revision"]) / f"{_safe(task['name'])}.json"
    )


def check_place(folder: Path, task: str, system: str, revision: str) -> None:
    """Try whether a result can be kept, before anything is measured.

    Args:
        folder: of all results.
        task: as it will be named in the result, like the two others.

    Raises:
        Thought1Error: a file of the result cannot be written.
    """
    names = {"task": {"name": task}, "system": {"name": system, "revision": revision}}
    path = result_path(folder, names)
    for name in (path.name, *_beside(task).values()):
        check_file(path.with_name(name), makes_folders=True)


def write_result(folder: Path, content: Mapping[str, Any], measured: Measured) -> Path:
    """Write run, details and, last of all, the result; each appears whole or not at all.

    Returns:
        The path of the result; what was there before is replaced.

    Raises:
        Thought1Error: a file cannot be written.
    """
    path = result_path(folder, content)
    _write_gzip(path.with_name(content["files"]["run"]), run_lines(measured.run, TAG))
    _write_gzip(path.with_name(content["files"]["details"]), _details(measured))
    write_json(path, content)
    return path


def read_result(path: Path) -> dict[str, Any]:
    """The content of a result file, checked.

    Raises:
        Thought1Error: there is none, it is broken, or of a later format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Thought1Error(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise Thought1Error(f"{path} is no result of an evaluation: {error}") from error
    problem = _problem(content)
    if problem:
        raise Thought1Error(f"{path} is no result of an evaluation: {problem}")
    if content["format"] > FORMAT:
        raise Thought1Error(
            f"{path} has format {content['format']}; this program reads formats up to {FORMAT}: "
            "pip install --upgrade thought1"
        )
    return dict(content)


def read_result_run(path: Path, content: Mapping[str, Any]) -> Run | None:
    """The run beside a result; None where it has not been kept."""
    file = path.with_name(content["files"]["run"])
    return read_run(file) if file.is_file() else None


def _problem(content: Any) -> str:
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        return 'it has no "format"'
    for name, kind in _FIELDS.items():
        if not isinstance(content.get(name), kind):
            return f"{name!r} is missing or of the wrong kind"
        lacking = [key for key in _INNER.get(name, ()) if key not in content[name]]
        if lacking:
            return f"{name!r} lacks {', '.join(lacking)}"
    measures = content["metrics"].keys()
    if not measures or any(content[k].keys() != measures for k in ("ci", "per_query")):
        return '"metrics", "ci" and "per_query" do not have the same measures'
    return ""


def _task(measured: Measured) -> dict[str, Any]:
    task = measured.task
    return {
        "name": task.name,
        "kind": task.kind,
        "folder": str(task.folder.path),
        "split": task.split,
        "queries": len(task.queries),
        "documents": measured.documents,
        "hashes": dict(task.hashes),
    }


def _details(measured: Measured) -> Iterator[str]:
    task = measured.task
    for query, result in zip(task.queries, measured.results, strict=True):
        grades = task.qrels[query.id]
        line = {
            "_id": query.id,
            "query": query.text,
            **({"rewritten": result.query} if task.rewritten else {}),
            **_thought(result),
            **({"evidence": list(result.evidence)} if result.evidence else {}),
            "relevant": [document for document, grade in grades.items() if grade > 0],
            "hits": [
                {"id": hit.id, "score": hit.score, "text": _snippet(hit.title, hit.text)}
                for hit in result.hits[:SHOWN_HITS]
            ],
        }
        yield json.dumps(line, ensure_ascii=False) + "\n"


def _thought(result: SearchResult) -> dict[str, Any]:
    thought = result.thought
    return {
        "thought": thought and thought.text,
        "thought_tokens": _thought_tokens(result),
        "finish_reason": thought and thought.finish_reason,
        **({"thoughts": [each.to_json() for each in result.thoughts]} if result.others else {}),
    }


def _thought_tokens(result: SearchResult) -> int:
    """Written in all thoughts on a query."""
    return sum(thought.written for thought in result.thoughts)


def _snippet(title: str, text: str) -> str:
    return (f"{title}\n{text}" if title else text)[:SNIPPET]


def _write_gzip(path: Path, lines: Iterable[str]) -> None:
    # Without a time and a name in it, equal lines make equal files.
    with whole_file(path) as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as stream:
        for line in lines:
            stream.write(line.encode("utf-8", "backslashreplace"))


def _safe(name: str) -> str:
    """A name that is one file name everywhere; a hub id's slash stays visible."""
    plain = re.sub(r"[^\w.@+-]", "-", name.replace("/", "__"), flags=re.ASCII)
    return plain.lstrip(".") or "-"
