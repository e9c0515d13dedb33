"""`t1 report`: where the page goes, and how it ends."""

from pathlib import Path

from result_files import ResultFile, kitchen
from t1_command import T1Command


def test_the_page_is_written(t1: T1Command, tmp_path: Path) -> None:
    results = kitchen(tmp_path / "results")
    target = tmp_path / "page.html"
    ran = t1("report", results, "-o", target, "--title", "Our kitchen")
    assert (ran.code, ran.out) == (0, f"{target}: 3 results\n")
    assert "<title>Our kitchen</title>" in target.read_text("utf-8")


def test_by_default_it_lies_beside_the_results(t1: T1Command, tmp_path: Path) -> None:
    ResultFile().write(tmp_path)
    assert t1("report", tmp_path).out == f"{tmp_path / 'report.html'}: 1 result\n"
    first = (tmp_path / "report.html").read_bytes()
    assert t1("report", tmp_path).code == 0  # the page is no result
    assert (tmp_path / "report.html").read_bytes() == first


def test_refused(t1: T1Command, tmp_path: Path) -> None:
    assert "holds no result files" in t1("report", tmp_path).error()
    assert "is not a folder" in t1("report", tmp_path / "none").error()
    path = ResultFile().write(tmp_path)
    assert "cannot be written" in t1("report", tmp_path, "-o", tmp_path / "no" / "x.html").error()
    path.write_text("{")
    assert (
        f"{path} is not the result of an evaluation: it is not valid JSON"
        in t1("report", tmp_path).error()
    )
    assert not (tmp_path / "report.html").exists()
