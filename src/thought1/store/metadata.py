"""What a metadata value becomes before it is stored: text, a number or a boolean.

Knows the kinds of values that Python, numpy, pandas and Arrow hand over; neither a file format nor
a store. Readers and the index convert with the same function, so that a document is the same by
whatever way it came.
"""

import json
import math
from collections.abc import Mapping, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import numpy as np

from thought1.types import MetadataValue, Thought1Error

_MISSING = ("NAType", "NaTType")
"""Type names of pandas' missing values, which need no pandas here."""


def to_metadata_value(value: object) -> MetadataValue | None:
    """The text, number or boolean that represents `value`; None if there is no value.

    None, NaN, NaT and pandas' NA are missing values. Scalars of numpy become Python's; dates and
    times ISO 8601 text; a decimal a float if that is lossless, otherwise text; lists, tuples, sets,
    arrays and objects JSON text, with null for what is no value in them. A number that a store
    cannot hold (an integer of more than 64 bits, an infinity) becomes its text.

    Raises:
        Thought1Error: the value is of another kind, such as bytes, or text that is not valid
            Unicode. The message begins with "must be" or "holds", for a caller to put the name
            of the field and of the document before it.
    """
    try:
        plain = _plain(value)
        if isinstance(plain, list | dict):
            plain = json.dumps(plain, ensure_ascii=False)
    except RecursionError:
        raise Thought1Error("must be a value that does not contain itself") from None
    if isinstance(plain, str):
        _check_text(plain)
    return plain


def _plain(value: object) -> MetadataValue | list[object] | dict[str, object] | None:
    """The value in JSON's kinds, without NaN and infinities."""
    if value is None or type(value).__name__ in _MISSING:
        return None
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else _plain(_precise(value).item())
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, str):
        return str.__str__(value)  # also of subclasses, such as an enumeration
    if isinstance(value, bool | int | float | Decimal):
        return _number(value)
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, UUID | timedelta):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Set):  # in an order that does not change from run to run
        return sorted((_plain(item) for item in value), key=json.dumps)
    raise Thought1Error(
        "must be text, a number, a boolean, a date, a list or an object, not of the type "
        f"{type(value).__name__}; convert it or leave it out"
    )


def _number(value: bool | int | float | Decimal) -> MetadataValue | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else str(int(value))
    if math.isnan(value):
        return None
    number = float(value)
    exact = math.isfinite(number) and (isinstance(value, float) or Decimal(repr(number)) == value)
    return number if exact else str(value)


def _precise(value: np.datetime64) -> np.datetime64:
    """numpy gives dates finer than microseconds as bare integers."""
    return value if isinstance(value.item(), date | datetime) else value.astype("datetime64[us]")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Thought1Error("holds a lone surrogate, which is not a character") from None
