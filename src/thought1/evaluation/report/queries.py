"""Single queries of a task: systems against each other, the best and the worst, thoughts and hits.

Decided here: every query has a line with its values; up to `CARDS` queries of a task, the best and
the worst first, have a card with thoughts and hits, so that the page stays readable on a phone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thought1.evaluation.report.axes import Words
from thought1.evaluation.report.blocks import (
    Cell,
    Table,
    absent,
    figure,
    figures,
    folded,
    number,
    paragraph,
    section,
    table,
)
from thought1.evaluation.report.comparisons import comparable
from thought1.evaluation.report.grouping import SystemEntry, TaskGroup
from thought1.evaluation.report.markup import Markup, element, join
from thought1.evaluation.report.plots import SystemPair, scatter
from thought1.evaluation.report.wording import NOTHING, counted, metric_name, share, shortened
from thought1.evaluation.results.models import DetailRecord, HitRecord

EXTREMES = 3
"""Best queries of a system, and as many worst."""

CARDS = 300
"""Queries of a task with a card."""

_HITS = 3
"""Hits on the card of a query that is neither among the best nor the worst."""

_RELEVANT = 20
"""Relevant documents that a card names."""


@dataclass(frozen=True, slots=True)
class QueryLinks:
    """The queries of a task, and the ids that links lead to."""

    values: Mapping[str, Mapping[str, float]]
    """query id -> system's label -> value."""
    rows: Mapping[str, str]
    """query id -> id of its line."""
    cards: Mapping[str, str]
    """query id -> id of its card, in the order they are shown."""

    @property
    def links(self) -> dict[str, str]:
        """query id -> where most is said about it."""
        return {**self.rows, **self.cards}


def queries_of(task: TaskGroup) -> QueryLinks:
    """Numbers the queries, and decides which of them get a card."""
    values: dict[str, dict[str, float]] = {}
    for entry in task.entries:
        for query, value in entry.result.per_query[task.measure].items():
            values.setdefault(query, {})[entry.label] = value
    known = {query for entry in task.entries for query in entry.details or {}}
    first = [query for entry in task.entries for query in (*best(task, entry), *worst(task, entry))]
    order = [query for query in dict.fromkeys([*first, *sorted(values)]) if query in known]
    places = {query: place for place, query in enumerate(sorted(values), start=1)}
    return QueryLinks(
        {query: values[query] for query in sorted(values)},
        {query: f"{task.key}-row{place}" for query, place in places.items()},
        {query: f"{task.key}-query{places[query]}" for query in order[:CARDS]},
    )


def best(task: TaskGroup, entry: SystemEntry) -> list[str]:
    """The queries with a system's highest values; equal values by id."""
    values = entry.result.per_query[task.measure]
    return sorted(values, key=lambda query: (-values[query], query))[:EXTREMES]


def worst(task: TaskGroup, entry: SystemEntry) -> list[str]:
    """The queries with a system's lowest values; equal values by id."""
    values = entry.result.per_query[task.measure]
    return sorted(values, key=lambda query: (values[query], query))[:EXTREMES]


def query_by_query(task: TaskGroup, queries: QueryLinks) -> Markup:
    """The best system against each other one, and all values."""
    title, key = "Query by query", f"{task.key}-scatter"
    name = metric_name(task.measure)
    first, *others = task.entries
    plots = [
        _scatter(task, (first, other), queries, f"{key}-{place}")
        for place, other in enumerate(others, start=1)
        if comparable(task, first, other)
    ]
    labels = [entry.label for entry in task.entries]
    rows = [
        [Cell(query, link=queries.cards.get(query)), *(_value(of.get(label)) for label in labels)]
        for query, of in queries.values.items()
    ]
    values = Table(
        f"{name} of each query of {task.name}",
        ["Query", *labels],
        rows,
        list(queries.rows.values()),
    )
    note = (
        f"{name} of the best system (upwards) against each other one. Each point is a query and "
        "leads to it; points on one place are spread out. By keyboard: the values below."
    )
    return section(
        key,
        3,
        title,
        paragraph(note, "note") if plots else None,
        figures(plots) if plots else None,
        folded(f"Values of {counted(len(rows), 'query')}", table(values)),
    )


def _value(value: float | None) -> Cell:
    return number(NOTHING if value is None else share(value), value)


def _scatter(
    task: TaskGroup, pair: tuple[SystemEntry, SystemEntry], queries: QueryLinks, key: str
) -> Markup:
    up, across = pair
    values = {query: (of[across.label], of[up.label]) for query, of in queries.values.items()}
    over = sum(b > a for a, b in values.values())
    under = sum(b < a for a, b in values.values())
    told = f"{over} above the diagonal, {under} below, {len(values) - over - under} on it"
    words = Words(key, f"{up.label} against {across.label} on {task.name}", told)
    plot = scatter(words, SystemPair(across.label, up.label, values), queries.links)
    return figure(f"against {across.label}", f"{told}.", plot)


def best_and_worst(task: TaskGroup, queries: QueryLinks) -> Markup:
    """Links to the extremes of each system, and the cards."""
    title, key = "Best and worst queries", f"{task.key}-queries"
    lists = [_extremes(task, entry, queries) for entry in task.entries]
    chosen = {q for entry in task.entries for q in (*best(task, entry), *worst(task, entry))}
    shown = [_card(task, query, queries, True) for query in queries.cards if query in chosen]
    rest = [_card(task, query, queries, False) for query in queries.cards if query not in chosen]
    left_out = len(queries.values) - len(queries.cards)
    return section(
        key,
        3,
        title,
        *lists,
        *shown,
        folded(f"{counted(len(rest), 'other query')}", *rest) if rest else None,
        absent(f"{counted(left_out, 'query')} without thoughts and hits on this page.")
        if left_out and queries.cards
        else None,
    )


def _extremes(task: TaskGroup, entry: SystemEntry, queries: QueryLinks) -> Markup:
    values = entry.result.per_query[task.measure]

    def links(found: Sequence[str]) -> Markup:
        return join(
            element("li", {}, _link(query, queries), f" {share(values[query])}") for query in found
        )

    return element(
        "div",
        {"class": "extremes"},
        element("h4", {}, entry.label),
        element("p", {}, "Best"),
        element("ul", {}, links(best(task, entry))),
        element("p", {}, "Worst"),
        element("ul", {}, links(worst(task, entry))),
    )


def _link(query: str, queries: QueryLinks) -> Markup:
    return element("a", {"href": f"#{queries.links[query]}"}, element("bdi", {}, query))


def _card(task: TaskGroup, query: str, queries: QueryLinks, whole: bool) -> Markup:
    known = [
        (entry, entry.details[query])
        for entry in task.entries
        if entry.details and query in entry.details
    ]
    detail = known[0][1]
    short = shortened(detail.query, 160)
    values = [
        element("span", {}, element("bdi", {}, label), " ", element("b", {}, share(value)))
        for label, value in queries.values[query].items()
    ]
    answers = [_answer(entry, of, queries.values[query][entry.label], whole) for entry, of in known]
    summary = element(
        "summary",
        {},
        element("bdi", {"class": "id"}, query),
        element("span", {"class": "question", "dir": "auto"}, short),
        element("span", {"class": "values"}, *values),
    )
    return element(
        "details",
        {"class": "card", "id": queries.cards[query]},
        summary,
        None
        if short == detail.query
        else element("p", {"dir": "auto", "class": "text"}, detail.query),
        _relevant(detail),
        element("div", {"class": "answers"}, *answers),
    )


def _relevant(detail: DetailRecord) -> Markup:
    shown = [element("li", {}, element("bdi", {}, doc)) for doc in detail.relevant[:_RELEVANT]]
    more = len(detail.relevant) - len(shown)
    if more > 0:
        shown.append(element("li", {}, f"and {more} more"))
    return element(
        "div",
        {"class": "relevant"},
        element("p", {}, "Relevant documents"),
        element("ul", {}, *shown),
    )


def _answer(entry: SystemEntry, detail: DetailRecord, value: float, whole: bool) -> Markup:
    hits = detail.hits if whole else detail.hits[:_HITS]
    relevant = set(detail.relevant)
    return element(
        "div",
        {"class": "answer"},
        element("h4", {}, element("bdi", {}, entry.label), " ", element("b", {}, share(value))),
        _thought(detail),
        element("ol", {}, *(_hit(hit, hit.id in relevant, whole) for hit in hits))
        if hits
        else paragraph("Nothing found.", "note"),
    )


def _thought(detail: DetailRecord) -> Markup | None:
    if detail.thought is None:
        return None
    ending = f", ended by {detail.finish_reason}" if detail.finish_reason else ""
    told = f"{counted(detail.thought_tokens, 'token')}{ending}"
    return element(
        "blockquote",
        {},
        element("p", {"dir": "auto", "class": "text"}, detail.thought),
        element("p", {"class": "note"}, f"Thought: {told}"),
    )


def _hit(hit: HitRecord, relevant: bool, whole: bool) -> Markup:
    return element(
        "li",
        {"class": "hit relevant-hit" if relevant else "hit"},
        element("bdi", {"class": "id"}, hit.id),
        element("span", {"class": "score"}, f" {hit.score:.4f}"),
        element("span", {"class": "mark"}, " relevant") if relevant else None,
        element(
            "p", {"dir": "auto", "class": "text"}, hit.text if whole else shortened(hit.text, 120)
        ),
    )
