"""From what was measured to the content of a result file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from thought1.evaluation.measure import SEED, Measured
from thought1.evaluation.results.details import thought_tokens
from thought1.evaluation.results.files import files_beside
from thought1.evaluation.results.models import FORMAT, Result
from thought1.evaluation.results.provenance import origin, peak_memory_mb


class CommandRequest(Protocol):
    """A request, of `t1 evaluate` or of `t1 bright`."""

    def command(self) -> list[str]:
        """The command line that measures the same."""

    def to_json(self) -> dict[str, Any]:
        """The same, field by field."""


@dataclass(frozen=True, slots=True)
class Extras:
    """What else was measured at the same time, as JSON data; None if it was not."""

    curve: Mapping[str, Any] | None = None
    faithfulness: Mapping[str, Any] | None = None
    protocols: Mapping[str, Any] | None = None
    bright: Mapping[str, Any] | None = None

    @property
    def given(self) -> dict[str, dict[str, Any]]:
        """Those that exist, by name."""
        parts = {
            "curve": self.curve,
            "faithfulness": self.faithfulness,
            "protocols": self.protocols,
            "bright": self.bright,
        }
        return {name: dict(part) for name, part in parts.items() if part is not None}


def build_result(
    measured: Measured,
    request: CommandRequest,
    *,
    price: float | None = None,
    extras: Extras | None = None,
) -> Result:
    """The content of a result file, for what was measured in this process.

    Args:
        price: of a million tokens, prompt and thought alike, in any currency.
    """
    evaluation = measured.evaluation
    content = {
        "format": FORMAT,
        "task": _task(measured),
        "system": {**measured.system.to_json(), "name": measured.system_name},
        **evaluation.to_json(),
        "per_query": {m: dict(v) for m, v in evaluation.per_query.items()},
        "cost": cost_of(measured, price),
        "origin": {**origin(request.command()), "seed": SEED},
        "request": request.to_json(),
        "files": files_beside(measured.task.name).to_json(),
    }
    if measured.checks is not None:
        content["checks"] = asdict(measured.checks)
    return Result.model_validate({**content, **(extras or Extras()).given})


def cost_of(measured: Measured, price: float | None = None) -> dict[str, Any]:
    """What a query costs on average: tokens, milliseconds, money; and the memory of the process."""
    receipt, thoughts = measured.receipt, measured.answers.thoughts
    lengths = [thought_tokens(thoughts.get(query.id, ())) for query in measured.task.judged]
    samples = max(map(len, thoughts.values()), default=0)
    prompt, thought = receipt.prompt_tokens / receipt.queries, float(np.mean(lengths))
    reranking = receipt.rerank_tokens / receipt.queries
    tokens = prompt + thought + reranking
    return {
        "prompt_tokens": prompt,
        "thought_tokens": {"mean": thought, "p95": float(np.percentile(lengths, 95))},
        "forced": receipt.forced / (receipt.queries * max(1, samples)),
        **({"rerank_tokens": reranking} if reranking else {}),
        "milliseconds": {s: ms / receipt.queries for s, ms in receipt.milliseconds.items()},
        "peak_memory_mb": peak_memory_mb(),
        "price_per_million_tokens": price,
        "cost_per_1000_queries": None if price is None else tokens * price / 1000,
    }


def _task(measured: Measured) -> dict[str, Any]:
    task = measured.task
    return {
        "name": task.name,
        "kind": task.kind,
        "folder": task.folder,
        "split": task.split,
        "queries": len(task.judged),
        "documents": measured.documents.size,
        "hashes": dict(task.hashes),
    }
