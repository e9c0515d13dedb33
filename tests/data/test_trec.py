"""Judgements and runs on disk."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from thought1.data.trec import read_exclusions, read_qrels, read_run, write_run
from thought1.types import Run, Thought1Error


def write(path: Path, content: str) -> Path:
    path.write_bytes(content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("query-id\tcorpus-id\tscore\nq\td\t1\nq\te\t0\n", {"q": {"d": 1, "e": 0}}),
        ("\ufeffquery-id\tcorpus-id\tscore\r\nq\td\t1\r\n\r\n", {"q": {"d": 1}}),
        ("q\ta note.md#0\t2\n", {"q": {"a note.md#0": 2}}),
        ("q 0 d 1\nr 0 d -1\n", {"q": {"d": 1}, "r": {"d": -1}}),
        ("q\t0\td\t1", {"q": {"d": 1}}),
        ("q \t 0 \td\t 1 \n", {"q": {"d": 1}}),
        ("q\td\t1\nq\td\t1\n", {"q": {"d": 1}}),
        ("query-id\tQ0\tcorpus-id\tscore\nq\t0\td\t1\n", {"q": {"d": 1}}),
        ("query_id iter doc_id rel\nq 0 d 1\n", {"q": {"d": 1}}),
        ("Query ID\tDoc ID\tScore\nq\td\t1\n", {"q": {"d": 1}}),
        ("query 0 d 1\n", {"query": {"d": 1}}),
        ('\n{"q": {"d": 1}}', {"q": {"d": 1}}),
    ],
)
def test_read_qrels(tmp_path: Path, content: str, expected: object) -> None:
    assert read_qrels(write(tmp_path / "q.tsv", content)) == expected
    (tmp_path / "q.tsv.gz").write_bytes(gzip.compress(content.encode()))
    assert read_qrels(tmp_path / "q.tsv.gz") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "q.tsv holds no judgements"),
        ("query-id\tcorpus-id\tscore\n", "q.tsv holds no judgements"),
        ("q\td\t1\nq\td\t2", "q.tsv:2: the pair has occurred before, with another score"),
        ("q\td\t1\nq\te\t0.5", 'q.tsv:2: the score must be an integer, not "0.5"'),
        ("q\td\tone", 'q.tsv:1: the score must be an integer, not "one"'),
        ("q\td\t\u0661", "q.tsv:1: the score must be an integer"),
        ("q\td\t" + "9" * 5000, "q.tsv:1: the score must be an integer"),
        ("q\td\t1\nq\td", "q.tsv:2: needs query, document, score"),
        ("q\td\t1\nq\t0\td\t1", "q.tsv:2: needs query, document, score"),
        ("a b c d e\n", "q.tsv:1: needs query, document, score"),
        ("q\t\t1", "none of them empty"),
        ("q\td\t1\n" + "x" * 2_000_000, "q.tsv:2: the line is longer than"),
    ],
)
def test_bad_qrels(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(Thought1Error) as caught:
        read_qrels(write(tmp_path / "q.tsv", content))
    assert message in str(caught.value)


def test_write_run_is_trec_format(tmp_path: Path) -> None:
    scores = {"b": 0.5, "c": 0.75, "a": 0.5, "d": np.float32(0.1)}
    run: Run = {"q2": scores, "none": {}, "q1": {"x": -1e-30}}
    write_run(tmp_path / "run.trec", run, "t1")
    assert (tmp_path / "run.trec").read_bytes().decode().splitlines() == [
        "q2 Q0 c 1 0.75 t1",
        "q2 Q0 a 2 0.5 t1",
        "q2 Q0 b 3 0.5 t1",
        "q2 Q0 d 4 0.10000000149011612 t1",
        "q1 Q0 x 1 -1e-30 t1",
    ]
    assert read_run(tmp_path / "run.trec") == {"q2": scores, "q1": {"x": -1e-30}}
    assert [path.name for path in tmp_path.iterdir()] == ["run.trec"]


@pytest.mark.parametrize(
    ("run", "tag", "error", "message"),
    [
        ({"q": {"a\tb": 1.0}}, "t1", Thought1Error, 'the document id "a\\tb" cannot be written'),
        ({"q": {"a\n": 1.0}}, "t1", Thought1Error, "neither tab nor line break"),
        ({"q": {"": 1.0}}, "t1", Thought1Error, 'the document id "" cannot be written'),
        ({"q ": {"a": 1.0}}, "t1", Thought1Error, "the query id"),
        ({"q": {"a": 1.0}}, "two\twords", Thought1Error, "the tag"),
        ({"q": {"a": float("nan")}}, "t1", ValueError, "score of 'a' for 'q' is nan"),
    ],
)
def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, run: Run, tag: str, error: type[Exception], message: str
) -> None:
    path = write(tmp_path / "run.trec", "old")
    with pytest.raises(error) as caught:
        write_run(path, {"first": {"d": 1.0}, **run}, tag)
    assert message in str(caught.value)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_run_that_cannot_be_placed(tmp_path: Path) -> None:
    file = write(tmp_path / "file", "")
    for path in (tmp_path / "no" / "run.trec", file / "run.trec"):
        with pytest.raises(Thought1Error, match=r"run\.trec cannot be written"):
            write_run(path, {"q": {"d": 1.0}}, "t1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("q Q0 d 1 0.5", "run:1: has 5 columns; a run has six"),
        ("q Q0 d 1 high t1", 'run:1: the score must be a number, not "high"'),
        ("q Q0 d 1 nan t1", "run:1: the score must be a number"),
        ("q Q0 d 1 1 t1\nq Q0 d 2 0.5 t1", "run:2: the document has occurred before"),
        ("q\td\t1\n", "run:1: has 3 columns; a run has six"),  # the third may be a rank
        ("query-id\tcorpus-id\tscore\nq Q0 d 1 1 t1", "run:2: has 6 columns; a run has six"),
        ("q\tQ0\t\t1\t1\tt1", "run:1: has 6 columns; a run has six"),
    ],
)
def test_bad_run(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(Thought1Error) as caught:
        read_run(write(tmp_path / "run", content))
    assert message in str(caught.value)


def test_a_run_of_others_is_read(tmp_path: Path) -> None:
    lines = "q\tQ0\td\t1\t2\tBM25\n\nq Q0  e 2 1e-3 BM25\r\nq \t Q0\tf \t3\t 0 \tBM25 \n"
    path = write(tmp_path / "run", lines)
    assert read_run(path) == {"q": {"d": 2.0, "e": 0.001, "f": 0.0}}


def test_a_run_as_tsv_is_read(tmp_path: Path) -> None:
    content = "query-id\tcorpus-id\tscore\nq\ta note.md\t0.5\nq\te\t-1e-3\n"
    expected = {"q": {"a note.md": 0.5, "e": -0.001}}
    assert read_run(write(tmp_path / "run.tsv", content)) == expected
    (tmp_path / "run.tsv.gz").write_bytes(gzip.compress(content.encode()))
    assert read_run(tmp_path / "run.tsv.gz") == expected
    six = write(tmp_path / "run", "q 1\tQ0\ta note.md\t1\t0.5\tt1\n")
    assert read_run(six) == {"q 1": {"a note.md": 0.5}}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("q\ta note.md\nq \t d\n\nr e\n", {"q": {"a note.md", "d"}, "r": {"e"}}),
        ("q N/A\n", {}),
        (
            '{"_id": "q", "excluded_ids": ["N/A", "d"], "text": "why"}\n'
            '{"id": 7, "excluded_ids": ["d", "e"]}\n'
            '{"id": "r", "excluded_ids": ["N/A"]}\n{"id": "s", "excluded_ids": []}\n',
            {"q": {"d"}, "7": {"d", "e"}},
        ),
    ],
)
def test_read_exclusions(tmp_path: Path, content: str, expected: object) -> None:
    assert read_exclusions(write(tmp_path / "x", content)) == expected
    (tmp_path / "x.gz").write_bytes(gzip.compress(content.encode()))
    assert read_exclusions(tmp_path / "x.gz") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "x is empty"),
        ("q d\nq d e\n", "x:2: has 3 columns; needs query and document"),
        ("q\n", "x:1: has 1 columns"),
        ('{"_id": "q"}', 'x:1: field "excluded_ids" must be a list'),
        ('{"_id": "q", "excluded_ids": "N/A"}', 'x:1: field "excluded_ids" must be a list'),
        ('{"_id": "q", "excluded_ids": [1]}', 'x:1: field "excluded_ids" must be a list'),
        ('{"excluded_ids": ["d"]}', 'x:1: field "_id" is missing'),
        ('{"_id": "q"', "x:1: not valid JSON"),
    ],
)
def test_bad_exclusions(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(Thought1Error) as caught:
        read_exclusions(write(tmp_path / "x", content))
    assert message in str(caught.value)


def test_ids_with_blanks_survive_a_run(tmp_path: Path) -> None:
    run: Run = {"q 1": {"Ice cream": 2.0, "b": 1.0}}
    write_run(tmp_path / "run", run, "t1")
    assert (
        tmp_path / "run"
    ).read_text() == "q 1\tQ0\tIce cream\t1\t2.0\tt1\nq 1\tQ0\tb\t2\t1.0\tt1\n"
    assert read_run(tmp_path / "run") == run


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"q": 1}', "run.json is a JSON file, but not one object"),
        ('{"q": {"d": true}}', "the score of 'd' for 'q' must be a number"),
        ('{"q": {"d": NaN}}', "must be a number"),
        ('{"q": {"d": 1, "d": 2}}', "a key occurs twice"),
        ('{"query": "q"}\n{"query": "r"}', "Extra data"),
        ("{}", "it is empty"),
    ],
)
def test_json_runs(tmp_path: Path, content: str, message: str) -> None:
    good = write(tmp_path / "good.json", '{"q": {\n"d": 0.5, "e": 1}}')
    assert read_run(good) == {"q": {"d": 0.5, "e": 1.0}}
    with pytest.raises(Thought1Error) as caught:
        read_run(write(tmp_path / "run.json", content))
    assert message in str(caught.value)
