"""`t1 index` and `t1 serve` on a full disk."""

from pathlib import Path

from small_disk import fill, small_disk
from t1_command import T1Command, write_lines

from thought1.index import Index
from thought1.t1 import T1

FEW = [{"_id": f"few{number}", "text": f"note {number}"} for number in range(3)]
MANY = [{"_id": f"many{number}", "text": f"note {number}"} for number in range(200)]


def test_what_was_stored_stays_and_the_same_command_goes_on(
    t1: T1Command, tmp_path: Path, model: str
) -> None:
    few, many = write_lines(tmp_path / "few.jsonl", FEW), write_lines(tmp_path / "m.jsonl", MANY)
    with small_disk(tmp_path / "disk", 4) as disk:
        folder = disk / "notes.index"
        assert t1("index", few, "-o", folder, "--model", model).code == 0
        filling = fill(disk)
        error = t1("index", many, "-o", folder).error()
        assert error.startswith("error: the disk is full: nothing more can be written into the")
        assert str(folder) in error
        assert "the disk is full" in t1("index", few, "-o", disk / "n", "--model", model).error()
        assert not (disk / "n").exists()
        index = Index.open(folder, T1.from_pretrained(model))
        assert len(index) == 3
        assert len(index.search("note", 10, mode="bm25").hits) == 3
        filling.unlink()
        assert "200 added" in t1("index", many, "-o", folder).out
        assert len(index) == 203
