"""`t1 replay`: does an evaluation give the same numbers again?

Compares only; the evaluation is the one of `t1 evaluate`, or of `t1 bright`:

    t1 replay results/bm25/bm25s-0.3.16/entailmentbank-dev.json
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thought1.cli.console import note, print_json, print_text, progress
from thought1.cli.models import quiet_libraries
from thought1.cli.options import Json, TrustRemoteCode

if TYPE_CHECKING:
    from thought1.evaluation.results.replay import Replay


def replay(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A result of t1 evaluate or t1 bright.")
    ],
    *,
    tolerance: Annotated[
        float,
        typer.Option(min=0, max=1e9, metavar="X", help="Differences up to this are ignored."),
    ] = 1e-6,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
) -> None:
    """Run an evaluation again, from the same folder, and compare; exits with 1 if it differs."""
    from thought1.evaluation import run

    quiet_libraries()
    done = run.replay(
        file,
        tolerance=tolerance,
        trust_remote_code=trust_remote_code,
        bars=progress,
        on_change=lambda name: note(f"changed since: {name}"),
    )
    found, skipped = done.comparison, list(done.skipped)
    if as_json:
        print_json({**found.to_json(), "changed": list(done.changed), "not_replayed": skipped})
    else:
        _show(found)
        if skipped:
            print_text(f"not replayed: {', '.join(skipped)}")
    if not found.equal:
        raise typer.Exit(1)


def _show(found: "Replay") -> None:
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
