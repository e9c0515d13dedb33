"""`t1 bright`: how well a model answers BRIGHT, by four protocols side by side.

Neither rankings nor metrics are computed here (`thought1.evaluation.bright`):

    t1 bright xlangai/BRIGHT --subset biology --cache vectors --json
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thought1.cli.console import note, print_json, print_text, progress
from thought1.cli.models import load_model, think_greedily
from thought1.cli.options import Budget, BundledModel, Json, NoThink, thought_budget
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.data.bright import BrightSource, BrightSubset
    from thought1.evaluation.bright import BrightResult, BrightSystem, SubsetScores
    from thought1.t1 import T1
    from thought1.types import Run


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
    typer.Option(metavar="official|generic|mteb|TEXT", help="The sentence given with the queries."),
]
Cache = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep vectors here, and take those that still hold."),
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
    model: BundledModel = None,
    think: Budget = None,
    no_think: NoThink = False,
    instruction: Instruction = "official",
    cache: Cache = None,
    run_dir: RunFolder = None,
    as_json: Json = False,
) -> None:
    """Measure BRIGHT: exact search, 1000 documents for each query, thinking greedily."""
    from thought1.data.bright import LONG, SHORT, BrightSource, check_names, instruction_for

    budget = thought_budget(think, no_think)
    if run_dir is not None and not run_dir.is_dir():
        raise Thought1Error(f"{run_dir} is no folder: make it first")
    names = tuple(dict.fromkeys(subset)) if subset else LONG if long else SHORT
    for name in names:
        check_names(name, long, queries)
    place = BrightSource(source)
    # Read before the model is loaded: what is wrong with the first subset shows at once.
    first = place.load(names[0], long=long, queries=queries)
    t1 = load_model(model)
    think_greedily(t1)
    sentences = {name: instruction_for(instruction, name, long=long) for name in names}
    subsets = _subsets(place, names, first)
    result, hashes = _measure(subsets, _system(t1, budget, cache), sentences, run_dir)
    if as_json:
        think_budget = t1.settings.thought.max_new_tokens if budget is None else budget
        facts = {"source": source, "model": t1.name, "think": think_budget}
        print_json({**facts, "instructions": sentences, "hashes": hashes, **result.to_json()})
    else:
        _show(result)


def _measure(
    subsets: "Iterator[BrightSubset]",
    system: "BrightSystem",
    sentences: Mapping[str, str],
    run_dir: Path | None,
) -> tuple["BrightResult", dict[str, dict[str, str]]]:
    """The figures, and the hashes of each subset's files; a ranking is written once it is there."""
    from thought1.data.formats import write_run
    from thought1.evaluation.bright import evaluate_bright, ranking_of_system

    hashes = {}

    def keep(done: "BrightSubset", run: "Run") -> None:
        hashes[done.name] = done.hashes()
        if run_dir is not None:
            write_run(run_dir / f"{done.name}.run", run, "thought1")

    with progress("documents", None, "documents") as bar:
        ranking = ranking_of_system(system, lambda one: sentences[one.name], bar.update)
        return evaluate_bright(subsets, ranking, on_run=keep), hashes


def _system(t1: "T1", budget: int | None, cache: Path | None) -> "BrightSystem":
    from thought1.evaluation.bright_systems import CachedSystem, T1System
    from thought1.evaluation.vector_cache import VectorCache

    system = T1System(t1, budget)
    return system if cache is None else CachedSystem(system, VectorCache(cache))


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
