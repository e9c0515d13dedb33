"""`t1 leaderboard`: published results by track, every average checked.

Neither averages nor flags are computed here (`thought1.evaluation.leaderboard`):

    t1 leaderboard --track original
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thought1.cli.console import print_json, print_text
from thought1.cli.options import Json
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.evaluation.leaderboard import Leaderboard, LeaderboardTrack, PublishedRow


def leaderboard(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="Results in YAML; by default the included ones of BRIGHT."
        ),
    ] = None,
    *,
    track: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this track; may be repeated."),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead.")] = False,
    as_json: Json = False,
) -> None:
    """Show published results by track, recompute every average, and flag wrong ones."""
    from thought1.evaluation.leaderboard import default_file, read_leaderboard

    if markdown and as_json:
        raise Thought1Error("--markdown and --json contradict each other: give one of them")
    board = read_leaderboard(path or default_file())
    names = list(dict.fromkeys(track or board.tracks))
    ranked = {name: board.ranked(name) for name in names}
    if as_json:
        tracks = [_track_data(board, name, rows) for name, rows in ranked.items()]
        print_json({"benchmark": board.benchmark, "tracks": tracks})
        return
    for name, rows in ranked.items():
        for line in _track_lines(board, name, rows, markdown):
            print_text(line)


def _track_data(board: "Leaderboard", name: str, rows: "list[PublishedRow]") -> dict[str, Any]:
    track = board.tracks[name]
    return {
        "name": name,
        "title": track.title,
        "metric": track.metric,
        "subsets": list(track.subsets),
        "rows": [_row_data(row, track) for row in rows],
    }


def _row_data(row: "PublishedRow", track: "LeaderboardTrack") -> dict[str, Any]:
    mean = row.mean(track)
    return {
        "system": row.system,
        "published": None if row.published is None else dict(row.published),
        "average": row.average,
        "averaged_again": None if mean is None else float(mean),
        "ours": row.ours,
        "command": row.command,
        "source": {"title": row.source.title, "url": row.source.url},
        "note": row.note,
        "flags": list(row.flags),
    }


def _track_lines(
    board: "Leaderboard", name: str, rows: "list[PublishedRow]", markdown: bool
) -> list[str]:
    """A heading, the table, and below it what does not fit into a table."""
    track = board.tracks[name]
    sources = list(dict.fromkeys(row.source for row in rows))
    header = ["system", *track.subsets.values(), "average", "again", "ours", "source"]
    cells = [_cells(row, track, sources.index(row.source) + 1) for row in rows]
    remarks = [f"! {row.system}: {flag}" for row in rows for flag in row.flags]
    remarks += [f"{row.system}: {row.note}" for row in rows if row.note]
    remarks += [f"{row.system}: {row.command}" for row in rows if row.command]
    remarks += [f"[{i}] {source.title}, {source.url}" for i, source in enumerate(sources, 1)]
    title = f"{track.title} ({name}): {track.metric}, {len(track.subsets)} subsets"
    if markdown:
        listed = [f"- {remark}" for remark in remarks]
        return [f"### {title}", "", *_markdown(header, cells), "", *listed, ""]
    return [f"{board.benchmark}: {title}", *_aligned(header, cells), *remarks, ""]


def _cells(row: "PublishedRow", track: "LeaderboardTrack", source: int) -> list[str]:
    from thought1.evaluation.leaderboard import one_decimal

    published = row.published or {}
    figures = [*(published.get(subset) for subset in track.subsets), row.average]
    shown = ["-" if value is None else one_decimal(value) for value in figures]
    if row.flags:
        shown[-1] += " !"
    last = [row.mean(track), row.ours]
    shown += ["-" if value is None else one_decimal(value) for value in last]
    return [row.system, *shown, f"[{source}]"]


def _markdown(header: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---", *("--:" for _ in header[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]


def _aligned(header: list[str], rows: list[list[str]]) -> list[str]:
    """Wide tables are cut by no terminal's width: lines may be long."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return [
        "  ".join([cells[0].ljust(widths[0]), *map(str.rjust, cells[1:], widths[1:])])
        for cells in (header, *rows)
    ]
