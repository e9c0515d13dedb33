"""`t1 replay`: does an evaluation give the same numbers again?

Compares only; the evaluation is the one of `t1 evaluate`, or of `t1 bright`:

    t1 replay results/bm25/bm25s-0.3.16/entailmentbank-dev.json
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thought1.cli.bright import measure_bright
from thought1.cli.console import note, print_json, print_text, progress
from thought1.cli.models import holds_something
from thought1.cli.options import Json, TrustRemoteCode
from thought1.cli.systems import T1, open_request

if TYPE_CHECKING:
    from thought1.evaluation.measure import Measured, Request, Task
    from thought1.evaluation.replay import Comparison
    from thought1.evaluation.systems import SystemFacts


def replay(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A result of t1 evaluate or t1 bright.")
    ],
    *,
    tolerance: Annotated[
        float,
        typer.Option(min=0, max=1e9, metavar="X", help="A difference up to this counts as none."),
    ] = 1e-6,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
) -> None:
    """Run an evaluation again, from the same folder, and compare; ends with 1 where it differs."""
    from thought1.evaluation.replay import compare, meant, request_of
    from thought1.evaluation.results import (
        STUDIES,
        build_result,
        read_result,
        read_result_run,
        write_result,
    )

    old = read_result(file)
    request = replace(request_of(old), curve=None, faithfulness=False)
    skipped = [name for name in STUDIES if name in old]
    if request.index is not None and not holds_something(Path(request.index)):
        request = replace(request, index=None)  # else it would be made anew, and stay
    if request.system == T1 and request.model is None and request.index is None:
        request = replace(request, model=meant(old))
    measured, changed = _again(old, request, trust_remote_code)
    content = build_result(measured, request, price=old["cost"]["price_per_million_tokens"])
    with TemporaryDirectory(prefix="t1-replay-") as scratch:
        path = write_result(Path(scratch), content, measured)
        new, run = read_result(path), read_result_run(path, content)
    found = compare(old, new, (read_result_run(file, old), run or {}), tolerance)
    if as_json:
        print_json({**found.to_json(), "changed": changed, "not_replayed": skipped})
    else:
        _show(found)
        if skipped:
            print_text(f"not replayed: {', '.join(skipped)}")
    if not found.equal:
        raise typer.Exit(1)


def _again(
    old: dict[str, Any], request: "Request", trust_remote_code: bool
) -> "tuple[Measured, list[str]]":
    """What is found now, and what has changed since; that is noted as soon as it is known."""
    from thought1.evaluation.bright_results import BrightRequest
    from thought1.evaluation.measure import measure

    if isinstance(request, BrightRequest):
        measured = measure_bright(request, trust_remote_code)
        return measured, _changed(old, measured.task, measured.system)
    with open_request(request, trust_remote_code) as (task, system):
        changed = _changed(old, task, system.facts)
        return measure(task, system, progress), changed


def _changed(old: dict[str, Any], task: "Task", facts: "SystemFacts") -> list[str]:
    from thought1.evaluation.replay import changes

    kinds = ("weights", "settings")
    now = facts.to_json()
    found = [
        *changes(old["task"]["hashes"], task.hashes),
        *changes({k: old["system"][k] for k in kinds}, {k: now[k] for k in kinds}),
    ]
    for name in found:
        note(f"changed since: {name}")
    return found


def _show(found: "Comparison") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for header in ("measure", "old", "new", "difference", "largest of a query"):
        table.add_column(header, justify="left" if header == "measure" else "right")
    for row in found.rows:
        numbers = (f"{row.old:.6f}", f"{row.new:.6f}")
        table.add_row(row.measure, *numbers, f"{row.new - row.old:+.2g}", f"{row.largest:.2g}")
    Console(highlight=False, markup=False).print(table)
    run = "the old run has not been kept" if found.run is None else f"{found.run:.2g}"
    print_text(f"largest difference of a score in the run: {run}")
    verdict = "the same" if found.equal else "not the same"
    print_text(f"{verdict}, at a tolerance of {found.tolerance:g}")
