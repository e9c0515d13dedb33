"""A folder of text, Markdown and HTML files as a corpus of passages."""

import os
from pathlib import Path

import pytest

from thought1.data.formats import BadRow, CorpusOptions, open_corpus
from thought1.data.html_text import extract_html
from thought1.data.passages import Splitter, split_passages
from thought1.types import Thought1Error


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def passages(text: str, max_chars: int) -> list[str]:
    return [text[p.start : p.end] for p in split_passages(text, Splitter(max_chars))]


@pytest.mark.parametrize(
    ("text", "max_chars", "expected"),
    [
        ("", 10, []),
        (" \n\n\t\n", 10, []),
        ("one", 10, ["one"]),
        ("\n one \n", 10, ["one"]),
        ("aa\n\nbb\n\ncc", 6, ["aa\n\nbb", "cc"]),
        ("aa\r\n \r\nbb\r\n\r\ncc", 8, ["aa", "bb\r\n\r\ncc"]),
        ("aa\nbb\n\ncc", 5, ["aa\nbb", "cc"]),
        ("One two. Three four. Five", 21, ["One two. Three four.", "Five"]),
        ("One two. Three. Four", 15, ["One two. Three.", "Four"]),
        ("\u4e00\u4e8c\u3002\u4e09", 2, ["\u4e00\u4e8c", "\u3002\u4e09"]),
        ('He said "no." Then he left', 15, ['He said "no."', "Then he left"]),
        ("3.14159 is a number of note", 12, ["3.14159 is a", "number of", "note"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("\u4e00\u4e8c\u3002\u4e09\u56db\u4e94", 5, ["\u4e00\u4e8c\u3002", "\u4e09\u56db\u4e94"]),
        ("long paragraph here. tail\n\nnext", 21, ["long paragraph here.", "tail\n\nnext"]),
    ],
)  # fmt: skip
def test_split_passages(text: str, max_chars: int, expected: list[str]) -> None:
    assert passages(text, max_chars) == expected


def test_files_become_passages_in_order(tmp_path: Path) -> None:
    write(tmp_path, "b.txt", "first\r\n\r\nsecond, longer")
    write(tmp_path, "a/deep/notes.MD", "intro\n\n## Ice ##\n\n<emb_token> text")
    write(tmp_path, "c.html", "<title>Page</title><p>hello &amp; <b>good</b>bye<p>world")
    write(tmp_path, ".hidden.txt", "x")
    write(tmp_path, ".git/config.txt", "x")
    write(tmp_path, "picture.png", b"\x89PNG\xff")
    os.symlink(tmp_path, tmp_path / "loop")
    corpus = open_corpus(tmp_path, options=CorpusOptions(splitter=Splitter(16)))
    assert corpus.validate().documents == 6
    assert [(d.id, d.title, d.text) for d in corpus] == [
        ("a/deep/notes.MD#0", "Ice", "intro\n\n## Ice ##"),
        ("a/deep/notes.MD#1", "Ice", "<emb_token> text"),
        ("b.txt#0", "b", "first"),
        ("b.txt#1", "b", "second, longer"),
        ("c.html#0", "Page", "hello & goodbye"),
        ("c.html#1", "Page", "world"),
    ]
    assert [dict(d.metadata) for d in corpus][3:] == [
        {"source": "b.txt", "start": 9, "end": 23},
        {"source": "c.html", "start": 0, "end": 15},
        {"source": "c.html", "start": 17, "end": 22},
    ]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Ice and water\n", "Ice and water"),
        ("text\n\n   ### C# is a language ###  \n# Later", "C# is a language"),
        ("Above\n=====\ntext", "Above"),
        ("```\n# comment\n```\n# Real", "Real"),
        ("#hashtag\n\n#\n\nno heading", "file"),
        ("\ufeff# After a mark", "After a mark"),
        ("==\n\n==", "file"),
    ],
)
def test_markdown_title(tmp_path: Path, text: str, title: str) -> None:
    write(tmp_path, "file.md", text)
    assert {d.title for d in open_corpus(tmp_path)} == {title}


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<title> A\n&lt;B </title><h1>C</h1>", ("A <B", "C")),
        ("<h1>C <i>d</i></h1><h1>e</h1>text", ("C d", "C d\n\ne\n\ntext")),
        ("plain", ("", "plain")),
        ("a<script>x<p>y</script>b<style>z</style><template><p>t</p></template> c", ("", "ab c")),
        ("a<template><title>t</title></template>", ("", "a")),
        ("<p>one\n  two<p>three<br>four<div>5</div>6", ("", "one two\n\nthree\nfour\n\n5\n\n6")),
        ("<table><tr><td>1<td>2</tr><tr><th>3</table>", ("", "1 2\n\n3")),
        ("<script src='x'/><p>kept", ("", "kept")),
        ("caf&eacute; &#x41; &nbsp; &unknown;", ("", "caf\xe9 A &unknown;")),
        ("<!-- <p>no --><p>yes<", ("", "yes<")),
    ],
)  # fmt: skip
def test_extract_html(markup: str, expected: tuple[str, str]) -> None:
    assert extract_html(markup)[:2] == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.txt", b"", "bad.txt: file is empty"),
        ("bad.md", b" \n\n ", "bad.md: file is empty"),
        ("bad.htm", b"<script>x</script>", "bad.htm: file is empty"),
        ("bad.txt", b"one\ntwo\nthr\xffee", "bad.txt:3: not valid UTF-8"),
        ("bad.txt", b"x" * 2000, "bad.txt: file is longer than 1000 bytes"),
        ("bad.html", b"<![what[", "bad.html: not readable as HTML"),
        (os.fsdecode(b"bad\xff.txt"), b"text", 'bad\\xff.txt: "_id" holds a lone surrogate'),
    ],
)
def test_bad_file(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    write(tmp_path, "a.txt", "good")
    write(tmp_path, name, content)
    corpus = open_corpus(tmp_path, options=CorpusOptions(max_line_bytes=1000))
    with pytest.raises(BadRow) as caught:
        corpus.validate()
    assert message in str(caught.value)

    report = corpus.validate(skip_bad=True)
    assert (report.documents, report.skipped) == (1, 1)
    assert message in report.examples[0]


def test_only_empty_files_hold_no_documents(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "")
    with pytest.raises(Thought1Error, match="holds no documents: every row is bad"):
        open_corpus(tmp_path).validate(skip_bad=True)


def test_unreadable_file_is_a_bad_row(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "good")
    gone = write(tmp_path, "b.txt", "gone soon")
    corpus = open_corpus(tmp_path)
    rows = corpus.documents(skip_bad=True)
    assert next(rows).id == "a.txt#0"
    gone.unlink()
    assert list(rows) == []
