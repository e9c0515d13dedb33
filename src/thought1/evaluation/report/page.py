"""The whole page: one HTML file that loads nothing and runs one known script.

    page = render_page(read_results(folder), "Results")

The same results and title give the same bytes. Permitted scripts and styles are pinned by hashes in
the page's own Content-Security-Policy; everything else is refused by the browser.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources

from thought1.evaluation.report.blocks import absent, beside, paragraph, section
from thought1.evaluation.report.comparisons import curves, differences, faithfulness
from thought1.evaluation.report.grouping import TaskGroup, by_task
from thought1.evaluation.report.markup import Markup, join, render
from thought1.evaluation.report.overview import bright, overview, task_bars
from thought1.evaluation.report.provenance import data_differ, provenance
from thought1.evaluation.report.queries import best_and_worst, queries_of, query_by_query
from thought1.evaluation.report.reading import ResultFile
from thought1.evaluation.report.wording import counted, listed, metric_name


def render_page(results: Sequence[ResultFile], title: str) -> str:
    """The page as HTML.

    Args:
        results: at least one.
        title: plain text.

    Raises:
        Thought1Error: the results on one task have no measure in common.
    """
    tasks = by_task(results)
    tracks = list(dict.fromkeys(task.bright for task in tasks if task.bright))
    groups = [
        bright(track, f"track{number}", [task for task in tasks if task.bright == track])
        for number, track in enumerate(tracks, start=1)
    ]
    contents = [("overview", "Overview")]
    contents += [(f"track{number}", track) for number, track in enumerate(tracks, start=1)]
    contents += [(task.key, task.name) for task in tasks]
    contents.append(("provenance", "Provenance"))
    parts = [overview(tasks), *groups, *map(_task, tasks), provenance(tasks)]
    style, script = _own_file("style.css"), _own_file("page.js")
    return render(
        "page.html",
        "page",
        title,
        _subtitle(tasks),
        contents,
        join(parts),
        Markup(style),
        Markup(script),
        _policy(style, script),
    )


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _own_file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _subtitle(tasks: Sequence[TaskGroup]) -> str:
    results = [entry.result for task in tasks for entry in task.entries]
    systems = {entry.label for task in tasks for entry in task.entries}
    dates = sorted(
        {str(result.origin["date"])[:10] for result in results if "date" in result.origin}
    )
    when = f", {dates[0]}" + (f" to {dates[-1]}" if len(dates) > 1 else "") if dates else ""
    return (
        f"{counted(len(results), 'result')}: {counted(len(systems), 'system')} on "
        f"{counted(len(tasks), 'task')}{when}."
    )


_PARTS = (
    "differences (there is one system)",
    "a thinking curve",
    "the faithfulness gauge",
    "thoughts and hits (no file of details)",
)


def _task(task: TaskGroup) -> Markup:
    queries = queries_of(task)
    measure = metric_name(task.measure)
    title = f"{measure} with 95% intervals"
    parts = (differences(task), curves(task), faithfulness(task))
    missing = [
        name
        for part, name in zip((*parts, queries.cards or None), _PARTS, strict=True)
        if part is None
    ]
    return section(
        task.key,
        2,
        task.name,
        paragraph(_task_facts(task), "note"),
        data_differ(task),
        beside(*task_bars(task, f"{task.key}-bars", title)),
        *parts,
        query_by_query(task, queries),
        best_and_worst(task, queries),
        absent(f"Not in these results: {listed(missing)}.") if missing else None,
    )


def _task_facts(task: TaskGroup) -> str:
    content = task.entries[0].result.task
    known = [f"{content.queries:,} queries", f"{content.documents:,} documents"]
    systems = counted(len(task.entries), "system")
    return f"{listed([*known, systems])}."
