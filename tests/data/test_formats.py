"""What a corpus may look like on disk, and what is said of one that is not usable."""

import gzip
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from thought1.data.formats import BadRow, CorpusOptions, open_corpus
from thought1.data.passages import Splitter
from thought1.types import Document, Thought1Error

GOOD = '{"_id": "a", "text": "ice cracks"}'
BOM = b"\xef\xbb\xbf"


def write(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"".join(x if isinstance(x, bytes) else x.encode() + b"\n" for x in lines))
    return path


def documents(path: Path) -> list[Document]:
    return list(open_corpus(path))


def problem(read: Callable[[], object]) -> str:
    with pytest.raises(Thought1Error) as caught:
        read()
    return str(caught.value)


# --- JSONL: what is accepted -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (GOOD, Document("a", "ice cracks")),
        ('{"id": "a", "text": "x"}', Document("a", "x")),
        ('{"_id": 7, "text": "x"}', Document("7", "x")),
        ('{"_id": "a", "text": "x", "title": null}', Document("a", "x")),
        ('{"_id": "a", "text": "x", "title": NaN}', Document("a", "x")),
        ('{"_id": "a", "text": "", "title": "T"}', Document("a", "", "T")),
        ('{"_id": "a", "text": "", "title": ""}', Document("a", "")),
        ('{"_id": "a", "text": " "}', Document("a", " ")),
        ('{"_id": "a", "text": "<emb_token> x"}', Document("a", "<emb_token> x")),
        ('{"_id": "a", "text": "nul \\u0000 \\ud83d\\ude00"}', Document("a", "nul \0 \U0001f600")),
        (
            '{"_id": "a", "text": "x", "s": "t", "i": 1, "f": 0.5, "b": true, "n": null}',
            Document("a", "x", metadata={"s": "t", "i": 1, "f": 0.5, "b": True}),
        ),
        (
            '{"_id": "a", "text": "x", "metadata": {"url": "u", "n": null}, "k": 1}',
            Document("a", "x", metadata={"url": "u", "k": 1}),
        ),
        ('{"_id": "a", "text": "x", "metadata": {}}', Document("a", "x")),
    ],
)
def test_json_line_is_accepted(tmp_path: Path, line: str, expected: Document) -> None:
    path = write(tmp_path / "corpus.jsonl", line)
    assert open_corpus(path).validate().documents == 1
    assert documents(path) == [expected]


# --- metadata: nothing in it costs a document -------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ('"doi": NaN, "year": null', {}),
        ('"tags": ["sea", NaN], "place": {"lat": 1.5}', {
            "tags": '["sea", null]', "place": '{"lat": 1.5}'
        }),
        ('"n": 9223372036854775808, "low": -1e999', {"n": "9223372036854775808", "low": "-inf"}),
        ('"modified at": 1, "Created At": "x", "1-a": 2, "": 3', {
            "modified at": 1, "Created At": "x", "1-a": 2, "": 3
        }),
        ('"vector": 1, "content_hash": "h", "metadata": {"id": 7, "text": "y", "title": "z"}', {
            "vector": 1, "content_hash": "h", "id": 7, "text": "y", "title": "z"
        }),
        ('"metadata": {"k": [1], "j": 2}, "k": 1', {"k": 1, "metadata.k": "[1]", "j": 2}),
        ('"metadata": {"k": 1}, "k": null', {"k": 1}),
        ('"metadata": ["not", "an object"]', {"metadata": '["not", "an object"]'}),
    ],
)  # fmt: skip
def test_metadata_of_any_kind_and_name(
    tmp_path: Path, fields: str, expected: dict[str, object]
) -> None:
    path = write(tmp_path / "corpus.jsonl", '{"_id": "a", "text": "x", ' + fields + "}")
    assert open_corpus(path).validate().left_out == 0
    assert documents(path) == [Document("a", "x", metadata=expected)]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ('"k": "\\ud800", "j": 1', '"k"'),
        ('"\\ud800": 1, "j": 1', '"\\ud800"'),
        ('"k": {"\\ud800": 1}, "j": 1', '"k"'),
        ('"metadata.j": 2, "j": 1, "metadata": {"j": 3}', '"j"'),
    ],
)
def test_a_value_that_cannot_be_stored_is_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fields: str, name: str
) -> None:
    path = write(tmp_path / "corpus.jsonl", '{"_id": "a", "text": "x", ' + fields + "}", GOOD[:-1])
    corpus = open_corpus(path)
    report = corpus.validate(skip_bad=True)
    assert (report.documents, report.skipped, report.left_out) == (1, 1, 1)
    (document,) = corpus.documents(skip_bad=True)
    assert document.metadata["j"] == 1
    message = caplog.messages[0]
    assert message.endswith(f"1 metadata values are of no kind that can be stored, and were left "
                            f"out, in: {name}")  # fmt: skip
    message.encode()


def test_empty_documents_are_kept_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ['{"_id": "b", "text": "", "title": ""}', '{"_id": "c", "text": " \\n"}']
    path = write(tmp_path / "corpus.jsonl", GOOD, *rows, '{"_id": "d", "text": "", "title": "T"}')
    report = open_corpus(path).validate()
    assert (report.documents, report.empty) == (4, 2)
    assert [document.id for document in documents(path)] == ["a", "b", "c", "d"]
    assert caplog.messages == [
        f"{path}: 2 documents have neither title nor text; they are kept, as empty ones"
    ] * 2  # fmt: skip


# --- JSONL: what is a bad row ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "x"}', 'field "_id" is missing; each row needs one'),
        ('{"_id": "b"}', 'field "text" is missing; each row needs "_id" and "text"'),
        ('{"_id": "", "text": "x"}', 'field "_id" is empty'),
        ('{"_id": " ", "text": "x"}', 'field "_id" is empty'),
        ('{"_id": 1.5, "text": "x"}', 'field "_id" must be a string or an integer, not a decimal'),
        ('{"_id": true, "text": "x"}', "not a boolean"),
        ('{"_id": null, "text": "x"}', "not null"),
        ('{"_id": ["b"], "text": "x"}', "not a list"),
        ('{"_id": "b", "id": "b", "text": "x"}', 'has both "_id" and "id"'),
        ('{"_id": "b", "text": null}', 'field "text" must be a string, not null'),
        ('{"_id": "b", "text": NaN}', 'field "text" must be a string, not NaN'),
        ('{"_id": "b", "text": 3}', 'field "text" must be a string, not an integer'),
        ('{"_id": "b", "text": "x", "title": 3}', 'field "title" must be a string'),
        ('{"_id": "b", "text": "\\ud800"}', '"text" holds a lone surrogate'),
        ('{"_id": "\\udfff", "text": "x"}', '"_id" holds a lone surrogate'),
        ('{"_id": "b", "text": "x", "title": "\\ud800"}', '"title" holds a lone surrogate'),
        ('{"_id": "b", "text": "x"', "not valid JSON: Expecting ',' delimiter (column 25)"),
        ("[1]", "needs a JSON object, not a list"),
        ('"text"', "needs a JSON object, not a string"),
        ("[" * 100_000, "not usable JSON"),
        ('{"_id": ' + "1" * 5000 + ', "text": "x"}', "not usable JSON"),
        ('{"_id": "a", "text": "again"}', 'the id "a" has occurred before'),
        (b'{"_id": "b", "text": "\xff"}\n', "byte 23 of the line is not valid UTF-8"),
        (b'{"_id": "b", "text": "\xed\xa0\x80"}\n', "not valid UTF-8"),
        ('{"_id": "b", "text": "' + "x" * 200_000 + '"}', "longer than 200000 bytes"),
    ],
)
def test_bad_json_line(tmp_path: Path, line: str | bytes, message: str) -> None:
    path = write(tmp_path / "corpus.jsonl", GOOD, line, '{"_id": "c", "text": "steam"}')
    corpus = open_corpus(path, options=CorpusOptions(max_line_bytes=200_000))

    with pytest.raises(BadRow) as caught:
        corpus.validate()
    text = str(caught.value)
    assert text.startswith(f"{path}:2: ")
    assert message in text
    text.encode()  # can be printed, whatever the row held

    report = corpus.validate(skip_bad=True)
    assert (report.documents, report.skipped) == (2, 1)
    assert message in report.examples[0]
    assert [d.id for d in corpus.documents(skip_bad=True)] == ["a", "c"]
    with pytest.raises(BadRow):
        list(corpus)


def test_message_is_the_documented_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "corpus.jsonl", GOOD, '{"_id": "b"}')
    monkeypatch.chdir(tmp_path)
    assert problem(open_corpus(Path("corpus.jsonl")).validate) == (
        'corpus.jsonl:2: field "text" is missing; each row needs "_id" and "text"'
    )


def test_duplicate_names_both_lines_and_reports_stay_short(tmp_path: Path) -> None:
    path = write(tmp_path / "c.jsonl", "", GOOD, '{"_id": "b", "text": "x"}', *[GOOD] * 9)
    assert f"{path}:4: the id" in (message := problem(open_corpus(path).validate))
    assert f"at {path}:2;" in message
    report = open_corpus(path).validate(skip_bad=True)
    assert (report.documents, report.skipped, len(report.examples)) == (2, 9, 5)


def test_a_long_id_is_shortened_in_messages(tmp_path: Path) -> None:
    row = json.dumps({"_id": "i" * 10_000, "text": "x"})
    assert len(problem(open_corpus(write(tmp_path / "c.jsonl", row, row)).validate)) < 400


# --- lines and files ---------------------------------------------------------------------------


@pytest.mark.parametrize("content", [
    BOM + GOOD.encode() + b"\n",
    GOOD.encode(),
    b"\r\n" + GOOD.encode() + b"\r\n  \r\n",
    GOOD.encode() + b"\n\n\n",
])  # fmt: skip
@pytest.mark.parametrize("name", ["corpus.jsonl", "c.jsonl.gz", "CORPUS.JSONL", "c.ndjson"])
def test_bom_line_ends_blank_lines_gzip(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert documents(path) == [Document("a", "ice cracks")]


def test_only_a_newline_ends_a_line(tmp_path: Path) -> None:
    text = "a\u2028b\x85c"
    row = json.dumps({"_id": "a", "text": text}, ensure_ascii=False)
    assert documents(write(tmp_path / "c.jsonl", row)) == [Document("a", text)]


def test_a_10_mb_line_is_a_document(tmp_path: Path) -> None:
    text = "ice " * 2_500_000
    path = write(tmp_path / "c.jsonl", json.dumps({"_id": "a", "text": text}), '{"_id": "b"}')
    assert open_corpus(path).validate(skip_bad=True).documents == 1
    assert documents(write(tmp_path / "d.jsonl", json.dumps({"_id": "a", "text": text}))) == [
        Document("a", text)
    ]
    assert "c.jsonl:2:" in problem(open_corpus(path).validate)


def test_a_line_over_the_limit_is_never_held(tmp_path: Path) -> None:
    path = write(tmp_path / "c.jsonl", b"x" * 40_000_000 + b"\n", GOOD)
    corpus = open_corpus(path, options=CorpusOptions(max_line_bytes=100_000))
    tracemalloc.start()
    report = corpus.validate(skip_bad=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (report.documents, report.skipped) == (1, 1)
    assert peak < 8_000_000


def test_a_corpus_streams_and_can_be_read_again(tmp_path: Path) -> None:
    rows = [json.dumps({"_id": str(i), "text": "x" * 1000}) for i in range(8_000)]
    corpus = open_corpus(write(tmp_path / "c.jsonl", *rows))
    tracemalloc.start()
    assert corpus.validate().documents == sum(1 for _ in corpus) == 8_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000  # the file has 8 MB


@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz", "c.csv", "c.tsv"])
def test_an_empty_file_holds_no_documents(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, b"")
    assert problem(open_corpus(path).validate) == f"{path} holds no documents"
    assert "holds no documents" in problem(lambda: documents(path))


def test_only_bad_rows_hold_no_documents(tmp_path: Path) -> None:
    corpus = open_corpus(write(tmp_path / "c.jsonl", "{}", "[]"))
    message = problem(lambda: corpus.validate(skip_bad=True))
    assert "holds no documents: every row is bad, the first one: " in message
    assert 'c.jsonl:1: field "_id" is missing' in message


# With a time in the content, the two workers of `make test` would name this test differently.
@pytest.mark.parametrize(
    "content",
    [b"plain text", gzip.compress(GOOD.encode() * 50, mtime=0)[:-20]],
    ids=["plain", "cut"],
)
def test_a_broken_gzip_file(tmp_path: Path, content: bytes) -> None:
    corpus = open_corpus(write(tmp_path / "c.jsonl.gz", content))
    assert "c.jsonl.gz cannot be read: " in problem(lambda: corpus.validate(skip_bad=True))


def test_what_is_no_corpus_is_told_what_is(tmp_path: Path) -> None:
    (tmp_path / "folder" / ".git").mkdir(parents=True)
    write(tmp_path / "folder" / ".git" / "x.txt", "hidden")
    write(tmp_path / "folder" / "image.png", b"\x89PNG")
    write(tmp_path / "corpus.json", GOOD)
    for name, why in {
        "nowhere": "does not exist",
        "nowhere.jsonl": "does not exist",
        "corpus.json": "is of no kind that can be read",
        "folder": "is a folder without a usable file",
    }.items():
        message = problem(lambda name=name: open_corpus(tmp_path / name))
        assert f"{name} {why}; " in message
        for kind in (".jsonl", ".csv", ".parquet", "BEIR", ".md"):
            assert kind in message


def test_options_are_checked() -> None:
    assert "1 or more" in problem(lambda: Splitter(0))


def test_heavy_imports_wait_until_they_are_needed() -> None:
    code = "import sys, thought1.data.formats as f; print('pyarrow' in sys.modules, f.__name__)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split()[0] == "False"
