"""Old names still lead to what they named, with a warning."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from thought1.moved import MODULES, NAMES


@pytest.mark.parametrize("old", MODULES)
def test_an_old_module_has_the_content_of_the_new_one(
    old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=rf"^{old} is now {MODULES[old]};") as warned:
        found = import_module(old)
    new = import_module(MODULES[old])
    names = [name for name in vars(new) if not name.startswith("_")]
    assert names and all(getattr(found, name) is getattr(new, name) for name in names)
    assert [str(one.message).split(" is now ")[0] for one in warned] == [old]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("old", "name"), [(old, name) for old in NAMES for name in NAMES[old]])
def test_an_old_name_leads_to_the_new_one(old: str, name: str) -> None:
    target, _, attribute = NAMES[old][name].partition(":")
    module = import_module(old)
    with pytest.warns(DeprecationWarning, match=rf"^{old}\.{name} is now {target}\.{attribute};"):
        found = getattr(module, name)
    assert found is getattr(import_module(target), attribute)


def test_old_modules_are_found_without_importing_their_package_first() -> None:
    """By `import`, by `from ... import module` and by `from module import ...`."""
    code = (
        "import thought1.place\n"
        "from thought1 import settings\n"
        "from thought1.evaluation.protocol import paired_bootstrap\n"
        "print(thought1.place.locate, settings.Settings, paired_bootstrap)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    for old in ("thought1.place", "thought1.settings", "thought1.evaluation.protocol"):
        assert f"DeprecationWarning: {old} is now {MODULES[old]};" in done.stderr


def test_no_old_module_is_a_file_again() -> None:
    """Python would find the file, and the row of the table would have no effect."""
    root = Path(__file__).parent.parent / "src"
    files = [root.joinpath(*old.split(".")) for old in MODULES]
    assert not [file for file in files if file.with_suffix(".py").exists() or file.is_dir()]


@pytest.mark.parametrize(
    ("module", "name"), [("thought1.types", "nothing"), ("thought1.evaluation.statistics", "no")]
)
def test_an_unknown_name_is_no_attribute(module: str, name: str) -> None:
    with pytest.raises(ImportError):
        import_module("thought1.evaluation.nothing")
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
        getattr(import_module(module), name)
