"""`t1 search`: ask an index.

Knows how results are shown, not how they are found:

    t1 search facts.index "Why do ice cubes crack in warm water?" --think 64 -k 5
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from thought1.cli.console import (
    print_csv,
    print_json,
    print_text,
    receipt_line,
    show_result,
)
from thought1.cli.elsewhere import Thinker, Thoughts, find_writer, search_with_writer
from thought1.cli.kept_thoughts import ThoughtCache, with_cache
from thought1.cli.models import Encoder, open_index, open_without_model
from thought1.cli.options import (
    CALIBRATED,
    AdaptiveRule,
    Budget,
    Checkpoints,
    Evidence,
    IndexModel,
    Json,
    NoRepeat,
    NoThink,
    Rounds,
    Samples,
    SearchMode,
    Seed,
    Temperature,
    TopP,
    TrustRemoteCode,
    adaptive_rule,
    thought_budget,
    thought_checkpoints,
    thought_sampling,
)
from thought1.cli.questions import read_questions
from thought1.cli.reranking import (
    Rerank,
    RerankDepth,
    RerankGuided,
    RerankWeight,
    with_reranker,
)
from thought1.cli.result_json import receipt_data, result_data
from thought1.cli.search_options import (
    Combine,
    Conditions,
    Csv,
    Explained,
    FusedByOption,
    FusionWeights,
    GivenThought,
    GroupBest,
    GroupBy,
    Hits,
    JsonLines,
    MinConfidence,
    Neighbours,
    Offset,
    Question,
)
from thought1.cli.where import parse_where
from thought1.search.options import FusedBy
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.index import Index
    from thought1.search.options import Fusion, SearchOptions
    from thought1.types import Receipt, SearchResult


Form = Literal["text", "json", "jsonl", "csv"]
"""How results are printed."""

Flags = tuple[float | None, float | None, int | None, int | None]
"""Temperature, top-p, seed and repetition control, as given."""


def search(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the index.")],
    question: Question = None,
    k: Hits = 10,
    mode: SearchMode = "hybrid",
    think: Budget = None,
    no_think: NoThink = False,
    where: Conditions = None,
    offset: Offset = 0,
    fused_by: FusedByOption = None,
    fusion_weights: FusionWeights = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    seed: Seed = None,
    no_repeat: NoRepeat = None,
    samples: Samples = 1,
    evidence: Evidence = 0,
    rounds: Rounds = 1,
    combine: Combine = "mean",
    min_confidence: MinConfidence = None,
    checkpoints: Checkpoints = None,
    adaptive: AdaptiveRule = None,
    thought: GivenThought = None,
    explain: Explained = False,
    group_by: GroupBy = "",
    group_best: GroupBest = 1,
    neighbours: Neighbours = 0,
    thinker: Thinker = None,
    thoughts: Thoughts = None,
    thought_cache: ThoughtCache = False,
    rerank: Rerank = None,
    rerank_depth: RerankDepth = None,
    rerank_weight: RerankWeight = None,
    rerank_guided: RerankGuided = False,
    model: IndexModel = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
    as_lines: JsonLines = False,
    as_csv: Csv = False,
) -> None:
    """Search an index by meaning, by words, or both."""
    from thought1.search.options import SearchOptions

    form, sampled = _form(as_json, as_lines, as_csv), (temperature, top_p, seed, no_repeat)
    _check_sampling(mode, sampled)
    options = SearchOptions(
        k,
        mode,
        thought_budget(think, no_think),
        parse_where(where or []),
        offset,
        fusion=_fusion(fused_by, fusion_weights, mode),
        samples=samples,
        evidence=evidence,
        rounds=rounds,
        combine=combine,
        min_confidence=min_confidence,
        checkpoints=thought_checkpoints(checkpoints),
        adaptive=adaptive_rule(adaptive),
        group_by=group_by,
        group_best=group_best,
        neighbours=neighbours,
        explain=explain,
    )
    options = with_reranker(options, rerank, rerank_depth, rerank_weight, rerank_guided)
    if thought is not None:
        _check_thought(question, options, (*sampled, thinker, thoughts))
    questions = read_questions([] if question is None else [question])
    writer = find_writer(thinker, thoughts, options, (adaptive, *sampled, thought_cache or None))
    index, t1 = _open(folder, mode, model, trust_remote_code)
    index = with_cache(index, t1) if thought_cache else index
    if writer is None:
        options = _thinking(options, t1, sampled)
    if adaptive == CALIBRATED:
        options = _calibrated(folder, options, t1)
    _show(*search_with_writer(index, questions, options, writer, thought), form)


def _open(
    folder: Path, mode: str, model: str | None, trust_remote_code: bool
) -> "tuple[Index, Encoder | None]":
    """The index, and its model where one is needed."""
    if mode == "bm25":
        return open_without_model(folder), None
    return open_index(folder, model, trust_remote_code)


def _thinking(options: "SearchOptions", model: "Encoder | None", sampled: Flags) -> "SearchOptions":
    """With the sampling that the flags and the model say."""
    if model is None:
        return options
    usual = model.greedy if options.samples == 1 else model.sampled
    return replace(options, sampling=thought_sampling(usual, *sampled))


def _calibrated(folder: Path, options: "SearchOptions", model: "Encoder | None") -> "SearchOptions":
    from thought1.search.calibration import read_calibration

    if model is None or options.think is not None or options.checkpoints:
        raise Thought1Error(
            "--adaptive calibrated thinks as `t1 calibrate` has found: leave --think, --no-think, "
            "--checkpoints and --mode bm25 out"
        )
    return read_calibration(folder, model.name).options(options)


def _check_thought(
    question: str | None, options: "SearchOptions", sampled: Sequence[object]
) -> None:
    if question is None:
        raise Thought1Error("--thought is about one QUESTION: give it as an argument")
    thinks = options.think is not None or any(value is not None for value in sampled)
    several = options.samples > 1 or options.evidence or options.checkpoints or options.adaptive
    if thinks or several or options.mode == "bm25":
        raise Thought1Error(
            "with --thought nothing is generated: leave --mode bm25 and the options of how the "
            "model thinks out"
        )


def _check_sampling(mode: str, sampled: Sequence[object]) -> None:
    if mode == "bm25" and any(value is not None for value in sampled):
        raise Thought1Error(
            "bm25 does not think: leave --temperature, --top-p, --seed and --no-repeat out"
        )


def _fusion(by: FusedBy | None, weights: str | None, mode: str) -> "Fusion":
    from thought1.search.options import Fusion

    if mode != "hybrid" and (by or weights is not None):
        raise Thought1Error("--fusion and --fusion-weights are of --mode hybrid")
    by = by or "scores"
    if weights is None:
        return Fusion(by=by)
    try:
        dense, bm25 = map(float, weights.split(","))
    except ValueError:
        raise Thought1Error(
            f"--fusion-weights {weights!r}: give two numbers with a comma between them, such as 2,1"
        ) from None
    return Fusion(dense_weight=dense, bm25_weight=bm25, by=by)


def _form(as_json: bool, as_lines: bool, as_csv: bool) -> Form:
    if as_json + as_lines + as_csv > 1:
        raise Thought1Error("--json, --jsonl and --csv exclude each other")
    return "json" if as_json else "jsonl" if as_lines else "csv" if as_csv else "text"


def _show(results: "list[SearchResult]", receipt: "Receipt", form: Form) -> None:
    if form == "json":
        content = [result_data(result) for result in results]
        print_json({"results": content, "receipt": receipt_data(receipt)})
    elif form == "jsonl":
        for result in results:
            print_json(result_data(result))
    elif form == "csv":
        print_csv(results)
    else:
        _show_text(results, receipt)


def _show_text(results: "list[SearchResult]", receipt: "Receipt") -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    for result in results:
        show_result(console, result)
        console.print()
    print_text(receipt_line(receipt))
