"""BRIGHT as a whole: each subset ranked by one system, scored by all protocols, and kept.

report = run_bright(BrightRequest("xlangai/BRIGHT", "examples"), ["biology", "pony"])
report.scores.average("official", "ndcg@10")
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from thought1.data.bright import BrightSource, BrightSubset, instruction_for
from thought1.data.formats import write_run
from thought1.data.outputs import check_file, check_folder
from thought1.evaluation.bright.request import BrightRequest
from thought1.evaluation.bright.scores import BrightResult, SubsetScores, scores_of
from thought1.evaluation.bright.task import bright_task
from thought1.evaluation.measure import Measured, measure
from thought1.evaluation.request import T1, choose_model, with_default_model
from thought1.evaluation.results.build import Extras, build_result
from thought1.evaluation.results.files import TAG, check_place, write_result
from thought1.evaluation.systems import open_system
from thought1.evaluation.systems.base import Bars, System, SystemFacts, SystemOptions, no_bars
from thought1.evaluation.systems.t1_exact import OFFICIAL, exact_system
from thought1.evaluation.systems.vector_cache import VectorCache
from thought1.opening import load_t1
from thought1.types import Thought1Error

SystemOf = Callable[[str], System]
"""The system that ranks the subset of a name: one model is another system with each instruction."""

OnMeasured = Callable[[BrightSubset, SubsetScores, Measured], object]


@dataclass(frozen=True, slots=True)
class BrightOutputs:
    """Where files go; None keeps none."""

    results: Path | None = None
    """Folder of result files."""
    runs: Path | None = None
    """Folder of rankings, SUBSET.run in TREC format; it must exist."""
    cache: Path | None = None
    """Folder of document vectors, which are read again where they still hold (t1 only)."""
    price: float | None = None
    """Of a million tokens; see `build_result`."""


@dataclass(slots=True)
class BrightReport:
    """The results, and where they are stored."""

    scores: BrightResult
    facts: SystemFacts
    """Of the first subset."""
    source: str
    instructions: Mapping[str, str]
    """Subset -> the sentence that came with its queries; empty if the system reads none."""
    hashes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Subset -> file -> SHA-256."""
    paths: dict[str, str] = field(default_factory=dict)
    """Subset -> its result file."""

    def to_json(self) -> dict[str, Any]:
        """JSON data: the request, the system, all figures, and the paths."""
        return {
            "source": self.source,
            "system": self.facts.name,
            "model": self.facts.model,
            "think": self.facts.think,
            "instructions": dict(self.instructions),
            "hashes": self.hashes,
            "results": self.paths,
            **self.scores.to_json(),
        }


def check_bright(
    request: BrightRequest, cache: Path | None, called: Callable[[str], str] = str
) -> None:
    """Refuse options of the system t1 with any other system.

    Args:
        called: what the user knows a field by.

    Raises:
        Thought1Error: there is such a field.
    """
    options = {
        "think": request.think is not None,
        "model": request.model is not None,
        "instruction": request.instruction != OFFICIAL,
        "cache": cache is not None,
    }
    for name, given in options.items():
        if given and request.system != T1:
            raise Thought1Error(f"{called(name)} is for the system t1, not for {request.system}")


def run_bright(
    request: BrightRequest,
    names: Sequence[str],
    outputs: BrightOutputs | None = None,
    *,
    choose: Callable[[], str] = choose_model,
    trust_remote_code: bool = False,
    bars: Bars = no_bars,
) -> BrightReport:
    """Measure subsets one after the other; the files of each are written as soon as it is scored.

    Args:
        request: its field `subset` is not read.
        names: of the subsets, at least one.
        choose: names the model where the request does not and needs one.

    Raises:
        Thought1Error: something that the request names cannot be used, or a file cannot be
            written: both are found out before anything is ranked, as far as they can be.
    """
    outputs = outputs or BrightOutputs()
    check_bright(request, outputs.cache)
    _check_outputs(outputs, names)
    subsets = _load(request, names)
    first = next(subsets)  # before the model: what is wrong with it shows at once
    request = with_default_model(request, choose)
    sentences = {
        name: instruction_for(request.instruction, name, long=request.long) for name in names
    }
    with open_systems(request, sentences, outputs.cache, trust_remote_code) as system_of:
        kept = _Kept(request, sentences if request.system == T1 else {}, outputs)
        kept.check_places({name: system_of(name).facts for name in names})
        scores = evaluate_bright(
            _chain(first, subsets), system_of, source=request.folder, on_measured=kept, bars=bars
        )
        facts = system_of(first.name).facts
    instructions = kept.sentences
    return BrightReport(scores, facts, request.folder, instructions, kept.hashes, kept.paths)


def measure_subset(
    request: BrightRequest, *, trust_remote_code: bool = False, bars: Bars = no_bars
) -> Measured:
    """One subset, by the official protocol and the others; nothing is kept.

    Raises:
        Thought1Error: something that the request names cannot be used.
    """
    subset = next(_load(request, [request.subset]))
    sentence = instruction_for(request.instruction, subset.name, long=request.long)
    with open_systems(request, {subset.name: sentence}, None, trust_remote_code) as system_of:
        return _measure(subset, system_of(subset.name), request.folder, bars)


def evaluate_bright(
    subsets: Iterable[BrightSubset],
    system_of: SystemOf,
    *,
    source: str = "",
    on_measured: OnMeasured | None = None,
    bars: Bars = no_bars,
) -> BrightResult:
    """Rank and score each subset.

    Args:
        subsets: at least one, all of one kind and query set.
        system_of: called with the name of each subset in turn.
        source: where the subsets come from, for results.
        on_measured: gets each subset when it is scored.

    Raises:
        Thought1Error: a ranking lacks a query, or holds a document that the subset lacks.
    """
    found: dict[str, SubsetScores] = {}
    kinds = set()
    for subset in subsets:
        kinds.add((subset.long, subset.query_set))
        measured = _measure(subset, system_of(subset.name), source, bars)
        scores = scores_of(subset, measured.run, measured.evaluations)
        found[subset.name] = scores
        if on_measured:
            on_measured(subset, scores, measured)
    if len(kinds) != 1:
        raise ValueError(f"needs subsets of one kind and query set, not {sorted(kinds)}")
    ((long, query_set),) = kinds
    return BrightResult(long, query_set, found)


@contextmanager
def open_systems(
    request: BrightRequest,
    sentences: Mapping[str, str],
    cache: Path | None = None,
    trust_remote_code: bool = False,
) -> Iterator[SystemOf]:
    """The system of a request for each subset; a model is loaded once.

    Args:
        sentences: subset -> the instruction that comes with its queries, for T1.
        cache: of document vectors, for T1.

    Raises:
        Thought1Error: the system cannot be opened.
    """
    if request.system != T1:
        with open_system(request.system, SystemOptions(trust_remote_code)) as system:
            yield lambda name: system
        return
    model = load_t1(request.model, trust_remote_code)
    model.checkpoint.thought_tokens(request.think)  # before anything is encoded
    kept = None if cache is None else VectorCache(cache)
    yield lambda name: exact_system(
        model, sentences[name], request.instruction, request.think, kept
    )


class _Kept:
    """Writes the files of a subset once it is scored."""

    def __init__(
        self, request: BrightRequest, sentences: Mapping[str, str], outputs: BrightOutputs
    ) -> None:
        self.request = request
        self.sentences = sentences
        self.outputs = outputs
        self.hashes: dict[str, Mapping[str, str]] = {}
        self.paths: dict[str, str] = {}

    def check_places(self, facts: Mapping[str, SystemFacts]) -> None:
        """Try whether the result of each subset can be kept."""
        if self.outputs.results is not None:
            for name, system in facts.items():
                task = replace(self.request, subset=name).task_name
                check_place(self.outputs.results, task, system.name, system.revision)

    def __call__(self, subset: BrightSubset, scores: SubsetScores, measured: Measured) -> None:
        self.hashes[subset.name] = measured.task.hashes
        if self.outputs.runs is not None:
            write_run(self.outputs.runs / f"{subset.name}.run", measured.run, TAG)
        if self.outputs.results is not None:
            counts = scores.to_json()
            protocols = counts.pop("protocols")
            bright = {"instruction": self.sentences.get(subset.name), **counts}
            result = build_result(
                measured,
                replace(self.request, subset=subset.name),
                price=self.outputs.price,
                extras=Extras(protocols=protocols, bright=bright),
            )
            self.paths[subset.name] = str(write_result(self.outputs.results, result, measured))


def _measure(subset: BrightSubset, system: System, source: str, bars: Bars) -> Measured:
    return measure(bright_task(subset, source, subset.hashes()), system, bars)


def _check_outputs(outputs: BrightOutputs, names: Sequence[str]) -> None:
    if outputs.runs is not None:
        if not outputs.runs.is_dir():
            raise Thought1Error(f"{outputs.runs} is not a folder: create it first")
        for name in names:
            check_file(outputs.runs / f"{name}.run")
    if outputs.cache is not None:
        check_folder(outputs.cache)


def _load(request: BrightRequest, names: Sequence[str]) -> Iterator[BrightSubset]:
    """The subsets one after the other, once all names are known to be good."""
    source = BrightSource(request.folder)
    for name in names:
        source.check(name, long=request.long, queries=request.split)
    for name in names:
        yield source.load(name, long=request.long, queries=request.split)


def _chain(first: BrightSubset, others: Iterator[BrightSubset]) -> Iterator[BrightSubset]:
    yield first
    yield from others
