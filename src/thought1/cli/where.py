"""Conditions on metadata as they are written on the command line: `year>=1990`.

Knows the Filter of `thought1.types`, no store.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from thought1.types import Filter, MetadataValue, Thought1Error

_OPERATORS = {"=": "in", "!=": "nin", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}

_KEY = r'"(?:[^"\\]|\\.)*"|[^<>=!]*[^<>=!\s]'
"""A JSON string, or anything without the signs."""


def parse_where(conditions: Sequence[str]) -> Filter | None:
    """One filter that holds where all conditions do; None if there is none.

    A value that reads as a number or as true or false is one; `=` and `!=` also mean the same
    characters as text, which is what CSV files hold. A key with one of < > = ! in it, or with
    blanks at an end, is written as a JSON string: `"a=b"=1`.

    Raises:
        Thought1Error: a condition has another form, or is given twice for one key.
    """
    where: dict[str, dict[str, Any]] = {}
    for condition in conditions:
        match = re.fullmatch(rf"\s*({_KEY})\s*(>=|<=|!=|=|>|<)\s*(.+?)\s*", condition)
        if match is None:
            raise Thought1Error(
                f"{condition!r} is not a condition: write KEY=VALUE, or one of != > >= < <= "
                "instead of ="
            )
        key, sign, text = match.groups()
        key = _unquoted(key, condition)
        operators = where.setdefault(key, {})
        if _OPERATORS[sign] in operators:
            raise Thought1Error(f"the condition {key}{sign} is given twice")
        value = _value(text)
        operators[_OPERATORS[sign]] = [*{value, text}] if sign in ("=", "!=") else value
    return where or None


def _unquoted(key: str, condition: str) -> str:
    if not key.startswith('"'):
        return key
    try:
        return str(json.loads(key))
    except json.JSONDecodeError as error:
        raise Thought1Error(f"the key in {condition!r} is not a JSON string: {error.msg}") from None


def _value(text: str) -> MetadataValue:
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"[+-]?[0-9]{1,19}", text) and -(2**63) <= int(text) < 2**63:
        return int(text)
    if re.fullmatch(r"[+-]?[0-9]*\.?[0-9]+(e[+-]?[0-9]{1,2})?", text, re.IGNORECASE):
        return float(text)
    return text
