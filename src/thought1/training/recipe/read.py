"""Reads recipes: a TOML file becomes a `Recipe`; unknown keys are errors.

    name = "t1-nano"
    [model]
    base = "owner/name"
    [[stages]]
    ...

Any value can be set from outside: `KEY=VALUE`, where KEY is a path such as `model.base` or
`stages.1.max_steps`. It knows TOML and how to say what is wrong, not what a value means.
"""

import logging
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from thought1.training.recipe.recipe import STAGES, Recipe
from thought1.training.recipe.renamed import STAGE_KEYS, rename_override, rename_stage_keys
from thought1.training.recipe.table import RECORD, read_only_with
from thought1.types import Thought1Error

logger = logging.getLogger(__name__)

_RECIPE = TypeAdapter(Recipe)
_TYPES = {
    "int_type": "type int",
    "float_type": "type float",
    "string_type": "type str",
    "bool_type": "type bool",
}
"""What a value must be, by pydantic's name of the error."""
_UNKNOWN = "unexpected_keyword_argument"


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply `KEY=VALUE` overrides; renamed keys are read with a warning.

    Raises:
        Thought1Error: no such file, broken TOML, an unknown key, a missing or wrong value, values
            that are incompatible.
    """
    if not path.is_file():
        raise Thought1Error(f"no recipe at {path}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Thought1Error(f"{path}: {error}") from None
    try:
        old_keys = rename_stage_keys(content)
    except ValueError as error:
        raise Thought1Error(f"{path}: {error}") from None
    for override in overrides:
        current, old = rename_override(override)
        _override(content, current)
        old_keys += old
    if old_keys:
        renamed = ", ".join(f"{old} is now {STAGE_KEYS[old]}" for old in dict.fromkeys(old_keys))
        logger.warning("%s: %s; the next version reads the new names only", path, renamed)
    if "folder" in content:  # a field, but no key
        raise Thought1Error(f"{path}: {_unknown(('folder',), content)}")
    try:
        recipe = _RECIPE.validate_python(content)
    except ValidationError as error:
        raise Thought1Error(f"{path}: {_said(error, content)}") from None
    if not recipe.stages:
        raise Thought1Error(f"{path}: a recipe needs at least one [[stages]] table")
    return replace(recipe, folder=str(path.parent))


def reread(content: Mapping[str, Any]) -> Recipe:
    """A recipe as this or an earlier version wrote it down; keys that are gone are left out.

    Raises:
        ValueError: it is not a recipe.
    """
    renamed = deepcopy(dict(content))
    rename_stage_keys(renamed)
    return _RECIPE.validate_python(renamed, extra="ignore", context=RECORD)


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise Thought1Error(f"{override!r} is not KEY=VALUE")
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        value = text
    node: Any = content
    *parents, last = key.split(".")
    for part in parents:
        node = (
            node[_place(node, part, key)] if isinstance(node, list) else node.setdefault(part, {})
        )
        if not isinstance(node, (dict, list)):
            raise Thought1Error(f"{key}: {part} is a value, not a table")
    node[_place(node, last, key) if isinstance(node, list) else last] = value


def _place(node: list[Any], part: str, key: str) -> int:
    if not part.isdecimal() or int(part) >= len(node):
        raise Thought1Error(f"{key}: {part} is not one of the {len(node)} entries, counted from 0")
    return int(part)


def _said(error: ValidationError, content: Any) -> str:
    """The first mistake as a sentence: where, which key, and what is right."""
    found = error.errors()
    first = min(found, key=lambda one: one["type"] != _UNKNOWN)
    kind, place, value = first["type"], first["loc"], first["input"]
    where = _where(place)
    if kind == _UNKNOWN:
        return f"{_where(place[:-1], ': ')}{_unknown(place, content)}"
    if kind == "missing":
        lacking = [str(e["loc"][-1]) for e in found if e["type"] == "missing"]
        same = [e["loc"][:-1] == place[:-1] for e in found if e["type"] == "missing"]
        names = ", ".join(name for name, here in zip(lacking, same, strict=True) if here)
        return f"{_where(place[:-1], ': ')}{names} must be given"
    if kind == "value_error":
        problem = str(first["ctx"]["error"])
        if not place or is_dataclass(_table(place)):  # values that are incompatible
            return f"{_where(place, ': ', content)}{problem}"
        return f"{where} is {value!r}; {problem}"
    if kind == "dataclass_type":
        return f"{where}: expected a table, got {value!r}"
    if kind == "tuple_type":
        return f"{where}: expected a list, got {value!r}"
    if kind == "union_tag_invalid":
        stage = f"{where}: stage is {first['ctx']['tag']!r}"
        return f"{stage}; it must be one of {', '.join(STAGES)}"
    if kind == "literal_error":
        known = first["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        return f"{where} is {value!r}; it must be one of {known}"
    return f"{where} is {value!r}; it must be of {_TYPES.get(kind, kind)}"


def _unknown(place: tuple[int | str, ...], content: Any) -> str:
    """A key unknown in its table, but perhaps known in another stage."""
    key, cls = str(place[-1]), _table(place[:-1])
    stages = [name for name, other in STAGES.items() if key in _keys(other)]
    if stages and cls in STAGES.values():
        return read_only_with(key, "stage", stages, cls.stage)
    return f"unknown key {key!r}; known are {', '.join(_keys(cls))}"


def _keys(cls: Any) -> list[str]:
    return [item.name for item in fields(cls) if "not_a_key" not in item.metadata]


def _table(place: Sequence[int | str]) -> Any:
    """The class of the table, or the type of the value, at a place with the tags of stages."""
    found: Any = Recipe
    for part in place:
        if isinstance(part, str):
            found = STAGES[part] if found is tuple else _held(get_type_hints(found)[part])
    return found


def _held(hint: Any) -> Any:
    """The table within `Table | None` or `tuple[Table, ...]`; of stages, which are many, tuple."""
    tables = [one for one in (hint, *get_args(hint)) if is_dataclass(one)]
    return tables[0] if tables else tuple if get_args(hint) else hint


def _where(place: Sequence[int | str], end: str = "", content: Any = None) -> str:
    """`stages[1]: sources[0]: limit`; with `content`, a stage is called by its name."""
    said: list[str] = []
    for number, part in enumerate(place):
        if isinstance(part, int):
            said[-1] += f"[{part}]"
        elif not (number == 2 and place[0] == "stages"):  # the tag of the union
            said.append(part)
    if content is not None and len(place) == 3 and place[0] == "stages":
        said = [f"stage {content['stages'][place[1]]['name']}"]
    return ": ".join(said) + (end if said else "")
