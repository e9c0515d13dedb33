"""Texts in one file of bounded size: what stays, several processes, broken files."""

import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from thought1.files.bounded import BoundedFile

CHILD = """
import sys
from pathlib import Path
from thought1.files.bounded import BoundedFile
path, own, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
file = BoundedFile(path, 10**9)
print("ready", flush=True)
sys.stdin.readline()
for n in range(count):
    texts = {f"{own}-{n}": own * 50, f"shared-{n}": str(n)}
    file.put(texts)
    assert file.get(list(texts)) == texts
"""


def test_texts_are_found_again(tmp_path: Path) -> None:
    file = BoundedFile(tmp_path / "deep" / "kept.sqlite", 10**6)
    assert file.get(["a"]) == {}
    assert not file.path.exists()  # asking makes nothing
    file.put({})
    assert not file.path.exists()
    file.put({"a": "1", "é": "日本\x00🎉", "empty": ""})
    file.put({"a": "2"})
    wanted = {"a": "2", "é": "日本\x00🎉", "empty": ""}
    assert BoundedFile(file.path, 10**6).get([*wanted, "none", "a"]) == wanted
    many = {str(n): str(n) for n in range(1200)}
    file.put(many)
    assert file.get(list(many)) == many


def test_what_was_used_longest_ago_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr(time, "time", lambda: next(clock))
    file = BoundedFile(tmp_path / "kept.sqlite", 10 * 101)
    for n in range(10):
        file.put({str(n): "x" * 100})
    assert file.get(["0"])  # used again
    file.put({"a": "x" * 100})
    keys = [*map(str, range(10)), "a"]
    assert sorted(file.get(keys)) == sorted(set(keys) - {"1"})
    file.put({"big": "x" * 2000})
    assert file.get([*keys, "big"]) == {}


def test_the_file_stays_small(tmp_path: Path) -> None:
    file = BoundedFile(tmp_path / "kept.sqlite", 100_000)
    for n in range(60):
        file.put({f"{n}-{m}": "x" * 1000 for m in range(10)})
    assert file.path.stat().st_size < 200_000


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    path, count = tmp_path / "kept.sqlite", 60
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), own, str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for own in ("a", "b")
    ]  # fmt: skip
    for child in children:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
    ended = [child.communicate("go\n", timeout=120) for child in children]
    assert [child.returncode for child in children] == [0, 0], ended
    keys = [f"{own}-{n}" for own in ("a", "b", "shared") for n in range(count)]
    assert len(BoundedFile(path, 10**9).get(keys)) == 3 * count


def test_several_threads(tmp_path: Path) -> None:
    file = BoundedFile(tmp_path / "kept.sqlite", 10**6)
    work = [threading.Thread(target=file.put, args=({str(n): str(n)},)) for n in range(16)]
    for one in work:
        one.start()
    for one in work:
        one.join()
    assert len(file.get([str(n) for n in range(16)])) == 16


@pytest.mark.parametrize("content", [b"nonsense " * 500, b""])
def test_a_broken_file_is_an_empty_cache(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    path = tmp_path / "kept.sqlite"
    path.write_bytes(content)
    file = BoundedFile(path, 10**6)
    with caplog.at_level(logging.WARNING):
        assert file.get(["a"]) == {}
        file.put({"a": "1"})
        found = file.get(["a"])
    if content:
        assert found == {} and path.read_bytes() == content
        assert len(caplog.records) == 1  # told once
        assert "cannot be used as a cache" in caplog.text
    else:
        assert found == {"a": "1"}


def test_where_nothing_can_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("x")
    file = BoundedFile(tmp_path / "file" / "kept.sqlite", 10**6)
    file.put({"a": "1"})
    assert file.get(["a"]) == {}
    assert "cannot be used as a cache" in caplog.text
