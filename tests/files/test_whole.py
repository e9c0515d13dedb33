"""Files and folders that appear whole or not at all."""

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from thought1.files.whole import part_of, write_folder, write_whole


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_in_the_middle_leaves_the_old_file(
    failure: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(failure), write_whole(path) as stream:
        stream.write(b"half")
        stream.flush()
        assert path.read_text() == "old"
        raise failure
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_put_in_place_leaves_no_part(tmp_path: Path) -> None:
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(OSError), write_whole(tmp_path / "taken") as stream:
        stream.write(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    with pytest.raises(ValueError), write_whole(tmp_path / "new") as stream:
        next(tmp_path.glob(".new.*")).unlink()  # what is gone already does not hide the failure
        raise ValueError


@pytest.mark.usefixtures("umask")
def test_permissions_are_the_usual_ones(tmp_path: Path) -> None:
    with write_whole(tmp_path / "made" / "file") as stream:
        stream.write(b"whole")
    with write_folder(tmp_path / "folder") as fresh:
        (fresh / "file").touch()
    assert mode(tmp_path / "made" / "file") == mode(tmp_path / "folder" / "file") == 0o640
    assert mode(tmp_path / "made") == mode(tmp_path / "folder") == 0o750


def write_often(path: Path, content: bytes) -> None:
    for _ in range(50):
        with write_whole(path) as stream:
            stream.write(content)


def test_writers_at_the_same_time_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([n]) * 100_000 for n in (1, 2)]
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(path, one)) for one in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert not path.exists() or path.read_bytes() in contents
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert list(tmp_path.iterdir()) == [path]
    assert part_of(path) != part_of(path)  # of threads of one process too


def test_a_failure_in_the_middle_leaves_the_old_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(ValueError), write_folder(folder) as fresh:
        (fresh / "half").touch()
        raise ValueError
    assert list(tmp_path.rglob("*")) == [folder, folder / "old"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "folder"
    for name in ("old", "new"):
        with write_folder(folder) as fresh:
            (fresh / name).touch()
    assert list(folder.parent.rglob("*")) == [folder, folder / "new"]


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").touch()
    rename = Path.replace

    def refused(self: Path, target: Path) -> Path:
        if self.name == "fresh":
            raise PermissionError
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(PermissionError), write_folder(folder):
        pass
    assert list(tmp_path.rglob("*")) == [folder, folder / "old"]
