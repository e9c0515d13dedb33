"""What the tables of a recipe have in common: checked types, ranges of numbers, marked keys.

A table is a frozen pydantic dataclass. It knows types, not what a training does with the values.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import field, fields
from typing import Annotated, Any, TypeVar, cast, dataclass_transform, get_args, get_type_hints

from pydantic import AfterValidator, ConfigDict, Strict, StrictBool, StrictStr, ValidationInfo
from pydantic.dataclasses import dataclass as pydantic_dataclass

RANGES: dict[str, Callable[[float], bool]] = {
    "0 or more": lambda x: 0 <= x < math.inf,
    "1 or more": lambda x: 1 <= x < math.inf,
    "above 0": lambda x: 0 < x < math.inf,
    "from 0 to below 1": lambda x: 0 <= x < 1,
    "from 0 to 1": lambda x: 0 <= x <= 1,
}


def _within(name: str) -> AfterValidator:
    def check(number: float) -> float:
        if not RANGES[name](number):
            raise ValueError(f"it must be {name}")
        return number

    return AfterValidator(check)


Text = StrictStr
Flag = StrictBool
Int = Annotated[int, Strict()]
Float = Annotated[float, Strict()]
"""A whole number serves as well."""
Natural = Annotated[Int, _within("0 or more")]
Count = Annotated[Int, _within("1 or more")]
Weight = Annotated[Float, _within("0 or more")]
Positive = Annotated[Float, _within("above 0")]
Share = Annotated[Float, _within("from 0 to 1")]
BelowOne = Annotated[Float, _within("from 0 to below 1")]


RECORD = "record"
"""The context in which a recipe is read that a program has written down."""

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def table(cls: type[T]) -> type[T]:
    """A class decorator: a table of a recipe, in which an unknown key is an error."""
    made: Any = pydantic_dataclass(frozen=True, config=ConfigDict(extra="forbid"))(cls)
    return cast(type[T], made)


def check_marks(cls: Any, given: Any, info: ValidationInfo) -> None:
    """Refuse a key that other kinds of this table read: it would have no effect.

    A field's metadata names the key that decides, and the values with which it is read. What a
    program has written down (`RECORD`) holds all keys.

    Raises:
        ValueError: `given`, as written in the recipe, has one.
    """
    if not isinstance(given, dict) or info.context == RECORD:
        return
    for item in fields(cls):
        for mark, readers in item.metadata.items() if item.name in given else ():
            chosen = given.get(mark, {other.name: other.default for other in fields(cls)}[mark])
            if chosen in get_args(get_type_hints(cls)[mark]) and chosen not in readers:
                raise ValueError(read_only_with(item.name, mark, readers, chosen))


def read_only_with(key: str, mark: str, readers: Sequence[str], chosen: str) -> str:
    """The message about a key that has no effect here."""
    only = " or ".join(map(repr, readers))
    return f"{key!r} is read with {mark} = {only} only, not with {chosen!r}"
