"""Metadata conditions for LanceDB: what is stored to filter on, and conditions as SQL.

Knows no table. Metadata is free: one field may be a number in one document and text in another,
and any text may be a field's name. So every document carries one JSON object whose keys begin
with the kind of the value, and a condition only meets values of its own kind:

    {"lang": "en", "year": 1990, "open": True}  is stored as
    {"t:lang": "en", "n:year": "1990", "v:year": 1990, "b:open": "true"}

Equality always compares the strings under t:, n: and b:, which is exact for integers of 64 bits;
ranges compare text with text, or numbers as double-precision floats (v:).
"""

import json
import math
from collections.abc import Mapping, Sequence

from thought1.types import Document, Filter, MetadataValue, Thought1Error

COLUMN = "filterable"
KINDS = ("t", "n", "b")

_COMPARISONS = {"eq": "=", "ne": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_OPERATORS = (*_COMPARISONS, "in")


def filterable(document: Document) -> str:
    """The JSON text that is stored for a document's metadata.

    Raises:
        Thought1Error: a value is no text, number (finite, 64 bits) or boolean.
    """
    entries: dict[str, MetadataValue] = {}
    for field, value in document.metadata.items():
        try:
            kind, text = _canonical(value)
        except ValueError as error:
            raise Thought1Error(
                f"metadata field {field!r} of document {document.id!r} {error}"
            ) from error
        entries[f"{kind}:{field}"] = text
        if kind == "n":
            entries[f"v:{field}"] = value
    return json.dumps(entries)


def to_sql(where: Filter) -> str:
    """All conditions of a filter as one SQL expression.

    A document meets a condition only where it has the field, with a value of the condition's
    kind (text, number, boolean); that goes for `ne` too.

    Raises:
        Thought1Error: unknown operator, or a value that cannot be compared.
    """
    parts = []
    for field, wanted in where.items():
        conditions = wanted if isinstance(wanted, Mapping) else {"eq": wanted}
        if not conditions:
            raise Thought1Error(
                f"the filter on {field!r} is empty; give it a value to compare with"
            )
        for operator, value in conditions.items():
            if operator not in _OPERATORS:
                raise Thought1Error(
                    f"unknown operator {operator!r} in the filter on {field!r}; "
                    f"known operators: {', '.join(_OPERATORS)}"
                )
            try:
                parts.append(_condition(field, operator, value))
            except ValueError as error:
                raise Thought1Error(f"the filter on {field!r} {error}") from error
    return " AND ".join(parts)


def has_field(field: str) -> str:
    """SQL that holds for the documents which have a metadata field."""
    return " OR ".join(f"{_text(kind, field)} IS NOT NULL" for kind in KINDS)


def quote(text: str) -> str:
    """A string as SQL literal; in the SQL of LanceDB only the quote itself is special.

    Raises:
        ValueError: it holds half a surrogate pair, which no stored text can.
    """
    text.encode()
    return "'" + text.replace("'", "''") + "'"


def _condition(field: str, operator: str, value: object) -> str:
    if operator == "in":
        return _one_of(field, value)
    kind, text = _canonical(value)
    if operator in ("eq", "ne"):
        return f"{_text(kind, field)} {_COMPARISONS[operator]} {quote(text)}"
    if kind == "b":
        raise ValueError(f"compares a boolean with {operator!r}; use eq or ne")
    if kind == "t":
        return f"{_text(kind, field)} {_COMPARISONS[operator]} {quote(text)}"
    number = f"json_get_float({COLUMN}, {quote(f'v:{field}')})"
    return f"{number} {_COMPARISONS[operator]} CAST({quote(text)} AS DOUBLE)"


def _one_of(field: str, values: object) -> str:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ValueError(f"needs a list of values for 'in', not {values!r}")
    wanted = [_canonical(value) for value in values]
    lists = [(kind, [quote(text) for k, text in wanted if k == kind]) for kind in KINDS]
    parts = [f"{_text(kind, field)} IN ({', '.join(texts)})" for kind, texts in lists if texts]
    return f"({' OR '.join(parts)})" if parts else "false"


def _text(kind: str, field: str) -> str:
    return f"json_get_string({COLUMN}, {quote(f'{kind}:{field}')})"


def _canonical(value: object) -> tuple[str, str]:
    """Kind and text of a value; equal values have equal texts (1 and 1.0 are equal)."""
    if isinstance(value, str):
        return "t", value
    if isinstance(value, bool):  # before int: a bool is an int
        return "b", "true" if value else "false"
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError("is an integer of more than 64 bits; write it as text")
        return "n", str(int(value))
    if isinstance(value, float) and math.isfinite(value):
        whole = value.is_integer() and -(2**63) <= value < 2**63
        return "n", str(int(value)) if whole else repr(float(value))
    raise ValueError(f"is {value!r}; it must be text, a finite number, true or false")
