"""The registry: every row names something that exists, and wrong names get a useful answer."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pytest

from thought1 import registry
from thought1.registry import RegistryEntry, load, store_type
from thought1.types import Thought1Error

TABLES: dict[str, Mapping[str, RegistryEntry]] = {
    name: table for name, table in vars(registry).items() if name.isupper() and name[0] != "_"
}


def test_every_kind_of_part_has_its_table() -> None:
    core = {"STORES", "ENGINES", "SYSTEMS", "LOSSES", "REWARDS"}
    assert set(TABLES) == core | {"RERANKERS", "THOUGHT_WRITERS"}


@pytest.mark.parametrize(
    ("table", "name"), [(table, name) for table, rows in TABLES.items() for name in rows]
)
def test_every_row_names_something_that_exists(table: str, name: str) -> None:
    entry = TABLES[table][name]
    found = load("part", name, TABLES[table])
    module, _, attribute = entry.target.partition(":")
    assert found is getattr(import_module(module), attribute)


def test_an_unknown_store_lists_the_known_ones() -> None:
    with pytest.raises(Thought1Error, match="no store named 'chroma'; known names: lance"):
        store_type("chroma")


@pytest.mark.parametrize(("extra", "install"), [("serve", r"thought1\[serve\]"), ("", "thought1")])
def test_a_missing_package_is_answered_with_the_install_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str, install: str
) -> None:
    (tmp_path / "needs_absent.py").write_text("import absent_package.part\n")
    monkeypatch.syspath_prepend(tmp_path)
    table = {"fancy": RegistryEntry("needs_absent:Part", extra)}
    message = f"reranker 'fancy' needs the package absent_package: pip install \"{install}\""
    with pytest.raises(Thought1Error, match=message):
        load("reranker", "fancy", table)


def test_a_wrong_row_is_a_programming_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        load("store", "x", {"x": RegistryEntry("thought1.absent:Part")})
