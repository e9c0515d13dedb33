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
from thought1.evaluation.report.markup import Markup, render
from thought1.evaluation.report.plots import SystemPair, scatter
from thought1.evaluation.report.wording import NOTHING, counted, metric_name, share, shortened
from thought1.evaluation.results.models import DetailRecord

_TEMPLATE = "queries.html"

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
    summary = f"{over} above the diagonal, {under} below, {len(values) - over - under} on it"
    words = Words(key, f"{up.label} against {across.label} on {task.name}", summary)
    plot = scatter(words, SystemPair(across.label, up.label, values), queries.links)
    return figure(f"against {across.label}", f"{summary}.", plot)


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

    def links(found: Sequence[str]) -> list[tuple[str, str, str]]:
        return [(query, queries.links[query], share(values[query])) for query in found]

    lists = [("Best", links(best(task, entry))), ("Worst", links(worst(task, entry)))]
    return render(_TEMPLATE, "extremes", entry.label, lists)


@dataclass(frozen=True, slots=True)
class _HitShown:
    id: str
    score: str
    text: str
    relevant: bool


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one system did with the query of a card."""

    label: str
    value: str
    thought: str | None
    thought_note: str
    hits: Sequence[_HitShown]


@dataclass(frozen=True, slots=True)
class _Card:
    key: str
    query: str
    """Its id."""
    text: str
    short: str
    """The text, cut to one line."""
    values: Sequence[tuple[str, str]]
    """System's label, its value."""
    relevant: Sequence[str]
    more_relevant: int
    answers: Sequence[_Answer]


def _card(task: TaskGroup, query: str, queries: QueryLinks, whole: bool) -> Markup:
    known = [
        (entry, entry.details[query])
        for entry in task.entries
        if entry.details and query in entry.details
    ]
    detail, values = known[0][1], queries.values[query]
    card = _Card(
        queries.cards[query],
        query,
        detail.query,
        shortened(detail.query, 160),
        [(label, share(value)) for label, value in values.items()],
        detail.relevant[:_RELEVANT],
        max(0, len(detail.relevant) - _RELEVANT),
        [_answer(entry.label, of, values[entry.label], whole) for entry, of in known],
    )
    return render(_TEMPLATE, "card", card)


def _answer(label: str, detail: DetailRecord, value: float, whole: bool) -> _Answer:
    relevant = set(detail.relevant)
    hits = [
        _HitShown(
            hit.id,
            f"{hit.score:.4f}",
            hit.text if whole else shortened(hit.text, 120),
            hit.id in relevant,
        )
        for hit in (detail.hits if whole else detail.hits[:_HITS])
    ]
    ending = f", ended by {detail.finish_reason}" if detail.finish_reason else ""
    note = f"{counted(detail.thought_tokens, 'token')}{ending}"
    return _Answer(label, share(value), detail.thought, note, hits)
