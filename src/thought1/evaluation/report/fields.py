"""Fields of a JSON object, each checked for its kind, with the place of what is wrong.

Knows neither files nor what the fields mean.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from thought1.types import Thought1Error


class Fields:
    """One JSON object; `file`, and its `path` within that, name it in messages."""

    def __init__(self, content: object, file: str, path: str = "") -> None:
        """Raises Thought1Error where `content` is no object."""
        if not isinstance(content, dict):
            raise wrong(f"{file}: {path}" if path else file, "is not a JSON object")
        self.content: Mapping[str, Any] = content
        self._file = file
        self._path = path

    def __contains__(self, name: str) -> bool:
        return self.content.get(name) is not None

    def under(self, name: str) -> "Fields":
        """A field that is an object."""
        return Fields(self._required(name), self._file, self._inner(name))

    def optional(self, name: str) -> "Fields":
        """A field that is an object; an empty one where it is missing or null."""
        return self.under(name) if name in self else Fields({}, self._file, self._inner(name))

    def items(self, name: str) -> Iterator["Fields"]:
        """The objects of a list."""
        for place, content in enumerate(self.array(name)):
            yield Fields(content, self._file, f"{self._inner(name)}[{place}]")

    def array(self, name: str) -> list[Any]:
        """A field that is a list."""
        content = self._required(name)
        if not isinstance(content, list):
            raise wrong(self.at(name), "is not a list")
        return content

    def strings(self, name: str) -> tuple[str, ...]:
        """A field that is a list of strings."""
        content = self.array(name)
        if not all(isinstance(item, str) for item in content):
            raise wrong(self.at(name), "is not a list of strings")
        return tuple(content)

    def text(self, name: str) -> str:
        """A field that is a string."""
        content = self._required(name)
        if not isinstance(content, str):
            raise wrong(self.at(name), "is not a string")
        return content

    def optional_text(self, name: str) -> str | None:
        """A string, or None where it is missing or null."""
        return self.text(name) if name in self else None

    def number(self, name: str) -> float:
        """A field that is a finite number."""
        content = self._required(name)
        if isinstance(content, bool) or not isinstance(content, int | float):
            raise wrong(self.at(name), "is not a number")
        if not math.isfinite(content):
            raise wrong(self.at(name), "is not a finite number")
        return float(content)

    def optional_number(self, name: str) -> float | None:
        """A finite number, or None where it is missing or null."""
        return self.number(name) if name in self else None

    def optional_amount(self, name: str) -> float | None:
        """A finite number from 0 on, or None where it is missing or null."""
        value = self.optional_number(name)
        if value is not None and value < 0:
            raise wrong(self.at(name), "is below 0")
        return value

    def count(self, name: str) -> int:
        """A whole number from 0 on."""
        value = self.number(name)
        if value < 0 or value != int(value):
            raise wrong(self.at(name), "is not a whole number from 0 on")
        return int(value)

    def share(self, name: str) -> float:
        """A number between 0 and 1."""
        value = self.number(name)
        if not 0 <= value <= 1:
            raise wrong(self.at(name), f"is {value:g}, and not between 0 and 1")
        return value

    def pair(self, name: str) -> tuple[float, float]:
        """A list of two finite numbers, low and high."""
        content = self.array(name)
        if len(content) != 2:
            raise wrong(self.at(name), "is not a pair of numbers")
        ends = Fields({"0": content[0], "1": content[1]}, self._file, self._inner(name))
        return ends.number("0"), ends.number("1")

    def at(self, name: str) -> str:
        """The place of a field, for a message."""
        return f"{self._file}: {self._inner(name)}"

    def _inner(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def _required(self, name: str) -> Any:
        if name not in self:
            raise wrong(self.at(name), "is missing")
        return self.content[name]


def wrong(where: str, what: str) -> Thought1Error:
    """The error for a result file that cannot be used."""
    return Thought1Error(
        f"{where} {what}; evaluate again to write the file anew, or take it out of the folder"
    )
