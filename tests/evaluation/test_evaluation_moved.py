"""Old names of `thought1.evaluation` still lead to what they named, with a warning."""

import sys
from importlib import import_module

import pytest

from thought1.evaluation.moved import MODULES, NAMES

HERE = "thought1.evaluation"


@pytest.mark.parametrize("old", MODULES)
def test_an_old_module_has_the_content_of_the_new_one(
    old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, f"{HERE}.{old}", raising=False)
    with pytest.warns(DeprecationWarning, match=rf"\.{old} is now {HERE}\.{MODULES[old]};"):
        found = import_module(f"{HERE}.{old}")
    new = import_module(f"{HERE}.{MODULES[old]}")
    names = [name for name in vars(new) if not name.startswith("_")]
    assert names and all(getattr(found, name) is getattr(new, name) for name in names)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("old", "name"), [(old, name) for old in NAMES for name in NAMES[old]])
def test_an_old_name_leads_to_the_new_one(old: str, name: str) -> None:
    target, _, attribute = NAMES[old][name].partition(":")
    module = import_module(f"{HERE}.{old}")
    with pytest.warns(DeprecationWarning, match=rf"\.{name} is now {HERE}\.{target}\.{attribute};"):
        found = getattr(module, name)
    assert found is getattr(import_module(f"{HERE}.{target}"), attribute)


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(ImportError):
        import_module(f"{HERE}.nothing")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        import_module(f"{HERE}.statistics").nothing  # noqa: B018
