"""The options of a search by name, as keyword arguments and as JSON. It knows no framework."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from thought1.search.options import SearchOptions
from thought1.types import Thought1Error

NAMES = tuple(field.name for field in fields(SearchOptions))
"""Every option."""

_ADAPTER = TypeAdapter(SearchOptions)


def search_options(values: Mapping[str, Any]) -> SearchOptions:
    """Options by name; what they consist of (`fusion`, `sampling`, `adaptive`) may be a dict.

    Raises:
        Thought1Error: there is no such option, or a value is out of range.
    """
    unknown = [name for name in values if name not in NAMES]
    if unknown:
        raise Thought1Error(f"a search has no option {unknown[0]!r}; it has {', '.join(NAMES)}")
    try:
        return _ADAPTER.validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Thought1Error(f"{place}: {first['msg']}") from error


def as_json(options: SearchOptions) -> dict[str, Any]:
    """The options that differ from the defaults, as JSON data.

    POST /v1/search takes it as it is, and so does `search_options`.

    Raises:
        Thought1Error: `where` holds a value that JSON has no form for.
    """
    try:
        whole = _ADAPTER.dump_python(options, mode="json")
    except ValueError as error:
        raise Thought1Error(f"the filter cannot be written as JSON: {error}") from error
    usual = _ADAPTER.dump_python(SearchOptions(), mode="json")
    changed = {name: value for name, value in whole.items() if value != usual[name]}
    if options.sampling is not None and options.sampling.temperature == 0:
        for unused in ("top_p", "seed"):  # a server refuses them where nothing is sampled
            del changed["sampling"][unused]
    return changed
