"""An index follows its folder: what is gone goes, and nothing else."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from thought1.data.formats import open_corpus
from thought1.follow import Follower
from thought1.index import Index
from thought1.testing import FakeModel
from thought1.types import Document, Thought1Error


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index.create(tmp_path / "i", FakeModel())


def write(folder: Path, **texts: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text)
    return folder


def follow(index: Index, folder: Path, skip_bad: bool = False) -> int:
    follower = Follower(index, folder)
    index.add(follower.watch(open_corpus(folder).documents(skip_bad)))
    return follower.remove(keep_unread=skip_bad)


def ids(index: Index) -> list[str]:
    return sorted(index.metadata())


def test_shorter_and_removed_files_leave(index: Index, tmp_path: Path) -> None:
    long = "\n\n".join(f"Paragraph {n}. " + "word " * 200 for n in range(3))
    folder = write(tmp_path / "kb", vpn=long, gone="Secret.", same="Same.")
    assert follow(index, folder) == 0
    assert ids(index) == ["gone.md#0", "same.md#0", "vpn.md#0", "vpn.md#1", "vpn.md#2"]
    (folder / "gone.md").unlink()
    write(folder, vpn="Short.", new="New.")
    assert follow(index, folder) == 3
    assert ids(index) == ["new.md#0", "same.md#0", "vpn.md#0"]
    assert follow(index, folder) == 0


def test_other_folders_and_other_documents_stay(index: Index, tmp_path: Path) -> None:
    first = write(tmp_path / "first", a="One.", b="Two.")
    second = write(tmp_path / "second", c="Three.")
    index.add([Document("own", "By Python."), Document("x#0", "Text.", "", {"source": "x"})])
    follow(index, first)
    follow(index, second)
    (first / "b.md").unlink()
    assert follow(index, first) == 1
    assert ids(index) == ["a.md#0", "c.md#0", "own", "x#0"]
    # A folder inside of another one has ids of its own.
    inner = write(first / "inner", d="Four.")
    follow(index, first)
    follow(index, inner)
    assert ids(index) == ["a.md#0", "c.md#0", "d.md#0", "inner/d.md#0", "own", "x#0"]


def test_two_folders_do_not_take_ids_of_each_other(index: Index, tmp_path: Path) -> None:
    first = write(tmp_path / "first", readme="One.")
    second = write(tmp_path / "second", readme="Two.")
    follow(index, first)
    with pytest.raises(Thought1Error, match=r"holds 'readme.md' of the folder .*first"):
        follow(index, second)
    assert follow(index, first) == 0
    shutil.rmtree(first)  # moved, as far as one can tell
    assert follow(index, second) == 0
    assert ids(index) == ["readme.md#0"]


def test_an_interrupted_run_removes_nothing(index: Index, tmp_path: Path) -> None:
    folder = write(tmp_path / "kb", a="One.", b="Two.", c="Three.")
    follow(index, folder)
    (folder / "c.md").unlink()
    follower = Follower(index, folder)

    def broken() -> Iterator[Document]:
        yield from list(open_corpus(folder))[:1]
        raise OSError("the disk is gone")

    with pytest.raises(OSError):
        index.add(follower.watch(broken()))
    assert ids(index) == ["a.md#0", "b.md#0", "c.md#0"]


@pytest.mark.parametrize(
    "ruin",
    [lambda folder: (folder / "a.md").unlink(), lambda folder: (folder / "a.md").write_text("")],
)
def test_an_empty_folder_empties_no_index(
    index: Index, tmp_path: Path, ruin: Callable[[Path], object]
) -> None:
    folder = write(tmp_path / "kb", a="One.")
    follow(index, folder)
    ruin(folder)
    with pytest.raises(Thought1Error):
        follow(index, folder)
    assert ids(index) == ["a.md#0"]


def test_passages_of_a_skipped_file_stay(index: Index, tmp_path: Path) -> None:
    folder = write(tmp_path / "kb", a="One.", b="Two.", c="Three.")
    follow(index, folder)
    (folder / "a.md").write_bytes(b"\xff")
    (folder / "b.md").unlink()
    assert follow(index, folder, skip_bad=True) == 1
    assert ids(index) == ["a.md#0", "c.md#0"]


def test_an_index_from_before_folders_were_named(index: Index, tmp_path: Path) -> None:
    """The passages of files that are still there; of others nothing tells whose they are."""
    folder = write(tmp_path / "kb", a="One.")
    index.add(
        Document(f"{name}.md#{n}", "Old.", "", {"source": f"{name}.md", "start": 0, "end": 4})
        for name in "ab"
        for n in range(2)
    )
    assert follow(index, folder) == 1
    assert ids(index) == ["a.md#0", "b.md#0", "b.md#1"]


def test_another_corpus_owns_what_came_from_no_folder(index: Index, tmp_path: Path) -> None:
    follow(index, write(tmp_path / "kb", a="One."))
    index.add([Document("1", "One."), Document("2", "Two.")])
    follower = Follower(index, None)
    index.add(follower.watch([Document("2", "Two."), Document("3", "Three.")]))
    assert follower.remove() == 1
    assert ids(index) == ["2", "3", "a.md#0"]


def test_an_index_moves_with_its_folder(tmp_path: Path) -> None:
    model = FakeModel()
    home = tmp_path / "home"
    home.mkdir()
    folder = write(home / "kb", a="One.", b="Two.")
    follow(Index.create(home / "i", model), folder)
    home.rename(tmp_path / "moved")
    (tmp_path / "moved" / "kb" / "b.md").unlink()
    assert follow(Index.open(tmp_path / "moved" / "i", model), tmp_path / "moved" / "kb") == 1
    assert model.encoded == ["a.md#0", "b.md#0"]
