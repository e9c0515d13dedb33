"""A folder of text, Markdown and HTML files as a corpus of passages."""

import os
from pathlib import Path

import pytest

from thought1.data.formats import BadRow, CorpusOptions, open_corpus
from thought1.data.html_text import extract_html
from thought1.data.passages import Splitter, split_passages
from thought1.data.rows import PassedOver
from thought1.types import Document, Thought1Error


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
    write(tmp_path, "a/deep/notes.MD", "intro\n\n## Ice ##\n\n<emb> x")
    write(tmp_path, "c.html", "<title>Page</title><p>hello &amp; <b>good</b>bye<p>world")
    write(tmp_path, ".hidden.txt", "x")
    write(tmp_path, ".git/config.txt", "x")
    write(tmp_path, "picture.png", b"\x89PNG\xff")
    os.symlink(tmp_path, tmp_path / "loop")
    corpus = open_corpus(tmp_path, options=CorpusOptions(splitter=Splitter(22)))
    assert corpus.validate().documents == 6
    assert [(d.id, d.title, d.text) for d in corpus] == [
        ("a/deep/notes.MD#0", "Ice", "intro"),
        ("a/deep/notes.MD#1", "Ice", "## Ice ##\n\n<emb> x"),
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
        ("<svg><title>Logo</title><desc>d</desc></svg><h1>Page</h1>", ("Page", "Page")),
        ("<body><svg><title>Logo</title></svg><p>text", ("", "text")),
        ("<nav><a>Home</a><ul><li>Docs</ul></nav><p>text", ("", "text")),
        ("<div role='navigation'><div>Home</div></div>text", ("", "text")),
        ("<nav>never closed<p>text", ("", "never closed\n\ntext")),
        (f"<p>a <img src='data:image/png;base64,{'A' * 400}'> b", ("", "a b")),
        (f"<p>a data:image/png;base64,{'A' * 400} b", ("", "a b")),
        ("<pre>if x:\n    y()\n</pre>", ("", "if x:\n    y()")),
        ("<footer>Imprint</footer><aside>Note</aside>", ("", "Imprint\n\nNote")),
    ],
)  # fmt: skip
def test_extract_html(markup: str, expected: tuple[str, str]) -> None:
    assert extract_html(markup)[:2] == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
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
    write(tmp_path, "b.htm", "<script>x</script>")
    write(tmp_path, "c.md", " \n\n ")
    with pytest.raises(Thought1Error, match="holds no documents"):
        open_corpus(tmp_path).validate(skip_bad=True)
    write(tmp_path, "d.md", "words")
    assert open_corpus(tmp_path).validate().passed_over == {
        PassedOver(suffix, "without any text"): 1 for suffix in (".txt", ".htm", ".md")
    }


def test_unreadable_file_is_a_bad_row(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "good")
    gone = write(tmp_path, "b.txt", "gone soon")
    corpus = open_corpus(tmp_path)
    rows = corpus.documents(skip_bad=True)
    assert next(rows).id == "a.txt#0"
    gone.unlink()
    assert list(rows) == []


# -- beside the text -------------------------------------------------------------------------------


def one(folder: Path) -> Document:
    (document,) = open_corpus(folder)
    return document


@pytest.mark.parametrize(
    ("block", "title", "metadata"),
    [
        ("---\ntitle: Tea\nyear: 2024\n---\n", "Tea", {"year": 2024}),
        ("---\r\ntitle: Tea\r\n---\r\n", "Tea", {}),
        ("---\n# remark\ntitle: 'A: b'\n...\n", "A: b", {}),
        ("---\ntitle: 2024-05-01\ndraft: true\n---\n", "2024-05-01", {"draft": True}),
        ("---\ntags: [a, b]\nnothing:\n---\n", "note", {"tags": '["a", "b"]'}),
        ('+++\ntitle = "Tea"\nyear = 2024\n+++\n', "Tea", {"year": 2024}),
        ("---\nModified At: 2024-05-01\n---\n", "note", {"Modified At": "2024-05-01"}),
    ],
)
def test_front_matter(tmp_path: Path, block: str, title: str, metadata: dict[str, object]) -> None:
    write(tmp_path, "note.md", f"{block}The words.\n")
    document = one(tmp_path)
    own = {"source": "note.md", "start": len(block), "end": len(block) + 10}
    assert (document.title, document.text) == (title, "The words.")
    assert dict(document.metadata) == metadata | own


@pytest.mark.parametrize(
    "text",
    ["---\na rule\n---\nwords", "text\n---\ntitle: x\n---\nwords", "---\ntitle: x\nnever closed"],
)
def test_a_rule_is_no_front_matter(tmp_path: Path, text: str) -> None:
    write(tmp_path, "note.md", text)
    assert one(tmp_path).text == text
    assert set(one(tmp_path).metadata) == {"source", "start", "end"}


@pytest.mark.parametrize("block", ["a: [", "a: *x", "a: &x [1]\nb: [*x, *x]", "{a: 1, a"])
def test_broken_front_matter_is_text_and_told(tmp_path: Path, block: str) -> None:
    write(tmp_path, "note.md", f"---\n{block}\n---\nwords")
    assert "words" in one(tmp_path).text
    assert block.splitlines()[0] in one(tmp_path).text
    ((told, number),) = open_corpus(tmp_path).validate().passed_over.items()
    assert number == 1
    assert "no valid YAML" in told.why


def test_a_huge_block_is_not_parsed(tmp_path: Path) -> None:
    """A rule before a long text and another one behind it would keep the YAML reader for long."""
    write(tmp_path, "note.md", f"---\na: {'b ' * 25_000}\n---\nwords")
    (told,) = open_corpus(tmp_path).validate().passed_over
    assert "more than 50000 characters" in told.why


def test_inlined_files_are_no_text(tmp_path: Path) -> None:
    image = f"data:image/png;base64,{'iVBORw0K' * 50}"
    text = f"# Ice\n\nBefore ![chart]({image}) behind.\n"
    write(tmp_path, "ice.md", text)
    document = one(tmp_path)
    assert "base64" not in document.text
    assert document.text.endswith("Before ![chart]() behind.")
    start, end = document.metadata["start"], document.metadata["end"]
    assert text[start:end].startswith("# Ice")
    assert text[start:end].endswith("behind.")
    write(tmp_path, "ice.md", "An example is data:text/plain;base64,SGk= of two letters.")
    assert "SGk=" in one(tmp_path).text


MARKDOWN = """# Guide

Intro words here.

## Install

### Linux

Take the package of your system.

```
# no heading
```

## Use

Start it.
"""
REST = """Guide
=====

Intro words here.

Install
-------

Linux
~~~~~

Take the package of your system.

Use
---

Start it.
"""


@pytest.mark.parametrize(
    ("name", "text"), [("g.md", MARKDOWN), ("g.mdx", MARKDOWN), ("g.rst", REST)]
)
def test_headings_stand_before_a_passage(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path, name, text)
    found = list(open_corpus(tmp_path, options=CorpusOptions(splitter=Splitter(80))))
    titles = {document.text.splitlines()[-1]: document.title for document in found}
    assert titles["Start it."] == "Guide > Use" or "Use" in found[-1].text
    assert any(document.title.startswith("Guide") for document in found)
    for document in found:
        start, end = document.metadata["start"], document.metadata["end"]
        assert text[start:end] == document.text  # the path is not part of it
        assert len(document.full_text) <= 80
    linux = next(d for d in found if "Take the package" in d.text)
    assert "Linux" in linux.full_text


def test_html_headings_make_paths(tmp_path: Path) -> None:
    body = "<h1>Guide</h1><p>Intro</p><h2>Linux</h2><p>" + "Take the package. " * 10 + "</p>"
    write(tmp_path, "g.html", f"<title>Guide</title>{body}")
    found = list(open_corpus(tmp_path, options=CorpusOptions(splitter=Splitter(100))))
    assert found[-1].title == "Guide > Linux"


def test_every_kind_of_text_has_its_title(tmp_path: Path) -> None:
    write(tmp_path, "a.mdx", "# Page\n\nWords.")
    write(tmp_path, "b.markdown", "Words\n=====\n")
    write(tmp_path, "c.rst", "Guide\n=====\n\nHow to use it.")
    write(tmp_path, "d.text", "# no heading")
    write(tmp_path, "e.XHTML", "<h1>Web</h1>")
    titles = {d.metadata["source"]: d.title for d in open_corpus(tmp_path)}
    assert titles == {
        "a.mdx": "Page",
        "b.markdown": "Words",
        "c.rst": "Guide",
        "d.text": "d",
        "e.XHTML": "Web",
    }


def test_what_is_passed_over_is_counted_with_its_reason(tmp_path: Path) -> None:
    write(tmp_path, "README.md", "# Card\n\nWords.")
    write(tmp_path, "empty.md", " \n")
    write(tmp_path, "only.md", "---\ntitle: Nothing else\n---\n")
    for name in ("a.jsonl", "b.JSONL", "c.csv.gz", "manual.pdf", "Makefile", ".git/x.md", ".env"):
        write(tmp_path, name, "x")
    os.symlink(tmp_path, tmp_path / "loop")
    os.symlink(tmp_path / "nowhere", tmp_path / "broken.md")
    report = open_corpus(tmp_path).validate()
    assert report.documents == 1
    rows, kind = "rows, not a text: index it by its own name", "not a kind of text that is read"
    assert report.passed_over == {
        PassedOver(".jsonl", rows): 2,
        PassedOver(".gz", rows): 1,
        PassedOver(".pdf", kind): 1,
        PassedOver("file", kind): 1,
        PassedOver("folder", "hidden"): 1,
        PassedOver("file", "hidden"): 1,
        PassedOver("folder", "linked: index it by its own name"): 1,
        PassedOver(".md", "no file, or a link that leads nowhere"): 1,
        PassedOver(".md", "without any text"): 2,
    }


def test_a_folder_of_rows_is_one_corpus(tmp_path: Path) -> None:
    write(tmp_path, "part_1.jsonl", '{"_id": "2", "text": "Owls."}\n')
    write(tmp_path, "part_0.jsonl", '{"_id": "1", "text": "Otters."}\n')
    corpus = open_corpus(tmp_path)
    assert [document.id for document in corpus] == ["1", "2"]
    write(tmp_path, "part_2.jsonl", '{"_id": "1", "text": "Again."}\n')
    with pytest.raises(BadRow, match=r'part_2.jsonl:1: the id "1" has occurred before, at .*0'):
        corpus = open_corpus(tmp_path)
        corpus.validate()
    write(tmp_path, "other.csv", "_id,text\n3,x\n")
    with pytest.raises(Thought1Error, match="without a usable file"):
        open_corpus(tmp_path)


def test_a_beir_folder_without_its_corpus_is_no_corpus(tmp_path: Path) -> None:
    write(tmp_path, "queries.jsonl", '{"_id": "q", "text": "why"}\n')
    write(tmp_path, "qrels/test.tsv", "query-id\tcorpus-id\tscore\n")
    with pytest.raises(Thought1Error, match="without a usable file"):
        open_corpus(tmp_path)
