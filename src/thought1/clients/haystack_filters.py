"""Filters in Haystack's syntax as conditions of a search. It does not import Haystack."""

from collections.abc import Iterator, Mapping
from typing import Any

from thought1.types import Filter, Thought1Error

OPERATORS = {
    "==": "eq",
    "!=": "ne",
    ">": "gt",
    ">=": "gte",
    "<": "lt",
    "<=": "lte",
    "in": "in",
    "not in": "nin",
}
"""Haystack's name of each operator, and that of a search."""


def where_of(filters: Mapping[str, Any] | None) -> Filter | None:
    """The conditions of a filter: comparisons, and comparisons joined by AND.

    A filter in the form of a search, `{"year": {"gte": 1990}}`, is taken as it is. Unlike in some
    document stores, "!=" and "not in" hold where the field exists with another value.

    Raises:
        Thought1Error: OR or NOT, an unknown operator, or a field that is compared twice in the same
            way.
    """
    if not filters:
        return None
    if "operator" not in filters or not {"field", "conditions"} & filters.keys():
        return filters
    where: dict[str, dict[str, Any]] = {}
    for field, operator, value in _comparisons(filters):
        conditions = where.setdefault(field, {})
        if operator in conditions:
            raise Thought1Error(f"the filter compares {field!r} twice by {operator!r}")
        conditions[operator] = value
    return where


def _comparisons(filters: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Field, operator and value of each."""
    operator = filters.get("operator")
    if "conditions" in filters:
        if operator != "AND":
            raise Thought1Error(
                f"a search joins conditions by AND, not by {operator!r}: use `in` for one of "
                "several values, or search several times"
            )
        for one in filters["conditions"]:
            yield from _comparisons(one)
        return
    if operator not in OPERATORS or not {"field", "value"} <= filters.keys():
        raise Thought1Error(
            f"a comparison of a filter has a field, a value and one of the operators "
            f"{', '.join(OPERATORS)}, unlike {dict(filters)}"
        )
    yield str(filters["field"]).removeprefix("meta."), OPERATORS[operator], filters["value"]
