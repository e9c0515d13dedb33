"""From a request to the system that it names: the models and indexes behind the options.

Knows neither judgements nor printing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from thought1.cli.models import (
    default_name,
    holds_something,
    load_model,
    open_index,
    open_without_model,
    quiet_libraries,
)
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.evaluation.indexed import IndexSystem
    from thought1.evaluation.measure import Request, Task
    from thought1.evaluation.systems import System
    from thought1.t1 import T1 as Model

R = TypeVar("R", bound="Request")

T1 = "t1"
"""The system that searches an index, with the model or by its BM25."""


@contextmanager
def open_request(request: "Request", trust_remote_code: bool) -> "Iterator[tuple[Task, System]]":
    """The task and the system of a request, for `measure`; nothing is encoded yet.

    Raises:
        Thought1Error: something that the request names cannot be used.
    """
    from thought1.evaluation.measure import read_task

    task = read_task(request)
    with _open(request, task, trust_remote_code) as system:
        yield task, system


def checked(request: "Request") -> "Request":
    """A request of `t1 evaluate`, with the model that it means.

    Raises:
        Thought1Error: it contradicts itself.
    """
    _check_options(request)
    return named(request)


def _check_options(request: "Request") -> None:
    studies = {"--curve": bool(request.budgets), "--faithfulness": request.faithfulness}
    written = {
        "--think or --no-think": request.think is not None,
        "--samples": request.samples > 1,
        "--evidence": request.evidence > 0,
    }
    ways = {
        "--samples": request.samples > 1,
        "--thoughts": request.thoughts is not None,
        "--evidence": request.evidence > 0,
    }
    options = {
        "--mode": request.mode != "dense",
        "--model": request.model is not None,
        "--index": request.index is not None,
        "--anchor": request.anchor != "",
        **written,
        **ways,
        **studies,
    }
    for name, given in options.items():
        if given and request.system != T1:
            raise Thought1Error(f"{name} is for the system t1, not for {request.system}")
    for name, given in studies.items():
        if given and request.mode != "dense":
            raise Thought1Error(f"{name} studies the model's vectors: leave --mode at dense")
        for way in _given(ways) if given else []:
            raise Thought1Error(f"{name} studies the model's own greedy thoughts: leave {way} out")
    for name in _given(written) if request.thoughts is not None else []:
        raise Thought1Error(f"with --thoughts the model writes none: leave {name} out")
    if request.evidence and request.ignore_identical_ids:
        raise Thought1Error(
            "--evidence would show a query the document with its own id, which "
            "--ignore-identical-ids leaves out: leave one of them out"
        )
    vectors = {"--anchor": request.anchor != "", "--thoughts": request.thoughts is not None}
    for name in _given(vectors) if request.mode == "bm25" else []:
        raise Thought1Error(f"{name} is of the model's vectors, which --mode bm25 does not search")


def _given(options: dict[str, bool]) -> list[str]:
    return [name for name, given in options.items() if given]


def named(request: R) -> R:
    """The request with the model that it means, where it names none: a result must hold that."""
    if request.system != T1 or request.model is not None:
        return request
    folder = None if request.index is None else Path(request.index)
    if (folder is None and request.mode == "bm25") or (folder and holds_something(folder)):
        return request  # no model, or that of the index
    return replace(request, model=default_name())


@contextmanager
def _open(request: "Request", task: "Task", trust_remote_code: bool) -> "Iterator[System]":
    if request.system == T1:
        thoughts = [task.thoughts[query.id] for query in task.queries] if task.thoughts else []
        with _index_system(request, thoughts, trust_remote_code) as system:
            yield system
        return
    from thought1.evaluation.baselines import open_baseline

    quiet_libraries()
    yield open_baseline(request.system, request.depth, trust_remote_code=trust_remote_code)


def _index_system(
    request: "Request", thoughts: list[str], trust_remote_code: bool
) -> "IndexSystem":
    from thought1.evaluation.indexed import IndexSystem
    from thought1.index import Index
    from thought1.model.sentence_model import SentenceModel
    from thought1.search.options import SearchOptions

    options = SearchOptions(
        request.depth,
        request.mode,
        request.think,
        samples=request.samples,
        evidence=request.evidence,
    )
    folder = None if request.index is None else Path(request.index)
    words_only = request.mode == "bm25"
    if folder is not None and holds_something(folder):
        if words_only:
            return IndexSystem(options, None, index=open_without_model(folder))
        index, t1 = open_index(folder, request.model, trust_remote_code)
        if isinstance(t1, SentenceModel):
            raise Thought1Error(
                f"the index at {folder} was made by {t1.name}, which does not think: measure a "
                "T1 that has it as its companion"
            )
        _check_thinking(t1, request)
        t1 = _anchored(t1, request.anchor)
        index = Index.open(folder, t1) if request.anchor else index
        return IndexSystem(options, t1, index=index, thoughts=thoughts)
    if words_only and folder is None:
        return IndexSystem(options, None)
    # An index that is to stay needs vectors, whatever is asked of it now.
    t1 = load_model(request.model, trust_remote_code)
    _check_thinking(t1, request)  # before anything is encoded
    return IndexSystem(options, _anchored(t1, request.anchor), folder=folder, thoughts=thoughts)


def _check_thinking(model: "Model", request: "Request") -> None:
    if request.thoughts is None:
        model.queries.tokens(request.think, request.samples)
    if request.evidence:
        model.check_evidence(request.think)


def _anchored(model: "Model", anchor: str) -> "Model":
    from thought1.model.settings import anchor_weight

    if not anchor:
        return model
    weight = anchor_weight(anchor)
    return model.with_settings(replace(model.settings, anchor=weight or "none"))
