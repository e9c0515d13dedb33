"""`t1 models`: the list, and getting what a model needs."""

from pathlib import Path

import pytest
from t1_command import T1Command

from thought1.model import inventory, model_cache


def test_the_list(t1: T1Command) -> None:
    found = t1("models", "--json").json()["models"]
    assert found[0]["name"] == "t1-nano"
    assert "t1-nano" in t1("models").out


def test_get(t1: T1Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "everything it needs is installed" in t1("models", "get", "t1-nano").out
    assert "not a bundled model" in t1("models", "get", "nothing").error()
    ran = []
    monkeypatch.setattr(inventory, "commands", lambda _: [["pip", "install", "x"]])
    monkeypatch.setattr(inventory, "install", ran.append)
    assert "pip install x" in t1("models", "get", "t1-nano", "--yes").out
    assert ran == [[["pip", "install", "x"]]]
    refused = t1("models", "get", "t1-nano", stdin=b"n\n")
    assert refused.code == 2 and "nothing was installed" in refused.err
    assert len(ran) == 1


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("T1_MODEL_CACHE", str(folder))
    return folder


def test_what_is_kept_is_shown_and_removed(t1: T1Command, cache: Path) -> None:
    assert t1("models", "--json").json()["kept"] == []
    assert "cached dequantised" not in t1("models").out
    size = 3_000_000
    record = model_cache.CacheRecord({"file": "some hash"}, "some.gguf", "some hash")
    model_cache.keep(record, size, lambda folder: (folder / "w").write_bytes(b"x" * size) and None)
    (one,) = t1("models", "--json").json()["kept"]
    assert one["model"] == "some.gguf" and one["bytes"] >= size
    assert Path(one["folder"]).parent == cache
    shown = t1("models").out
    assert f"3 MB in {cache}; t1 models clear removes it): some.gguf" in shown
    assert t1("models", "clear").out == "3 MB removed\n"
    assert t1("models", "--json").json()["kept"] == []
    assert t1("models", "clear").out == "0 MB removed\n"


def test_what_cannot_be_removed(t1: T1Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise PermissionError(13, "Permission denied", "/somewhere")

    monkeypatch.setattr(model_cache, "clear", refuse)
    assert "/somewhere cannot be removed: Permission denied" in t1("models", "clear").error()
