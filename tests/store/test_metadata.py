"""Metadata values of Python, numpy, pandas and Arrow become text, numbers and booleans."""

import datetime as dt
import json
import math
import uuid
from decimal import Decimal
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
import pytest

from thought1.store.metadata import to_metadata_value
from thought1.types import Thought1Error


class Colour(StrEnum):
    RED = "red"


EAST = dt.timezone(dt.timedelta(hours=2))
LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ""),
        (Colour.RED, "red"),
        (np.str_("ä"), "ä"),
        (True, True),
        (np.bool_(False), False),
        (3, 3),
        (np.int64(3), 3),
        (np.uint64(2**64 - 1), str(2**64 - 1)),
        (-(2**63), -(2**63)),
        (2**63, str(2**63)),
        (0.1, 0.1),
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (math.inf, "inf"),
        (Decimal("9.90"), 9.9),
        (Decimal("0.1234567890123456789"), "0.1234567890123456789"),
        (dt.date(2024, 5, 1), "2024-05-01"),
        (dt.datetime(2024, 5, 1, 9, 30, tzinfo=EAST), "2024-05-01T09:30:00+02:00"),
        (dt.time(9, 30), "09:30:00"),
        (dt.timedelta(hours=1), "1:00:00"),
        (pd.Timestamp("2024-05-01 09:30"), "2024-05-01T09:30:00"),
        (np.datetime64("2024-05-01"), "2024-05-01"),
        (np.datetime64("2024-05-01T09:30:00", "ns"), "2024-05-01T09:30:00"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (["sea", 1, None, math.nan], '["sea", 1, null, null]'),
        (("ä",), '["ä"]'),
        ({"b", "a"}, '["a", "b"]'),
        (np.array([1, 2]), "[1, 2]"),
        ({"when": dt.date(2024, 5, 1), 2: [np.int8(1)]}, '{"when": "2024-05-01", "2": [1]}'),
    ],
)
def test_values_become_what_a_store_holds(value: object, expected: object) -> None:
    found = to_metadata_value(value)
    assert found == expected
    assert type(found) is type(expected)
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    "value",
    [None, math.nan, np.float32("nan"), Decimal("nan"), pd.NA, pd.NaT, np.datetime64("NaT")],
)
def test_missing_values_are_none(value: object) -> None:
    assert to_metadata_value(value) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"bytes", "must be text.*not of the type bytes"),
        (object(), "must be text.*not of the type object"),
        ([b"bytes"], "must be text.*not of the type bytes"),
        (1j, "not of the type complex"),
        ("\ud800", "lone surrogate"),
        (["\ud800"], "lone surrogate"),
        ({"\ud800": 1}, "lone surrogate"),
        (LOOP, "contain itself"),
    ],
)
def test_what_has_no_sound_form_is_refused(value: object, message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        to_metadata_value(value)
