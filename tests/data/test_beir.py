"""Collections in the layout of BEIR: the folder, queries, judgements, and thoughts beside them."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from thought1.data.formats import BeirFolder, open_corpus, read_queries, read_thoughts
from thought1.types import Document, Query, Thought1Error


def write(path: Path, *lines: str | bytes) -> Path:
    path.write_bytes(b"".join(x if isinstance(x, bytes) else x.encode() + b"\n" for x in lines))
    return path


def problem(read: Callable[[], object]) -> str:
    with pytest.raises(Thought1Error) as caught:
        read()
    return str(caught.value)


def test_beir_folder(tmp_path: Path) -> None:
    write(tmp_path / "corpus.jsonl", '{"_id": "a", "text": "ice cracks"}')
    write(tmp_path / "notes.md", "not part of a BEIR folder")
    write(tmp_path / "queries.jsonl", '{"_id": 1, "text": "why?", "metadata": {"x": [1]}}')
    (tmp_path / "qrels").mkdir()
    write(tmp_path / "qrels" / "dev.tsv", "query-id\tcorpus-id\tscore", "1\ta\t1")
    write(tmp_path / "qrels" / "train.tsv", "query-id\tcorpus-id\tscore", "1\ta\t2")
    folder = BeirFolder(tmp_path)
    assert list(open_corpus(tmp_path)) == list(folder.corpus()) == [Document("a", "ice cracks")]
    assert folder.queries() == [Query("1", "why?")]
    assert folder.splits() == ["dev", "train"]
    assert folder.qrels("train") == {"1": {"a": 2}}
    assert "has no split 'test'; it has: dev, train" in problem(lambda: folder.qrels("test"))
    empty = BeirFolder(tmp_path / "qrels")
    assert "has no split 'dev'; it has no qrels" in problem(lambda: empty.qrels("dev"))
    assert "corpus.jsonl does not exist" in problem(empty.corpus)
    assert "queries.jsonl cannot be read" in problem(empty.queries)


def pack(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return packed


def test_any_file_of_a_beir_folder_may_be_packed(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    files = [
        write(tmp_path / "corpus.jsonl", '{"_id": "a", "text": "ice cracks"}'),
        write(tmp_path / "queries.jsonl", '{"_id": "q", "text": "why?"}'),
        write(tmp_path / "qrels" / "dev.tsv", "query-id\tcorpus-id\tscore", "q\ta\t1"),
    ]
    folder = BeirFolder(tmp_path)

    def content() -> list[object]:
        documents = list(folder.corpus())
        assert list(open_corpus(tmp_path)) == documents
        return [documents, folder.queries(), folder.splits(), folder.qrels("dev")]

    expected, hashes = content(), folder.hashes("dev")
    assert hashes["corpus.jsonl"] == hashlib.sha256(files[0].read_bytes()).hexdigest()
    reads: list[Callable[[], object]] = [
        lambda: open_corpus(tmp_path), folder.queries, lambda: folder.qrels("dev")
    ]  # fmt: skip
    for file, read in zip(files, reads, strict=True):
        packed = pack(file)
        both = f"holds {file.relative_to(tmp_path)} and {packed.relative_to(tmp_path)}, so it is"
        assert both in problem(read)
        assert both in problem(lambda: folder.hashes("dev"))
        file.unlink()
        assert content() == expected
        assert folder.hashes("dev") == hashes  # known again, whatever has packed it
    packed.write_bytes(packed.read_bytes()[:-12])
    assert "dev.tsv.gz cannot be read" in problem(lambda: folder.hashes("dev"))


@pytest.mark.parametrize("suffix", ["csv", "tsv", "ndjson", "NDJSON", "jsonl.gz", "csv.gz"])
def test_queries_come_from_any_file_of_records(tmp_path: Path, suffix: str) -> None:
    rows = ['{"_id": 1, "text": "why, and how?"}', '{"_id": "r", "text": "where"}']
    if suffix.startswith(("csv", "tsv")):
        rows = ["_id;text;answer", '1;"why, and how?";[x]', "r;where;"]
        rows = [row.replace(";", "\t" if suffix == "tsv" else ",") for row in rows]
    path = write(tmp_path / f"q.{suffix.removesuffix('.gz')}", *rows)
    path = pack(path) if suffix.endswith(".gz") else path
    assert read_queries(path) == [Query("1", "why, and how?"), Query("r", "where")]


def test_queries_and_thoughts(tmp_path: Path) -> None:
    rows = ['{"_id": "q", "text": "one"}', "", '{"id": "r", "text": "two", "answer": "x"}']
    path = write(tmp_path / "queries.jsonl", b"\xef\xbb\xbf", *rows, rows[0])
    assert read_queries(path) == [Query("q", "one"), Query("r", "two")]
    assert read_thoughts(path) == {"q": "one", "r": "two"}


@pytest.mark.parametrize("read", [read_queries, read_thoughts])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"_id": "q", "text": "other"}', ':2: the id "q" has occurred before, with another text'),
        ('{"_id": "b"}', ':2: field "text" is missing'),
        ('{"_id": "b", "text": " "}', " is empty"),
        ('{"_id": 1.5, "text": "x"}', ":2: field"),
        ("no json", ":2: not valid JSON"),
        (b"\xff\n", ":2: byte 1 of the line is not valid UTF-8"),
    ],
)
def test_bad_query_or_thought(
    tmp_path: Path, read: Callable[[Path], object], line: str | bytes, message: str
) -> None:
    path = write(tmp_path / "q.jsonl", '{"_id": "q", "text": "one"}', line)
    assert message in problem(lambda: read(path))


def test_no_queries(tmp_path: Path) -> None:
    assert "q.jsonl is empty" in problem(lambda: read_queries(write(tmp_path / "q.jsonl", "", "")))


def test_entailmentbank_is_read_whole(shared_data: Path) -> None:
    folder = BeirFolder(shared_data / "entailmentbank")
    assert folder.corpus().validate().documents == 11_752
    questions = {query.id for query in folder.queries()}  # five of its lines stand there twice
    judged = {split: set(folder.qrels(split)) for split in folder.splits()}
    assert len(judged["dev"]) == 187
    assert judged["dev"] | judged["train"] == questions
