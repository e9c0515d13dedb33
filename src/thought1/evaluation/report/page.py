"""The whole page: one HTML file that loads nothing and runs one known script.

    page = render_page(read_results(folder), "Results")

The same results and title give the same bytes. What may run and be styled is pinned by hashes in
the page's own Content-Security-Policy; everything else is refused by the browser.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources

from thought1.evaluation.report.blocks import absent, beside, paragraph, section
from thought1.evaluation.report.comparisons import curves, differences, faithfulness
from thought1.evaluation.report.grouping import TaskGroup, by_task
from thought1.evaluation.report.markup import Markup, element, join, void
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
    body = join(
        [
            element("a", {"class": "skip", "href": "#main"}, "Skip to the results"),
            element("header", {}, element("h1", {}, title), paragraph(_subtitle(tasks))),
            _navigation(contents),
            element(
                "main",
                {"id": "main", "tabindex": "-1"},
                overview(tasks),
                *groups,
                *map(_task, tasks),
                provenance(tasks),
            ),
        ]
    )
    return f"<!DOCTYPE html>\n{element('html', {'lang': 'en'}, _head(title), _body(body))}\n"


def _head(title: str) -> Markup:
    style = _own_file("style.css")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(_own_file('page.js'))}; "
        "base-uri 'none'; form-action 'none'"
    )
    return element(
        "head",
        {},
        void("meta", {"charset": "utf-8"}),
        void("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        void("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        void("meta", {"name": "color-scheme", "content": "light dark"}),
        element("title", {}, title),
        element("style", {}, Markup(style)),
    )


def _body(content: Markup) -> Markup:
    return element("body", {}, content, element("script", {}, Markup(_own_file("page.js"))))


def _own_file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _hash(text: str) -> Markup:
    digest = hashlib.sha256(text.encode()).digest()
    return Markup(f"'sha256-{base64.b64encode(digest).decode()}'")


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


def _navigation(contents: Sequence[tuple[str, str]]) -> Markup:
    links = [element("li", {}, element("a", {"href": f"#{key}"}, name)) for key, name in contents]
    return element("nav", {"aria-label": "Contents"}, element("ul", {}, *links))


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
