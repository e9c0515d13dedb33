"""Result files below a folder, read and checked: all that a page may show.

Knows neither HTML nor how results come about. A file that breaks the form is an error that names
the file and the field; details, a curve and the faithfulness gauge may be absent.
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, NoReturn

from thought1.evaluation.report.content import (
    Curve,
    Detail,
    Dispersion,
    Gauge,
    Hit,
    Point,
    Result,
    System,
    ThoughtRow,
    VectorRow,
)
from thought1.evaluation.report.fields import Fields, wrong
from thought1.types import Thought1Error

FORMAT = 1
CURVE_MEASURE = "ndcg@10"
"""What curves and the faithfulness gauge measure."""


def read_results(folder: Path) -> list[Result]:
    """Every result file (*.json) below a folder, in the order of their paths.

    Raises:
        Thought1Error: the folder holds none, or a file cannot be read or breaks the form.
    """
    if not folder.is_dir():
        raise Thought1Error(f"{folder} is not a folder; give the one that holds the result files")
    paths = sorted(folder.rglob("*.json"), key=lambda path: path.relative_to(folder).parts)
    if not paths:
        raise Thought1Error(
            f"{folder} holds no result files (MODEL/REVISION/TASK.json); `t1 evaluate` writes them"
        )
    return [_read(path, path.relative_to(folder)) for path in paths]


def _read(path: Path, shown: PurePath) -> Result:
    try:
        content = _json(path.read_text("utf-8"))
    except OSError as error:
        raise Thought1Error(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise wrong(str(path), f"is not valid JSON ({error})") from None
    fields = Fields(content, str(path))
    if "format" not in fields or "system" not in fields:
        raise wrong(str(path), "is not a result file")
    if fields.number("format") != FORMAT:
        raise wrong(
            str(path), f"has format {fields.number('format'):g}, and this version reads {FORMAT}"
        )
    task, system = fields.under("task"), fields.under("system")
    per_query = _values(fields.under("per_query"))
    return Result(
        path=shown.as_posix(),
        task=task.text("name"),
        task_kind=task.text("kind"),
        facts=task.content,
        system=_system(system),
        metrics=_same_names(fields.under("metrics"), per_query),
        intervals={name: fields.under("ci").pair(name) for name in per_query},
        per_query=per_query,
        cost=_cost(fields.optional("cost")),
        origin=fields.optional("origin").content,
        digests={
            f"{name} (SHA-256)": system.optional_text(name) for name in ("weights", "settings")
        },
        details=_details(path, fields.optional("files").optional_text("details")),
        curve=_curve(fields.under("curve")) if "curve" in fields else None,
        gauge=_gauge(fields.under("faithfulness")) if "faithfulness" in fields else None,
    )


def _system(fields: Fields) -> System:
    return System(
        fields.text("name"),
        fields.text("kind"),
        fields.text("revision"),
        fields.text("mode"),
        fields.count("think") if "think" in fields else None,
    )


def _values(fields: Fields) -> dict[str, dict[str, float]]:
    """measure -> query id -> value; each measure has the same queries."""
    found = {
        measure: {
            query: fields.under(measure).share(query) for query in fields.under(measure).content
        }
        for measure in fields.content
    }
    queries = {frozenset(values) for values in found.values()}
    if len(queries) != 1 or not all(queries):
        raise wrong(fields.at("*"), "has not the same queries under each measure")
    return found


def _same_names(fields: Fields, per_query: Mapping[str, object]) -> dict[str, float]:
    return {name: fields.share(name) for name in per_query}


def _cost(fields: Fields) -> Fields:
    """The cost, after a look at every number that the page shows."""
    thoughts = fields.optional("thought_tokens")
    for name in ("mean", "p95"):
        thoughts.optional_number(name)
    for name in ("prompt_tokens", "forced", "peak_memory_mb", "cost_per_1000_queries"):
        fields.optional_number(name)
    steps = fields.optional("milliseconds")
    for name in steps.content:
        steps.number(name)
    return fields


def _curve(fields: Fields) -> Curve:
    front = {str(name) for name in fields.array("pareto")}
    points = [_point(item, str(item.count("budget")), front) for item in fields.items("points")]
    if not points:
        raise wrong(fields.at("points"), "is empty")
    baselines = [_point(item, item.text("name"), front) for item in fields.items("baselines")]
    return Curve(points, baselines)


def _point(item: Fields, name: str, front: set[str]) -> Point:
    intervals = item.optional("ci")
    return Point(
        name,
        item.optional_amount("tokens"),
        item.optional_amount("milliseconds"),
        item.under("metrics").share(CURVE_MEASURE),
        intervals.pair(CURVE_MEASURE) if CURVE_MEASURE in intervals else None,
        name in front,
    )


def _gauge(fields: Fields) -> Gauge:
    rows, advantages = fields.under("rows"), fields.under("advantages")
    return Gauge(
        rows=[_thought_row(name, rows.under(name), advantages) for name in rows.content],
        questions=len(rows.under("own").under("per_query").content),
        distinct=fields.count("distinct"),
        budget=fields.count("budget"),
        mean_length=fields.number("mean_length"),
        warning=fields.optional_text("warning") or "",
        dispersion=_dispersion(fields.under("dispersion")) if "dispersion" in fields else None,
    )


def _thought_row(name: str, row: Fields, advantages: Fields) -> ThoughtRow:
    return ThoughtRow(
        name, row.number("cosine"), row.share(CURVE_MEASURE), _difference(name, advantages)
    )


def _dispersion(fields: Fields) -> Dispersion:
    rows, gains = fields.under("rows"), fields.under("gains")
    return Dispersion(
        rows=[
            VectorRow(name, rows.under(name).share(CURVE_MEASURE), _difference(name, gains))
            for name in rows.content
        ],
        copies=fields.count("copies"),
        temperature=fields.number("temperature"),
        distance=fields.number("distance"),
        correlation=fields.optional_number("correlation"),
    )


def _difference(name: str, differences: Fields) -> tuple[float, float, float] | None:
    if name not in differences:
        return None
    ends = differences.under(name)
    return ends.number("mean"), ends.number("low"), ends.number("high")


def _details(path: Path, name: str | None) -> dict[str, Detail] | None:
    """query id -> detail; None where the file is not there any more."""
    if name is None:
        return None
    if PurePath(name).name != name:
        raise wrong(str(path), "names a file of details outside of its own folder")
    file = path.with_name(name)
    if not file.exists():
        return None
    return dict(_detail_lines(file))


def _detail_lines(file: Path) -> Iterator[tuple[str, Detail]]:
    try:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                yield _detail(Fields(_json(line), f"{file}:{number}"))
    except (OSError, EOFError, ValueError, RecursionError) as error:
        raise wrong(str(file), f"cannot be read ({error})") from None


def _detail(fields: Fields) -> tuple[str, Detail]:
    hits = [
        Hit(item.text("id"), item.number("score"), item.text("text"))
        for item in fields.items("hits")
    ]
    return fields.text("_id"), Detail(
        fields.text("query"),
        fields.optional_text("thought"),
        fields.count("thought_tokens"),
        fields.optional_text("finish_reason"),
        fields.strings("relevant"),
        hits,
    )


def _json(text: str) -> Any:
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
