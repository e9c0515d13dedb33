"""Draw what `search_adaptive.py` has measured: nDCG@10 over the share of tokens, a line a rule.

    python benchmarks/draw_adaptive.py FILE.json [FILE.json ...] --output FILE.svg

A panel for each file: every gate and stop rule by its threshold, thoughts cut at a budget, and the
goal, 95 % of the gain at half of the tokens, as a grey corner.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from record import exit_code

from thought1.types import Thought1Error

FAMILIES = (
    "gate margin",
    "gate score",
    "gate spread",
    "gate agreement",
    "cosine",
    "overlap",
    "budget",
)
KEPT, SHARE = 0.95, 0.5
"""The goal: so much of the gain at so much of the tokens."""


def lines(points: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """(share of tokens, nDCG@10) of each family, from few tokens to many."""
    return {
        family: sorted(
            (point["share of tokens"], point["ndcg@10"])
            for point in points
            if point["family"] == family
        )
        for family in FAMILIES
    }


def draw(reports: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """One panel for each report, by its title."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise Thought1Error('drawing needs matplotlib: pip install "thought1[bench]"') from None
    figure = Figure(figsize=(5.5 * len(reports), 4.5), layout="constrained")
    panels = figure.subplots(1, len(reports), squeeze=False)[0]
    for axes, (title, report) in zip(panels, reports.items(), strict=True):
        points = report["points"]
        ends = {point["family"]: point["ndcg@10"] for point in points}
        never, always = ends["never"], ends["always"]
        for family, places in lines(points).items():
            style = "--" if family == "budget" else "-"
            axes.plot(*zip(*places, strict=True), style, marker="o", markersize=3, label=family)
        axes.plot([0, 1], [never, always], "k*", label="never, always")
        goal = never + KEPT * (always - never)
        axes.plot([0, SHARE, SHARE], [goal, goal, never], color="0.7", linewidth=1, label="goal")
        axes.set(xlabel="share of the thoughts' tokens", ylabel="nDCG@10", title=title)
    panels[0].legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a date or a random salt, so that the same figures give the same file.
    with rc_context({"svg.hashsalt": "t1"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def run(options: argparse.Namespace) -> None:
    """Read, draw."""
    reports = {}
    for path in options.files:
        try:
            found = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise Thought1Error(f"{path} cannot be read: {error}") from error
        if not isinstance(found, dict) or not found.get("points"):
            raise Thought1Error(f"{path} is no result of search_adaptive.py")
        reports[path.stem.removeprefix("search-adaptive-")] = found
    draw(reports, options.output)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    parser = argparse.ArgumentParser(description="Draw gates and stop rules.")
    parser.add_argument("files", type=Path, nargs="+", help="results of search_adaptive.py")
    parser.add_argument("--output", type=Path, required=True, help="SVG, PNG or PDF")
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    return exit_code(lambda: run(options))


if __name__ == "__main__":
    raise SystemExit(main())
