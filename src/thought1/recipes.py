"""Reads recipes: a TOML file becomes the dataclasses of `config`; unknown keys are errors.

    name = "t1-nano"
    [model]
    base = "owner/name"
    [[stages]]
    ...

Any value can be set from outside: `KEY=VALUE`, where KEY is a path such as `model.base` or
`stages.1.max_steps`. It knows TOML and types, not what a training does with the values.
"""

import tomllib
import types
from collections.abc import Sequence
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from thought1.config import Recipe
from thought1.ranges import RANGES
from thought1.types import Thought1Error


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply `KEY=VALUE` overrides.

    Raises:
        Thought1Error: no such file, broken TOML, an unknown key, a missing or wrong value.
    """
    if not path.is_file():
        raise Thought1Error(f"no recipe at {path}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Thought1Error(f"{path}: {error}") from None
    for override in overrides:
        _override(content, override)
    recipe = _build(Recipe, content, str(path))
    assert isinstance(recipe, Recipe)
    if not recipe.stages:
        raise Thought1Error(f"{path}: a recipe needs at least one [[stages]] table")
    return replace(recipe, folder=str(path.parent))


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


def _build(cls: type, content: Any, where: str) -> Any:
    """A dataclass from a TOML table, every key and type checked."""
    if not isinstance(content, dict):
        raise Thought1Error(f"{where}: expected a table, got {content!r}")
    hints = get_type_hints(cls, include_extras=True)
    known = {item.name: item for item in fields(cls) if "not_a_key" not in item.metadata}
    for key in content:
        if key not in known:
            raise Thought1Error(f"{where}: unknown key {key!r}; known are {', '.join(known)}")
    missing = [
        name
        for name, item in known.items()
        if name not in content and item.default is MISSING and item.default_factory is MISSING
    ]
    if missing:
        raise Thought1Error(f"{where}: {', '.join(missing)} must be given")
    values = {key: _value(hints[key], value, f"{where}: {key}") for key, value in content.items()}
    for key in values:
        for mark, readers in known[key].metadata.items():
            chosen = values.get(mark, known[mark].default)
            if chosen not in readers:
                raise Thought1Error(
                    f"{where}: {key!r} is read with {mark} = {' or '.join(map(repr, readers))} "
                    f"only, not with {chosen!r}"
                )
    return cls(**values)


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        number = _value(args[0], value, where)
        if not RANGES[args[1]](number):
            raise Thought1Error(f"{where} is {value!r}; it must be {args[1]}")
        return number
    if origin in (Union, types.UnionType):
        return _value(next(a for a in args if a is not type(None)), value, where)
    if is_dataclass(hint):
        return _build(hint, value, where)  # type: ignore[arg-type]
    if origin is tuple:
        if not isinstance(value, list):
            raise Thought1Error(f"{where}: expected a list, got {value!r}")
        return tuple(_value(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is Literal:
        if value not in args:
            raise Thought1Error(f"{where} is {value!r}; it must be one of {', '.join(args)}")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise Thought1Error(f"{where} is {value!r}; it must be of type {hint.__name__}")
    return value
