"""`t1 calibrate`: how much an index's searches should think, from questions with known answers.

Rules and numbers are not here (`thought1.search.calibration`):

    t1 calibrate facts.index --questions queries.jsonl --qrels qrels/train.tsv
    t1 search facts.index "Why do ice cubes crack in warm water?" --adaptive calibrated
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thought1.cli.console import print_json, print_text, progress
from thought1.cli.models import open_index
from thought1.cli.options import (
    IndexModel,
    Json,
    SearchMode,
    TrustRemoteCode,
    thought_checkpoints,
)
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.search.calibration import Calibration, Figures


def calibrate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the index.")],
    questions: Annotated[
        Path,
        typer.Option(
            "--questions", metavar="FILE", help="Questions as JSON lines with _id and text."
        ),
    ],
    qrels: Annotated[
        Path,
        typer.Option(
            "--qrels", metavar="FILE", help="Their judgements: TREC, or BEIR's TSV; may be .gz."
        ),
    ],
    *,
    mode: SearchMode = "hybrid",
    checkpoints: Annotated[
        str | None,
        typer.Option(
            "--checkpoints",
            metavar="0,N,...",
            help="Tokens after which a thought may end; by default every 8 up to 48.",
        ),
    ] = None,
    keep: Annotated[
        float,
        typer.Option(
            "--keep", metavar="SHARE", help="Share of the gain from thinking that must be kept."
        ),
    ] = 0.95,
    model: IndexModel = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
) -> None:
    """Choose when searches think, and when they stop; stored with the index."""
    from thought1.data.texts import read_queries
    from thought1.data.trec import read_qrels
    from thought1.search.calibration import calibrated, write_calibration
    from thought1.search.observing import MEASURE, observe
    from thought1.search.options import SearchOptions

    if mode == "bm25":
        raise Thought1Error("bm25 does not think: there is nothing to calibrate")
    if not 0 < keep <= 1:
        raise Thought1Error(f"--keep is a share above 0 and up to 1, not {keep}")
    places = _places(checkpoints)
    queries = {query.id: query.text for query in read_queries(questions)}
    judged = read_qrels(qrels)
    index, t1 = open_index(folder, model, trust_remote_code)
    options = SearchOptions(mode=mode, checkpoints=places)
    with progress("calibrate", None, "questions") as bar:
        observed = observe(index, queries, judged, options, bar.update)
    found = calibrated(observed, t1.name, mode, MEASURE, keep)
    write_calibration(index.path, found)
    if as_json:
        print_json(found.to_json())
    else:
        _show(found)


def _places(text: str | None) -> tuple[int, ...]:
    from thought1.search.adaptive import CHECKPOINTS

    places = thought_checkpoints(text) or CHECKPOINTS
    if len(places) < 2 or places[0] != 0:
        raise Thought1Error("--checkpoints begin with 0, the bare question, and go on: 0,16,32")
    return places


def _show(found: "Calibration") -> None:
    rows = [("bare", found.bare), ("full", found.full), ("chosen", found.chosen)]
    print_text(f"{'':<10}{found.measure:>9}{'tokens':>8}")
    for name, figures in [*rows, ("held out", found.held_out)]:
        print_text(_line(name, figures))
    print_text(f"{found.questions} questions; {_rule(found)}")


def _line(name: str, figures: "Figures") -> str:
    return f"{name:<10}{figures.quality:>9.3f}{figures.tokens:>8.1f}"


def _rule(found: "Calibration") -> str:
    from thought1.search.adaptive import Adaptive

    rule = found.rule
    if not isinstance(rule, Adaptive):
        return "always think to the end" if rule else "thinking gains nothing here: never think"
    parts = []
    if rule.gate is not None:
        parts.append(f"think where {rule.gate.signal} is below {rule.gate.below:.4g}")
    if rule.cosine is not None:
        parts.append(f"stop at a cosine of {rule.cosine:g}")
    if rule.overlap is not None:
        parts.append(f"stop at an overlap of {rule.overlap:g}")
    return ", ".join(parts)
