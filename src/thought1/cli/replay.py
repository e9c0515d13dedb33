"""`t1 replay`: does an evaluation give the same numbers again?

Compares only; the evaluation is the one of `t1 evaluate`:

    t1 replay results/bm25/bm25s-0.3.16/entailmentbank-dev.json
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from thought1.cli.console import note, print_json, print_text
from thought1.cli.models import holds_something
from thought1.cli.options import Json
from thought1.cli.systems import measure_request

if TYPE_CHECKING:
    from thought1.evaluation.measure import Task
    from thought1.evaluation.replay import Comparison
    from thought1.evaluation.systems import System


def replay(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A result that t1 evaluate has written.")
    ],
    *,
    tolerance: Annotated[
        float, typer.Option(min=0, metavar="X", help="A difference up to this counts as none.")
    ] = 1e-6,
    as_json: Json = False,
) -> None:
    """Run an evaluation again, from the same folder, and compare; ends with 1 where it differs."""
    from thought1.evaluation.replay import changes, compare, request_of
    from thought1.evaluation.results import (
        build_result,
        read_result,
        read_result_run,
        write_result,
    )

    old = read_result(file)
    request = request_of(old)
    if request.index is not None and not holds_something(Path(request.index)):
        request = replace(request, index=None)  # else it would be made anew, and stay
    changed: list[str] = []

    def check(task: "Task", system: "System") -> None:
        kinds = ("weights", "settings")
        facts = system.facts.to_json()
        changed.extend(changes(old["task"]["hashes"], task.hashes))
        changed.extend(changes({k: old["system"][k] for k in kinds}, {k: facts[k] for k in kinds}))
        for name in changed:
            note(f"changed since: {name}")

    measured = measure_request(request, check)
    content = build_result(measured, request, price=old["cost"]["price_per_million_tokens"])
    with TemporaryDirectory(prefix="t1-replay-") as scratch:
        path = write_result(Path(scratch), content, measured)
        new, run = read_result(path), read_result_run(path, content)
    found = compare(old, new, (read_result_run(file, old), run or {}), tolerance)
    if as_json:
        print_json({**found.to_json(), "changed": changed})
    else:
        _show(found)
    if not found.equal:
        raise typer.Exit(1)


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
