"""Filters in Haystack's syntax."""

from typing import Any

import pytest

from thought1.clients.haystack_filters import where_of
from thought1.types import Thought1Error


def compare(field: str, operator: str, value: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value}


def both(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"operator": "AND", "conditions": list(conditions)}


@pytest.mark.parametrize(
    ("filters", "where"),
    [
        (None, None),
        ({}, None),
        ({"lang": "en", "year": {"gte": 1990}}, {"lang": "en", "year": {"gte": 1990}}),
        ({"operator": "Smith"}, {"operator": "Smith"}),  # a field of that name
        (compare("meta.lang", "==", "en"), {"lang": {"eq": "en"}}),
        (compare("lang", "not in", ["en"]), {"lang": {"nin": ["en"]}}),
        (
            both(
                compare("meta.year", ">=", 1990),
                both(compare("meta.year", "<", 2000), compare("meta.lang", "!=", "de")),
            ),
            {"year": {"gte": 1990, "lt": 2000}, "lang": {"ne": "de"}},
        ),
    ],
)
def test_conditions(filters: Any, where: Any) -> None:
    assert where_of(filters) == where


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"operator": "OR", "conditions": []}, "by AND, not by 'OR'"),
        (both({"operator": "NOT", "conditions": []}), "by AND, not by 'NOT'"),
        (compare("lang", "like", "e"), "one of the operators ==, !="),
        (both({"field": "lang", "operator": "=="}), "has a field, a value"),
        (both(compare("y", ">", 1), compare("y", ">", 2)), "compares 'y' twice by 'gt'"),
    ],
)
def test_what_a_search_cannot_do_is_refused(filters: Any, message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        where_of(filters)
