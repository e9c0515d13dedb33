"""`t1 rewards`: the saved rollouts of a training run under every reward.

Neither rewards nor correlations are computed here (`thought1.evaluation.reward_lab`):

    t1 rewards runs/reinforce/rollouts.jsonl --reward my_rewards:first_place
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thought1.cli.console import print_json
from thought1.cli.options import Json

if TYPE_CHECKING:
    from rich.table import Table

    from thought1.evaluation.reward_lab import LabReport


def rewards(
    path: Annotated[
        Path,
        typer.Argument(metavar="ROLLOUTS", help="The saved rollouts of a training run."),
    ],
    *,
    reward: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE:FUNCTION",
            help="A custom reward, in addition to the built-in ones; may be repeated.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare rewards on saved rollouts: spread within groups, and rank correlations."""
    from thought1.data.rollouts import read_rollouts
    from thought1.evaluation.reward_lab import compare_rewards
    from thought1.registry import REWARDS

    batches = [saved.rollouts for saved in read_rollouts(path)]
    report = compare_rewards(batches, list(dict.fromkeys([*REWARDS, *(reward or [])])))
    if as_json:
        print_json(report.to_json())
    else:
        _show(report)


def _show(report: "LabReport") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    table = Table(box=None, pad_edge=False)
    for header in ("reward", "mean", "spread", "no variance"):
        table.add_column(header, justify="left" if header == "reward" else "right")
    for figures in report.rewards:
        numbers = (f"{figures.mean:.4f}", f"{figures.spread:.4f}", f"{figures.flat:.1%}")
        table.add_row(figures.name, *numbers)
    console.print(table)
    console.print(
        "spread: mean standard deviation within a group; no variance: share of groups without any"
    )
    pairs = {(found.first, found.second): found for found in report.correlations}
    console.print("\nrank correlation within groups (mean of the groups where both vary)")
    console.print(_matrix(report, {pair: found.within for pair, found in pairs.items()}))
    console.print("\nrank correlation over all rollouts")
    console.print(_matrix(report, {pair: found.overall for pair, found in pairs.items()}))
    console.print(f"\n{report.rollouts} rollouts, {report.groups} groups, {report.batches} batches")


def _matrix(report: "LabReport", values: dict[tuple[str, str], float | None]) -> "Table":
    """The half below the diagonal; its columns are the rewards by their number."""
    from rich.table import Table

    names = [figures.name for figures in report.rewards]
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for number in range(1, len(names)):
        table.add_column(str(number), justify="right")
    for row, name in enumerate(names):
        found = [values[column, name] for column in names[:row]]
        cells = ["-" if value is None else f"{value:.2f}" for value in found]
        table.add_row(f"{row + 1} {name}", *cells)
    return table
