"""Places that are tried before the work, and what every command refuses in its arguments."""

from pathlib import Path

import pytest

from thought1.cli import main
from thought1.data.outputs import check_file, check_folder, local
from thought1.model.tally import Tally
from thought1.types import Thought1Error


def test_a_place_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("old")
    check_file(old)
    check_file(tmp_path / "a" / "new", makes_folders=True)
    check_folder(tmp_path / "b" / "c")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert old.read_text() == "old"


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    files = (tmp_path, tmp_path / "no" / "x", tmp_path / "file" / "x", tmp_path / ("x" * 300))
    for path in (*files, Path("/dev/null"), Path("s3://bucket/x")):
        with pytest.raises(Thought1Error):
            check_file(path)
    for path in (tmp_path / "file" / "x", tmp_path / "a" / ("x" * 300), Path("hf://datasets/x")):
        with pytest.raises(Thought1Error):
            check_folder(path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("address", ["s3://b/x", "gs://b", "hf://datasets/a", Path("file:///x")])
def test_addresses(address: str | Path) -> None:
    with pytest.raises(Thought1Error, match="is an address"):
        local(address)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "s3://b/i", "q"], "is an address"),
        (["index", "s3://b/c.jsonl", "-o", "x"], "is an address"),
        (["evaluate", "x", "--split", "dev", "--results", "gs://b"], "is an address"),
        (["think", "q", "--temperature", "inf"], "--temperature must be a finite number"),
        (["search", "x", "q", "-k", str(2**63)], "too large a number"),
        (["search", "x", "q", "-k", str(10**9)], "from 1 to 1,000,000"),
    ],
)
def test_odd_arguments_end_at_once(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_tally_counts_all_and_pauses(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally("documents")
    for _ in range(100):
        tally.add(2, 1)
    with tally.paused():
        tally.add(50, 50)
    assert str(tally) == "100 of 200 documents"
    assert len(caplog.records) == 7  # at 1, 2, 4, ... 64
