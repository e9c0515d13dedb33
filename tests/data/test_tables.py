"""CSV, TSV and Parquet as a corpus."""

import csv
import gzip
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from thought1.data.formats import BadRow, CorpusOptions, open_corpus
from thought1.types import Document, Thought1Error

HEADER = "_id,text,title,lang\n"


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("c.csv", HEADER + "a,x,T,en\n", Document("a", "x", "T", {"lang": "en"})),
        ("c.csv", HEADER + "a,x,,\n", Document("a", "x")),
        ("c.csv", "\ufeff" + HEADER.replace("\n", "\r\n") + "a,x,T,\r\n", Document("a", "x", "T")),
        ("c.csv", 'text,id\n"x, ""y""\nz",7', Document("7", 'x, "y"\nz')),
        ("c.csv", "id,text,y\n\n \n1,<emb_token>,9", Document("1", "<emb_token>", "", {"y": "9"})),
        ("c.tsv", "_id\ttext\na\tx, y\n", Document("a", "x, y")),
        ("c.csv", "_id,text\na,x\0y\n", Document("a", "x\0y")),
        ("c.csv", "_id,text\na,\n", Document("a", "")),
        (
            "c.csv",
            ",_id,Created At,text,vector,\n0,a,2024,x,v,\n",
            Document("a", "x", "", {"Unnamed: 0": "0", "Created At": "2024", "vector": "v"}),
        ),
        ("c.csv.gz", gzip.compress(b"_id,text\na,x\n", mtime=0), Document("a", "x")),
        ("C.TSV.GZ", gzip.compress(b"_id\ttext\na\tx\n", mtime=0), Document("a", "x")),
    ],
)  # fmt: skip
def test_table_is_accepted(
    tmp_path: Path, name: str, content: str | bytes, expected: Document
) -> None:
    assert list(open_corpus(write(tmp_path / name, content))) == [expected]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"b,x\n", ":4: has 2 columns, but the first row has 4"),
        (b"b,x,,,\n", ":4: has 5 columns"),
        (b",x,,\n", ':4: field "_id" is empty'),
        (b"a,x,,\n", ':4: the id "a" has occurred before'),
        (b'b,"x"y,,\n', ":4: not a valid row: "),
        (b'b,"never closed,,\n', ":4: not a valid row: "),
        (b"b,x\ry,,\n", ":4: not a valid row: "),
        (b"b,\xff,,\n", ":4: byte 3 of the line is not valid UTF-8"),
        (b"b," + b"x" * 2000 + b",,\n", ":4: the line is longer than 1000 bytes"),
        (b'b,"' + b"x\n" * 2000 + b'",,\n', ":4: not a valid row: field larger than"),
    ],
)
def test_bad_csv_row_costs_no_other(tmp_path: Path, row: bytes, message: str) -> None:
    # The first good row takes two lines: numbers are those of lines, not of rows.
    content = HEADER.encode() + b'a,"x\ny",,\n' + row + b"c,z,,\n"
    corpus = open_corpus(write(tmp_path / "c.csv", content), options=CorpusOptions(1000))
    with pytest.raises(BadRow) as caught:
        corpus.validate()
    assert f"c.csv{message}" in str(caught.value)
    report = corpus.validate(skip_bad=True)
    assert message in report.examples[0]
    assert report.skipped == (2001 if b"\nx\n" in row else 1)
    assert [d.id for d in corpus.documents(skip_bad=True)] == ["a", "c"]


def test_a_quote_left_open_gives_back_the_rows_behind_it(tmp_path: Path) -> None:
    rows = ['a,"open', "b,x", 'c,"y"', 'd,"open again', "e,z"]
    path = write(tmp_path / "c.csv", "\n".join(["_id,text", *rows]))
    report = open_corpus(path).validate(skip_bad=True)
    assert [d.id for d in open_corpus(path).documents(skip_bad=True)] == ["b", "c", "e"]
    assert report.skipped == 2
    assert [example.split(":")[1] for example in report.examples] == ["2", "5"]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("name,text", ':1: the first row must name the columns: field "_id" is missing'),
        ("_id,body", ':1: the first row must name the columns: field "text" is missing'),
        ("_id,id,text", 'has both "_id" and "id"'),
        ("_id,text,k,k", ':1: two columns are named "k"; rename one of them'),
        (",_id,text,Unnamed: 0", ':1: two columns are named "Unnamed: 0"'),
        ('_id,"text', "not a valid row: "),
        (b"_id,text,\xff", ":1: byte 10 of the line is not valid UTF-8; the first row must name"),
    ],
)
def test_bad_header_is_an_error_also_when_rows_are_skipped(
    tmp_path: Path, header: str | bytes, message: str
) -> None:
    start = header.encode() if isinstance(header, str) else header
    corpus = open_corpus(write(tmp_path / "c.csv", start + b"\na,x\n"))
    with pytest.raises(Thought1Error) as caught:
        corpus.validate(skip_bad=True)
    assert message in str(caught.value)


def test_a_big_field_is_read_and_the_limit_of_the_process_stays(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    text = "ice " * 500_000
    assert len(text) > before
    corpus = open_corpus(write(tmp_path / "c.csv", f"_id,text\na,{text}\nb,x\n"))
    rows = iter(corpus)
    assert next(rows).text == text
    assert csv.field_size_limit() == before
    assert next(rows).id == "b"


def test_parquet(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": [1, 2, None, 4, 4, 6, 7],
            "text": ["one", None, "three", "<emb_token>", "dup", "six", "seven"],
            "title": [None, "t", "t", "four", "t", "t", "t"],
            "year": [1990, 1, 1, None, 1, 1, 1],
            "share": [0.5, 0.5, 0.5, 1.0, 0.5, float("nan"), 0.5],
            "tags": [["a"], None, None, None, None, None, [None, "nested"]],
        }
    )
    path = tmp_path / "c.parquet"
    pq.write_table(table, path, row_group_size=2)
    corpus = open_corpus(path)
    assert list(corpus.documents(skip_bad=True)) == [
        Document("1", "one", "", {"year": 1990, "share": 0.5, "tags": '["a"]'}),
        Document("4", "<emb_token>", "four", {"share": 1.0}),
        Document("6", "six", "t", {"year": 1}),
        Document("7", "seven", "t", {"year": 1, "share": 0.5, "tags": '[null, "nested"]'}),
    ]
    report = corpus.validate(skip_bad=True)
    assert (report.documents, report.skipped) == (4, 3)
    for row, example in zip((2, 3, 5), report.examples, strict=True):
        assert example.startswith(f"{path}: row {row}: ")
    with pytest.raises(BadRow, match='row 2: field "text" must be a string, not null'):
        corpus.validate()


def test_parquet_text_that_is_not_utf8_or_not_text(tmp_path: Path) -> None:
    raw = pa.array([b"good", b"\xff", b"fine"])
    text = pa.StringArray.from_buffers(3, raw.buffers()[1], raw.buffers()[2])
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table({"_id": ["a", "b", "c"], "text": text}), path)
    report = open_corpus(path).validate(skip_bad=True)
    assert (report.documents, report.skipped) == (2, 1)
    assert "row 2: cannot be read: " in report.examples[0]


def test_parquet_values_of_every_kind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # pandas writes its times in nanoseconds, and an index without a name like this.
    nanoseconds = 1_714_555_800_123_456_789
    kinds = {
        "stamp": (pa.timestamp("ns"), nanoseconds, "2024-05-01T09:30:00.123456"),
        "zoned": (pa.timestamp("ns", "UTC"), nanoseconds, "2024-05-01T09:30:00.123456+00:00"),
        "day": (pa.date32(), 19_844, "2024-05-01"),
        "clock": (pa.time64("ns"), 34_200_000_000_001, "09:30:00"),
        "span": (pa.duration("ns"), 3_600_000_000_001, "1:00:00"),
        "price": (pa.decimal128(6, 2), Decimal("12.50"), 12.5),
        "group": (pa.dictionary(pa.int8(), pa.string()), "sea", "sea"),
        "list": (pa.list_(pa.int32()), [1, None], "[1, null]"),
        "struct": (pa.struct({"a": pa.date32()}), {"a": 19_844}, '{"a": "2024-05-01"}'),
        "huge": (pa.uint64(), 2**64 - 1, str(2**64 - 1)),
        "__index_level_0__": (pa.int64(), 7, 7),
        "image": (pa.binary(), b"\x89PNG", None),
        "far": (pa.timestamp("s"), 10**15, None),
    }
    columns = {name: pa.array([value, None], kind) for name, (kind, value, _) in kinds.items()}
    path = tmp_path / "c.parquet"
    pq.write_table(pa.table({"_id": ["a", "b"], "text": ["x", "y"], **columns}), path)
    expected = {name: value for name, (_, _, value) in kinds.items() if value is not None}
    assert list(open_corpus(path)) == [Document("a", "x", "", expected), Document("b", "y")]
    assert caplog.messages == [
        f"{path}: 2 metadata values are of no kind that can be stored, and were left out, in: "
        '"far", "image"'
    ]


def test_parquet_with_two_columns_of_a_name(tmp_path: Path) -> None:
    arrays = [pa.array(["a"]), pa.array(["x"]), pa.array([1]), pa.array([2])]
    path = tmp_path / "c.parquet"
    pq.write_table(pa.Table.from_arrays(arrays, ["_id", "text", "k", "k"]), path)
    with pytest.raises(Thought1Error, match='two columns are named "k"; rename one of them'):
        open_corpus(path).validate(skip_bad=True)


def test_parquet_that_is_broken_or_empty(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    for content in (b"", b"PAR1 and nothing else", b"x" * 100):
        with pytest.raises(Thought1Error, match=r"c\.parquet cannot be read as Parquet: "):
            open_corpus(write(path, content)).validate(skip_bad=True)
    pq.write_table(pa.table({"_id": pa.array([], pa.string())}), path)
    with pytest.raises(Thought1Error, match="holds no documents"):
        open_corpus(path).validate()
    pq.write_table(pa.table({"_id": ["a"] * 1000, "text": ["x" * 50] * 1000}), path)
    broken = bytearray(path.read_bytes())
    broken[4:60] = b"\xff" * 56
    with pytest.raises(Thought1Error, match="cannot be read as Parquet"):
        open_corpus(write(path, bytes(broken))).validate()
