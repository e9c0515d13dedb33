"""Metadata conditions for LanceDB: what is stored to filter on, and conditions as SQL.

Knows no table. Metadata is free: one field may be a number in one document and text in another,
and any text may be a field's name. So every document carries one JSON object whose keys begin
with the kind of the value, and a condition only meets values of its own kind:

    {"lang": "en", "year": 1990, "open": True}  is stored as
    {"t:lang": "en", "n:year": "1990", "v:year": 1990, "b:open": "true"}

Equality always compares the strings under t:, n: and b:, which is exact for integers of 64 bits.
Ranges compare numbers as double-precision floats (v:), text with text. Text that reads as a number
is met by ranges of numbers too, and an ISO 8601 date by its year: what a file could only spell as
text. Two ISO dates are compared as far as the shorter one goes, whatever their time zones.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence

from thought1.types import Document, Filter, MetadataValue, Thought1Error

COLUMN = "filterable"
KINDS = {"t": "text", "n": "numbers", "b": "true or false"}

_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_OPERATORS = ("eq", "ne", *_COMPARISONS, "in", "nin")

# Regular expressions for SQL; Python reads them alike.
_NUMBER = "^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$"
_DATE = "^([0-9]{4})-[0-9]{2}(-[0-9]{2}([T ].*)?)?$"
_YEAR = "^[0-9]{4}$"


def filterable(document: Document) -> str:
    """The JSON text that is stored for a document's metadata.

    Raises:
        Thought1Error: a value is not a text, number (finite, 64 bits) or boolean.
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

    A document meets a condition only where it has the field. `eq`, `in` and ranges ask for a value
    of the condition's kind (text, number, boolean); `ne` and `nin` for any other value.

    Raises:
        Thought1Error: unknown operator, or a value that cannot be compared.
    """
    parts = []
    for field, operator, value in _conditions(where):
        try:
            parts.append(_condition(field, operator, value))
        except ValueError as error:
            raise Thought1Error(f"the filter on {field!r} {error}") from error
    return " AND ".join(parts)


def unmet(where: Filter) -> Iterator[tuple[str, str]]:
    """Why a filter may find nothing, as SQL and a problem: it is one where no document meets it.

    `where` is one that `to_sql` takes.
    """
    for field, operator, value in _conditions(where):
        yield _has_field(field), f"no document has the metadata field {field!r}"
        values = value if isinstance(value, Sequence) and operator in ("in", "nin") else [value]
        kinds = dict.fromkeys(_canonical(one)[0] for one in values)
        if operator in ("ne", "nin") or not kinds:
            continue
        present = [f"{_text(kind, field)} IS NOT NULL" for kind in kinds]
        if operator in _COMPARISONS:
            present = [condition for condition, _, _ in _readings(field, operator, value)]
        yield (
            " OR ".join(present),
            f"no document has {' or '.join(KINDS[kind] for kind in kinds)} in the metadata field "
            f"{field!r}, only values of another kind: compare it with one of those",
        )


def _conditions(where: Filter) -> Iterator[tuple[str, str, object]]:
    """Field, operator and value of each condition."""
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
            yield field, operator, value


def _has_field(field: str) -> str:
    return "(" + " OR ".join(f"{_text(kind, field)} IS NOT NULL" for kind in KINDS) + ")"


def quote(text: str) -> str:
    """A string as SQL literal; in the SQL of LanceDB only the quote itself is special.

    Raises:
        ValueError: it holds half a surrogate pair, which no stored text can.
    """
    text.encode()
    return "'" + text.replace("'", "''") + "'"


def _condition(field: str, operator: str, value: object) -> str:
    if operator in ("eq", "ne"):
        value = [value]
    if operator in ("eq", "in"):
        return _one_of(field, operator, value)
    if operator in ("ne", "nin"):
        # A comparison with what is not there is neither true nor false.
        return f"{_has_field(field)} AND {_one_of(field, operator, value)} IS NOT TRUE"
    sign = _COMPARISONS[operator]
    readings = _readings(field, operator, value)
    return "(" + " OR ".join(f"({is_one} AND {a} {sign} {b})" for is_one, a, b in readings) + ")"


def _one_of(field: str, operator: str, values: object) -> str:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ValueError(f"needs a list of values for {operator!r}, not {values!r}")
    wanted = [_canonical(value) for value in values]
    lists = [(kind, [quote(text) for k, text in wanted if k == kind]) for kind in KINDS]
    parts = [f"{_text(kind, field)} IN ({', '.join(texts)})" for kind, texts in lists if texts]
    return f"({' OR '.join(parts)})" if parts else "false"


def _readings(field: str, operator: str, value: object) -> list[tuple[str, str, str]]:
    """The ways to compare what is stored with a value: whether it can be, and both sides."""
    kind, wanted = _canonical(value)
    if kind == "b":
        raise ValueError(f"compares a boolean with {operator!r}; use eq or ne")
    stored, wanted = _text("t", field), quote(wanted)
    if kind == "n":
        number, wanted = (
            f"json_get_float({COLUMN}, {quote(f'v:{field}')})",
            f"CAST({wanted} AS DOUBLE)",
        )
        year = f"regexp_replace({stored}, {quote(_DATE)}, '\\1')"
        return [
            (f"{number} IS NOT NULL", number, wanted),
            (_matches(stored, _NUMBER, _DATE), f"TRY_CAST({year} AS DOUBLE)", wanted),
        ]
    if re.match(_DATE, str(value)):
        length = f"character_length({stored})"
        shorter = f"left({stored}, {len(str(value))})", f"left({wanted}, {length})"
        return [(_matches(stored, _YEAR, _DATE), *shorter)]
    return [(f"{stored} IS NOT NULL", stored, wanted)]


def _matches(text: str, *patterns: str) -> str:
    return f"regexp_like({text}, {quote('|'.join(patterns))})"


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
