"""Names of the parts one can exchange, and where they live.

A part is imported when it is asked for by name, so that nothing heavy is loaded at start. What
belongs here is one row for each part; this file knows no part from the inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from thought1.types import Store, Thought1Error


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """Where a part lives ("module:Class"), and the extra that brings what it imports."""

    target: str
    extra: str = ""
    """"" where `pip install thought1` alone brings it."""


STORES: Mapping[str, RegistryEntry] = {
    "lance": RegistryEntry("thought1.store.lance:LanceStore"),
}


class StoreType(Protocol):
    """How a store comes to life: what a class of STORES offers besides the verbs of `Store`."""

    def create(
        self, path: Path, dim: int, info: Mapping[str, Any], *, overwrite: bool = False
    ) -> Store:
        """An empty store for vectors of `dim` dimensions; `info` is JSON data, kept with it.

        Raises:
            Thought1Error: the path holds a store already (and not `overwrite`), or other files.
        """

    def open(self, path: Path) -> Store:
        """The store at `path`.

        Raises:
            Thought1Error: there is none.
        """


def store_type(name: str) -> StoreType:
    """The class of the store `name`.

    Raises:
        Thought1Error: unknown name, or a package that it needs is not installed.
    """
    return cast(StoreType, load("store", name, STORES))


def load(kind: str, name: str, table: Mapping[str, RegistryEntry]) -> Any:
    """Import what `table` lists under `name`; `kind` is the word for it in messages.

    Raises:
        Thought1Error: unknown name, or a package that it needs is not installed.
    """
    if name not in table:
        known = ", ".join(sorted(table))
        raise Thought1Error(f"there is no {kind} named {name!r}; known names: {known}")
    entry = table[name]
    module, _, attribute = entry.target.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "thought1"):
            raise  # a wrong row of the table, not a missing package
        package = f"thought1[{entry.extra}]" if entry.extra else "thought1"
        raise Thought1Error(
            f'the {kind} {name!r} needs the package {missing}: pip install "{package}"'
        ) from error
