"""An evaluation request as plain data: enough to repeat it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from thought1.evaluation.systems.base import SystemOptions
from thought1.model.inventory import default_model
from thought1.opening import holds_something
from thought1.search.options import FusedBy, Fusion, Mode, SearchOptions
from thought1.types import Thought1Error

logger = logging.getLogger(__name__)

R = TypeVar("R", bound="Request")

T1 = "t1"
"""The system that searches an index, with the model or by its BM25."""


ADDED_LATER = (
    "anchor",
    "samples",
    "thoughts",
    "evidence",
    "rounds",
    "fusion",
    "rerank",
    "rerank_depth",
    "rerank_weight",
    "rerank_guided",
)
"""Fields that earlier versions of the format did not have: absent at their default."""


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of `t1 evaluate`; paths are as they were given."""

    folder: str
    split: str
    name: str = ""
    """Of the task; by default the folder's name and the split."""
    system: str = T1
    mode: Mode = "dense"
    think: int | None = None
    model: str | None = None
    index: str | None = None
    rewritten: str | None = None
    curve: str | None = None
    """Thinking budgets of the curve, with commas between them; see `budgets`."""
    faithfulness: bool = False
    ignore_identical_ids: bool = False
    """Whether a document with the query's own id is left out of its ranking, before the cut."""
    anchor: str = ""
    """Instead of the checkpoint's own; see `Settings.anchor`."""
    samples: int = 1
    """Sampled thoughts on each query; see `SearchOptions.samples`."""
    thoughts: str | None = None
    """File of thoughts that are read instead of the model's own."""
    evidence: int = 0
    """Documents that are read before thinking; see `SearchOptions.evidence`."""
    rounds: int = 1
    """Of reading and thinking; see `SearchOptions.rounds`."""
    fusion: FusedBy = "scores"
    """In mode hybrid; see `Fusion`."""
    rerank: str | None = None
    """Name of a reranker; see `SearchOptions.rerank`, as of the next three."""
    rerank_depth: int = 50
    rerank_weight: float = 0.5
    rerank_guided: bool = False

    @property
    def task_name(self) -> str:
        """The name under which the result is kept; other rules of counting make another task."""
        name = self.name or f"{Path(self.folder).resolve().name}-{self.split}"
        return name + "-ignore-identical-ids" * self.ignore_identical_ids

    @property
    def budgets(self) -> tuple[int, ...]:
        """Thinking budgets of the curve, ascending; empty without a curve.

        Raises:
            Thought1Error: `curve` is something else.
        """
        if self.curve is None:
            return ()
        parts = [part.strip() for part in self.curve.split(",")]
        budgets = [int(part) for part in parts if part.isascii() and part.isdecimal()]
        if len(budgets) < len(parts) or budgets != sorted(set(budgets)):
            raise Thought1Error(
                f"a curve needs thinking budgets, whole numbers from 0, each larger than the one "
                f"before, such as 0,8,16,32,64, not {self.curve!r}"
            )
        return tuple(budgets)

    def options(
        self, thoughts: Mapping[str, str], *, trust_remote_code: bool = False
    ) -> SystemOptions:
        """What the system is opened with; `thoughts` are those of the task.

        Raises:
            Thought1Error: no search has such options.
        """
        search = SearchOptions(
            mode=self.mode,
            think=self.think,
            samples=self.samples,
            evidence=self.evidence,
            rounds=self.rounds,
            fusion=Fusion(by=self.fusion),
            rerank=self.rerank,
            rerank_depth=self.rerank_depth,
            rerank_weight=self.rerank_weight,
            rerank_guided=self.rerank_guided,
        )
        return SystemOptions(
            trust_remote_code,
            search,
            self.model,
            None if self.index is None else Path(self.index),
            self.anchor,
            thoughts,
        )

    def to_json(self) -> dict[str, Any]:
        """JSON data, the fields by their names."""
        usual = {one.name: one.default for one in fields(self) if one.name in ADDED_LATER}
        return {k: v for k, v in asdict(self).items() if usual.get(k, ()) != v}

    def command(self) -> list[str]:
        """The command line that measures this."""
        options = {
            "--name": self.name,
            "--system": self.system if self.system != T1 else None,
            "--mode": self.mode if self.system == T1 else None,
            "--think": self.think,
            "--samples": self.samples if self.samples > 1 else None,
            "--thoughts": self.thoughts,
            "--evidence": self.evidence or None,
            "--rounds": self.rounds if self.rounds > 1 else None,
            "--fusion": self.fusion if self.fusion != "scores" else None,
            "--rerank": self.rerank,
            "--rerank-depth": None if self.rerank is None else self.rerank_depth,
            "--rerank-weight": None if self.rerank is None else self.rerank_weight,
            "--model": self.model,
            "--index": self.index,
            "--rewritten": self.rewritten,
            "--curve": self.curve,
            "--anchor": self.anchor,
        }
        command = ["t1", "evaluate", self.folder, "--split", self.split]
        for name, value in options.items():
            if value not in (None, ""):
                command += [name, str(value)]
        flags = {
            "--faithfulness": self.faithfulness,
            "--ignore-identical-ids": self.ignore_identical_ids,
            "--rerank-guided": self.rerank_guided,
        }
        return [*command, *(name for name, given in flags.items() if given)]


def check_request(request: Request, called: Callable[[str], str] = str) -> None:
    """Refuse a request that contradicts itself.

    Args:
        called: what the user knows a field by; the command line calls `think` an option.

    Raises:
        Thought1Error: two fields are incompatible.
    """
    studies = {"curve": bool(request.budgets), "faithfulness": request.faithfulness}
    ways = {
        "samples": request.samples > 1,
        "thoughts": request.thoughts is not None,
        "evidence": request.evidence > 0,
    }
    _check_owner(request, studies | ways, called)
    for name in _given(studies):
        if request.mode != "dense":
            raise Thought1Error(
                f"{called(name)} studies the model's vectors: leave {called('mode')} at dense"
            )
        for way in _given(ways):
            raise Thought1Error(
                f"{called(name)} studies the model's own greedy thoughts: leave {called(way)} out"
            )
        if request.rerank is not None:
            raise Thought1Error(
                f"{called(name)} studies the model's vectors: leave {called('rerank')} out"
            )
    written = {"think": request.think is not None, **ways, "thoughts": False}
    for name in _given(written) if request.thoughts is not None else []:
        raise Thought1Error(
            f"with {called('thoughts')} the model writes none: leave {called(name)} out"
        )
    if request.fusion != "scores" and request.mode != "hybrid":
        raise Thought1Error(f"{called('fusion')} is of {called('mode')} hybrid")
    reads = {"evidence": request.evidence > 0, "rerank": request.rerank is not None}
    for name in _given(reads) if request.ignore_identical_ids else []:
        raise Thought1Error(
            f"{called(name)} would read the document with a query's own id, which "
            f"{called('ignore_identical_ids')} leaves out: leave one of them out"
        )
    vectors = {"anchor": request.anchor != "", "thoughts": request.thoughts is not None}
    for name in _given(vectors) if request.mode == "bm25" else []:
        raise Thought1Error(
            f"{called(name)} is of the model's vectors, which {called('mode')} bm25 does not search"
        )


def _check_owner(
    request: Request, others: Mapping[str, bool], called: Callable[[str], str]
) -> None:
    """Refuse options of the system t1 with any other system."""
    options = {
        "mode": request.mode != "dense",
        "model": request.model is not None,
        "index": request.index is not None,
        "anchor": request.anchor != "",
        "rerank": request.rerank is not None,
        "fusion": request.fusion != "scores",
        "think": request.think is not None,
        **others,
    }
    for name in _given(options) if request.system != T1 else []:
        raise Thought1Error(f"{called(name)} is for the system t1, not for {request.system}")


def _given(options: Mapping[str, bool]) -> list[str]:
    return [name for name, given in options.items() if given]


def needs_default_model(request: Request) -> bool:
    """Whether the request means the default model; a result must name it."""
    if request.system != T1 or request.model is not None:
        return False
    folder = None if request.index is None else Path(request.index)
    # Otherwise there is no model, or the index remembers its own.
    return not ((folder is None and request.mode == "bm25") or (folder and holds_something(folder)))


def choose_model() -> str:
    """The default model; which one it is, and why, is logged."""
    found = default_model()
    logger.info("%s", found)
    return found.name


def with_default_model(request: R, choose: Callable[[], str] = choose_model) -> R:
    """The request with the model that `choose` names, where it names none and needs one."""
    return replace(request, model=choose()) if needs_default_model(request) else request
