"""What is kept of models appears whole or not at all, stays below its limit, and never fails."""

import json
import multiprocessing
import os
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from thought1.model import model_cache
from thought1.model.model_cache import CacheRecord, cache_folder, clear, discard, find, keep, kept


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("T1_MODEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def record(name: str = "a") -> CacheRecord:
    return CacheRecord({"file": name, "format": 1}, f"{name}.gguf", "some hash")


def write(size: int) -> object:
    return lambda folder: (folder / "weights").write_bytes(b"x" * size)


def put(name: str = "a", size: int = 1000, used: float | None = None) -> Path:
    folder = keep(record(name), size, write(size))
    assert folder is not None
    if used is not None:
        os.utime(folder / "kept.json", (used, used))
    return folder


def names() -> list[str]:
    return [one.model for one in kept()]


def test_an_entry_is_found_by_its_whole_key() -> None:
    assert find(record().key) is None and kept() == []
    folder = put()
    assert find(record().key) == (folder, record())
    assert (folder / "weights").stat().st_size == 1000
    assert find({**record().key, "format": 2}) is None
    (one,) = kept()
    assert one.model == "a.gguf" and one.folder == folder and 1000 < one.bytes < 2000


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("T1_MODEL_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "thought1" / "models"
    if sys.platform == "linux":
        monkeypatch.setenv("HOME", str(tmp_path))
        for path in ("", "relative"):
            monkeypatch.setenv("XDG_CACHE_HOME", path)
            assert cache_folder() == tmp_path / ".cache" / "thought1" / "models"
    monkeypatch.setenv("T1_MODEL_CACHE", "off")
    assert cache_folder() is None and find(record().key) is None and kept() == []
    assert keep(record(), 1, write(1)) is None and clear() == 0
    assert not (tmp_path / "xdg").exists()


def test_a_write_that_fails_leaves_nothing(base: Path) -> None:
    def full(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise OSError("no space left on device")

    assert keep(record(), 1, full) is None
    assert list(base.iterdir()) == []


def test_an_interrupted_write_leaves_nothing(base: Path) -> None:
    def interrupted(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keep(record(), 1, interrupted)
    assert list(base.iterdir()) == []


def test_a_folder_that_cannot_be_written(base: Path) -> None:
    base.write_text("a file")
    assert keep(record(), 1, write(1)) is None
    assert find(record().key) is None and kept() == [] and clear() == 0
    discard(base / "none")


def test_a_disk_that_is_nearly_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1999))
    assert keep(record(), 1000, write(1000)) is None
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2000))
    assert keep(record(), 1000, write(1000))


def test_what_was_used_longest_ago_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_cache, "LIMIT", 3500)
    put("a", used=1.0)
    put("b", used=2.0)
    assert find(record("a").key)  # is used again
    assert names() == ["a.gguf", "b.gguf"]
    put("c", size=1500)
    assert sorted(names()) == ["a.gguf", "c.gguf"]
    assert keep(record("d"), 3501, write(1)) is None  # larger than all: nothing goes for it
    assert sorted(names()) == ["a.gguf", "c.gguf"]


def test_of_two_processes_the_first_one_stays(base: Path) -> None:
    def late(folder: Path) -> None:
        put(size=7)  # the other one is done in the meantime
        (folder / "weights").write_bytes(b"late")

    assert keep(record(), 1, late) is None
    (entry,) = base.iterdir()
    assert (entry / "weights").stat().st_size == 7


def _many(base: str, rounds: int) -> None:
    os.environ["T1_MODEL_CACHE"] = base
    for _ in range(rounds):
        keep(record(), 1000, write(1000))
        if found := find(record().key):
            try:
                size = (found[0] / "weights").stat().st_size
            except FileNotFoundError:  # discarded by another process since
                size = 1000
            assert size == 1000
            discard(found[0])


def test_several_processes_at_once(base: Path) -> None:
    context = multiprocessing.get_context("fork")
    running = [context.Process(target=_many, args=(str(base), 100)) for _ in range(3)]
    for one in running:
        one.start()
    for one in running:
        one.join(60)
    assert [one.exitcode for one in running] == [0, 0, 0]
    assert [path.name for path in base.iterdir() if path.name.startswith(".")] == []


BROKEN = (None, "", "[]", "{}", '{"key": 1, "model": "", "content": ""}')


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_record_is_replaced(content: str | None) -> None:
    path = put() / "kept.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert names() == [""]
    assert find(record().key) is None
    put()
    assert find(record().key)


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_entry_can_be_removed(content: str | None) -> None:
    path = put() / "kept.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    assert clear() >= 1000 and kept() == []


def test_an_entry_under_another_s_name() -> None:
    folder = put()
    content = json.loads((folder / "kept.json").read_text())
    content["key"]["file"] = "b"
    (folder / "kept.json").write_text(json.dumps(content))
    assert find(record().key) is None


def test_what_a_killed_process_left_is_removed_later(base: Path) -> None:
    left, fresh = base / ".keeping-left", base / ".keeping-fresh"
    for folder in (left, fresh):
        folder.mkdir(parents=True)
        (folder / "half").write_bytes(b"x" * 10)
    os.utime(left, (time.time() - 4000,) * 2)
    put()
    assert not left.exists() and fresh.exists()
    assert clear() > 1010
    assert list(base.iterdir()) == []
