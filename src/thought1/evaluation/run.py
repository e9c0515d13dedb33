"""`t1 evaluate` and `t1 replay` as Python functions.

from thought1.evaluation.request import Request
from thought1.evaluation.run import evaluate

done = evaluate(Request("examples/everyday-science", "test", think=16), results=Path("results"))
done.result.metrics["ndcg@10"], done.path
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from thought1.data.formats import write_run
from thought1.data.outputs import check_file, check_folder
from thought1.evaluation.bright.request import BrightRequest
from thought1.evaluation.bright.run import measure_subset
from thought1.evaluation.bright.task import KIND as BRIGHT
from thought1.evaluation.measure import Measured, measure
from thought1.evaluation.request import (
    T1,
    Request,
    check_request,
    choose_model,
    with_default_model,
)
from thought1.evaluation.results.build import build_result
from thought1.evaluation.results.files import (
    TAG,
    check_place,
    read_result,
    read_result_run,
    write_result,
)
from thought1.evaluation.results.models import Result
from thought1.evaluation.results.replay import (
    TOLERANCE,
    Replay,
    changes,
    compare_results,
    model_of_its_time,
)
from thought1.evaluation.systems import open_system
from thought1.evaluation.systems.base import Bars, System, SystemFacts, no_bars
from thought1.evaluation.task import Task, read_task
from thought1.evaluation.thoughts.studies import Studied, plan_studies
from thought1.opening import holds_something
from thought1.types import Thought1Error

STUDIES = ("curve", "faithfulness")
"""Fields of a result that exist only if requested, and are not replayed."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the files of an evaluation are written (None keeps none), and what they contain."""

    results: Path | None = None
    """Folder of result files."""
    run: Path | None = None
    """File of the ranking, in TREC format."""
    price: float | None = None
    """Of a million tokens; see `build_result`."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An evaluation that was made."""

    result: Result
    """What a result file holds, whether one was kept or not."""
    measured: Measured
    studied: Studied
    path: Path | None = None
    """Of the result file."""
    problem: Thought1Error | None = None
    """Why a file could not be written, such as to a full disk; the results are still returned."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """An evaluation that was made again."""

    comparison: Replay
    changed: tuple[str, ...]
    """Hashes of data, weights and settings that are no longer the same."""
    skipped: tuple[str, ...]
    """Studies of the result, which are not measured again."""


def evaluate(
    request: Request,
    outputs: Outputs | None = None,
    *,
    baselines: Path = Path("results"),
    choose: Callable[[], str] = choose_model,
    trust_remote_code: bool = False,
    bars: Bars = no_bars,
) -> Evaluated:
    """Run an evaluation request. Whatever can be refused is refused before anything is encoded.

    Args:
        request: what is measured.
        outputs: by default nothing is kept.
        baselines: folder of results that a thinking curve is compared with.
        choose: names the model where the request does not and needs one.
        bars: opens progress bars.

    Raises:
        Thought1Error: the request contradicts itself, something that it names cannot be used, or
            an output cannot be written.
    """
    outputs = outputs or Outputs()
    check_request(request)
    request = with_default_model(request, choose)
    if request.index is not None:
        check_folder(Path(request.index))
    if outputs.run is not None:
        check_file(outputs.run)
    task = read_task(request)
    with _open(request, task, trust_remote_code) as system:
        if outputs.results is not None:
            facts = system.facts
            check_place(outputs.results, task.name, task.name_system(facts), facts.revision)
        plan = plan_studies(request, task, system, baselines)
        measured = measure(task, system, bars)
        studied = plan.measure(measured, bars) if plan else Studied()
    result = build_result(measured, request, price=outputs.price, extras=studied.to_extras())
    path, problem = _write(outputs, result, measured)
    return Evaluated(result, measured, studied, path, problem)


def replay(
    file: Path,
    *,
    tolerance: float = TOLERANCE,
    trust_remote_code: bool = False,
    bars: Bars = no_bars,
    on_change: Callable[[str], object] = lambda name: None,
) -> Replayed:
    """Make the evaluation of a result file again, from the same working folder, and compare.

    Args:
        file: a result of `t1 evaluate` or `t1 bright`.
        tolerance: a difference up to this counts as none.
        on_change: called with the name of each hash that is no longer the same, as soon as it is
            known.

    Raises:
        Thought1Error: the file is not a result, or something that its request names cannot be used.
    """
    old = read_result(file)
    request = replace(request_of(old), curve=None, faithfulness=False)
    if request.index is not None and not holds_something(Path(request.index)):
        request = replace(request, index=None)  # it would be made, and stay
    if request.system == T1 and request.model is None and request.index is None:
        request = replace(request, model=model_of_its_time(old.system))
    measured, changed = _again(old, request, trust_remote_code, bars, on_change)
    new = build_result(measured, request, price=old.cost.price_per_million_tokens)
    with TemporaryDirectory(prefix="t1-replay-") as scratch:
        path = write_result(Path(scratch), new, measured)
        new, run = read_result(path), read_result_run(path, new)
    found = compare_results(old, new, (read_result_run(file, old), run or {}), tolerance)
    skipped = tuple(name for name in STUDIES if getattr(old, name) is not None)
    return Replayed(found, changed, skipped)


def request_of(result: Result) -> Request:
    """The request that a result answers.

    Raises:
        Thought1Error: the result does not hold a whole one.
    """
    try:
        if result.task.kind == BRIGHT:
            return BrightRequest.from_json(result.request)
        return Request(**result.request)
    except TypeError as error:
        raise Thought1Error(f'the field "request" of the result is broken: {error}') from error


def _again(
    old: Result,
    request: Request,
    trust_remote_code: bool,
    bars: Bars,
    on_change: Callable[[str], object],
) -> tuple[Measured, tuple[str, ...]]:
    if isinstance(request, BrightRequest):
        measured = measure_subset(request, trust_remote_code=trust_remote_code, bars=bars)
        return measured, _changed(old, measured.task, measured.system, on_change)
    task = read_task(request)
    with _open(request, task, trust_remote_code) as system:
        changed = _changed(old, task, system.facts, on_change)
        return measure(task, system, bars), changed


def _changed(
    old: Result, task: Task, facts: SystemFacts, on_change: Callable[[str], object]
) -> tuple[str, ...]:
    before = {"weights": old.system.weights, "settings": old.system.settings}
    now = {"weights": facts.weights, "settings": facts.settings}
    found = (*changes(old.task.hashes, task.hashes), *changes(before, now))
    for name in found:
        on_change(name)
    return found


def _open(request: Request, task: Task, trust_remote_code: bool) -> AbstractContextManager[System]:
    options = request.options(task.thoughts, trust_remote_code=trust_remote_code)
    return open_system(request.system, options)


def _write(
    outputs: Outputs, result: Result, measured: Measured
) -> tuple[Path | None, Thought1Error | None]:
    """The path of the result, and what went wrong: it must not keep the numbers from a reader."""
    try:
        if outputs.run is not None:
            write_run(outputs.run, measured.run, TAG)
        if outputs.results is not None:
            return write_result(outputs.results, result, measured), None
    except Thought1Error as error:
        return None, error
    return None, None
