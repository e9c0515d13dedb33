"""`t1 bright`: how well a model answers BRIGHT, by four protocols side by side.

Neither rankings nor metrics are computed here (`thought1.evaluation.bright`):

    t1 bright xlangai/BRIGHT --subset biology --cache vectors --json
    t1 bright xlangai/BRIGHT --system bm25-query
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thought1.cli.console import note, print_json, print_text, progress
from thought1.cli.evaluate_options import NoResults, Price, Results, SystemSpec
from thought1.cli.models import (
    load_model,
    quiet_libraries,
)
from thought1.cli.options import (
    Budget,
    BundledModel,
    Json,
    NoThink,
    TrustRemoteCode,
    thought_budget,
)
from thought1.cli.systems import T1, named
from thought1.data.outputs import check_file, check_folder
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.data.bright import BrightSource, BrightSubset
    from thought1.evaluation.bright import BrightResult, SubsetScores
    from thought1.evaluation.bright_ranking import Answers
    from thought1.evaluation.bright_results import BrightRequest
    from thought1.evaluation.bright_systems import Contestant
    from thought1.evaluation.measure import Measured


Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A hub id (xlangai/BRIGHT), or a folder with documents/SUBSET-*.parquet, "
        "examples/SUBSET-*.parquet and so on.",
    ),
]
Subsets = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Only this subset; may be repeated. By default all."),
]
Long = Annotated[bool, typer.Option("--long", help="Long documents: 8 subsets, Recall@1.")]
QuerySet = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="The query set: examples are the original queries; gpt4_reason and the like are "
        "rewritten ones, another track.",
    ),
]
Instruction = Annotated[
    str,
    typer.Option(
        metavar="official|generic|mteb|TEXT", help="The sentence given with the queries (t1 only)."
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Keep document vectors here, and take those that still hold (t1 only)."
    ),
]
RunFolder = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write each ranking here, SUBSET.run in TREC format."),
]


def bright(
    source: Source,
    *,
    subset: Subsets = None,
    long: Long = False,
    queries: QuerySet = "examples",
    system: SystemSpec = "t1",
    model: BundledModel = None,
    trust_remote_code: TrustRemoteCode = False,
    think: Budget = None,
    no_think: NoThink = False,
    instruction: Instruction = "official",
    cache: Cache = None,
    run_dir: RunFolder = None,
    results: Results = Path("results"),
    no_results: NoResults = False,
    price: Price = None,
    as_json: Json = False,
) -> None:
    """Measure BRIGHT: exact search, 1000 documents for each query, thinking greedily."""
    from thought1.data.bright import LONG, SHORT, BrightSource, instruction_for
    from thought1.evaluation.bright_results import BrightRequest

    request = BrightRequest(
        source,
        queries,
        system=system,
        think=thought_budget(think, no_think),
        model=model,
        long=long,
        instruction=instruction,
    )
    _check(request, cache)
    names = tuple(dict.fromkeys(subset)) if subset else LONG if long else SHORT
    if run_dir is not None and not run_dir.is_dir():
        raise Thought1Error(f"{run_dir} is no folder: make it first")
    if run_dir is not None:
        for name in names:
            check_file(run_dir / f"{name}.run")
    if cache is not None:
        check_folder(cache)
    place = BrightSource(source)
    for name in names:
        place.check(name, long=long, queries=queries)
    # Read before the model is loaded: what is wrong with the first subset shows at once.
    first = place.load(names[0], long=long, queries=queries)
    sentences = {name: instruction_for(instruction, name, long=long) for name in names}
    request = named(request)
    kept = _Kept(request, _open(request, cache, trust_remote_code), sentences)
    kept.runs, kept.results, kept.price = run_dir, None if no_results else results, price
    kept.check_places()
    result = _measure(_subsets(place, names, first), kept)
    if as_json:
        print_json({**kept.to_json(), **result.to_json()})
        return
    _show(result)
    for path in kept.paths.values():
        note(f"result: {path}")


@dataclass(slots=True)
class _Kept:
    """What is kept of each subset once it is scored."""

    request: "BrightRequest"
    contestant: "Contestant"
    sentences: Mapping[str, str]
    runs: Path | None = None
    results: Path | None = None
    price: float | None = None
    hashes: dict[str, Mapping[str, str]] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)

    def check_places(self) -> None:
        """Whether the result of each subset can be kept."""
        from thought1.evaluation.results import check_place

        if self.results is not None:
            for name, sentence in self.sentences.items():
                facts = self.contestant.facts(sentence)
                task = replace(self.request, subset=name).task_name
                check_place(self.results, task, facts.name, facts.revision)

    def keep(self, done: "BrightSubset", scores: "SubsetScores", answers: "Answers") -> None:
        """Write the files of a subset."""
        from thought1.data.formats import write_run
        from thought1.evaluation.bright_results import build_bright_result, measured_of
        from thought1.evaluation.results import TAG, write_result

        sentence = self.sentences[done.name]
        request = replace(self.request, subset=done.name)
        facts = self.contestant.facts(sentence)
        measured = measured_of(request, done, scores, answers, facts)
        self.hashes[done.name] = measured.task.hashes
        if self.runs is not None:
            write_run(self.runs / f"{done.name}.run", answers.run, TAG)
        if self.results is not None:
            asked = sentence if self.contestant.instructed else None
            content = build_bright_result(
                measured, request, scores, sentence=asked, price=self.price
            )
            self.paths[done.name] = str(write_result(self.results, content, measured))

    def to_json(self) -> dict[str, Any]:
        """What was asked of which system, and where it lies."""
        facts = self.contestant.facts(next(iter(self.sentences.values())))
        return {
            "source": self.request.folder,
            "system": facts.name,
            "model": facts.model,
            "think": facts.think,
            "instructions": self.sentences if self.contestant.instructed else {},
            "hashes": self.hashes,
            "results": self.paths,
        }


def _check(request: "BrightRequest", cache: Path | None) -> None:
    options = {
        "--think or --no-think": request.think is not None,
        "--model": request.model is not None,
        "--instruction": request.instruction != "official",
        "--cache": cache is not None,
    }
    for name, given in options.items():
        if given and request.system != T1:
            raise Thought1Error(f"{name} is for the system t1, not for {request.system}")


def _open(request: "BrightRequest", cache: Path | None, trust_remote_code: bool) -> "Contestant":
    from thought1.evaluation.bright_systems import T1System, contestant_of, open_peer
    from thought1.evaluation.vector_cache import VectorCache

    if request.system != T1:
        quiet_libraries()
        return open_peer(request.system, trust_remote_code=trust_remote_code)
    t1 = load_model(request.model, trust_remote_code)
    t1.checkpoint.thought_tokens(request.think)  # before anything is encoded
    kept = None if cache is None else VectorCache(cache)
    return contestant_of(T1System(t1, request.think, kept), request.instruction)


def _measure(subsets: "Iterator[BrightSubset]", kept: _Kept) -> "BrightResult":
    from thought1.evaluation.bright import evaluate_bright

    with progress("documents", None, "documents") as bar:
        ranking = kept.contestant.ranking(lambda one: kept.sentences[one.name], bar.update)
        return evaluate_bright(subsets, ranking, on_scores=kept.keep)


def measure_bright(request: "BrightRequest", trust_remote_code: bool) -> "Measured":
    """One subset again, by the official protocol.

    Raises:
        Thought1Error: something that the request names cannot be used.
    """
    from thought1.data.bright import BrightSource, instruction_for
    from thought1.evaluation.bright import evaluate_bright
    from thought1.evaluation.bright_results import measured_of

    place, name = BrightSource(request.folder), request.subset
    subset = place.load(name, long=request.long, queries=request.split)
    sentence = instruction_for(request.instruction, name, long=request.long)
    contestant = _open(request, None, trust_remote_code)
    facts = contestant.facts(sentence)
    found: list[Measured] = []
    with progress("documents", None, "documents") as bar:
        evaluate_bright(
            [subset],
            contestant.ranking(lambda one: sentence, bar.update),
            on_scores=lambda done, scores, answers: found.append(
                measured_of(request, done, scores, answers, facts)
            ),
        )
    return found[0]


def _subsets(
    place: "BrightSource", names: tuple[str, ...], first: "BrightSubset"
) -> "Iterator[BrightSubset]":
    yield first
    for name in names[1:]:
        yield place.load(name, long=first.long, queries=first.query_set)


def _show(result: "BrightResult") -> None:
    from rich.console import Console
    from rich.table import Table

    from thought1.evaluation.bright_protocols import PROTOCOLS

    console = Console(highlight=False, markup=False, soft_wrap=True)
    for measure in ("ndcg@10", "recall@1") if result.long else ("ndcg@10",):
        table = Table(box=None, pad_edge=False)
        table.add_column(f"{measure} x 100")
        for protocol in PROTOCOLS:
            table.add_column(protocol.name, justify="right")
        for name, scores in result.subsets.items():
            means = [scores.evaluations[p.name].metrics[measure] for p in PROTOCOLS]
            table.add_row(name, *(f"{100 * mean:.1f}" for mean in means))
        means = [result.average(p.name, measure) for p in PROTOCOLS]
        number = "all" if result.complete else "these"
        title = f"average of {number} {len(result.subsets)}"
        table.add_row(title, *(f"{100 * mean:.1f}" for mean in means))
        console.print(table)
    print_text(f"{'long' if result.long else 'short'} documents, {result.track}")
    for protocol in PROTOCOLS:
        print_text(f"{protocol.name}: {protocol.difference}")
    for scores in result.subsets.values():
        _remark(scores)


def _remark(scores: "SubsetScores") -> None:
    """What a reader must know before the figures of this subset are quoted."""
    if scores.missing_excluded:
        note(
            f"{scores.subset}: {scores.missing_excluded} excluded ids are not among the documents "
            "and exclude nothing; the official code would stop: are the ids of another version?"
        )
    if scores.without_gold:
        note(f"{scores.subset}: {scores.without_gold} queries have no gold document: not counted")
    if scores.num_short:
        note(f"{scores.subset}: {scores.num_short} rankings are shorter than they could be")
