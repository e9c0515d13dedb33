"""Where a text is cut, what stands before each passage, and which lines are headings."""

import re
import time

import pytest

from thought1.data.markup import markdown_headings, rest_headings
from thought1.data.passages import Splitter, split_passages
from thought1.types import Thought1Error


def words(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\S+", text)]


GUIDE = """# Guide

Short words before all.

## Install

### Linux

One two three four five six. Seven eight nine ten eleven twelve.

Thirteen fourteen fifteen sixteen seventeen eighteen nineteen.

## Use

Just use it.
"""


def test_passages_carry_the_headings_above_them() -> None:
    splitter = Splitter(14, 0, words)
    passages = list(split_passages(GUIDE, splitter, "Guide", markdown_headings(GUIDE)))
    assert [(p.path, GUIDE[p.start : p.end]) for p in passages] == [
        ("Guide", "# Guide\n\nShort words before all."),
        ("Guide", "## Install\n\n### Linux\n\nOne two three four five six."),
        ("Guide > Install > Linux", "Seven eight nine ten eleven twelve."),
        (
            "Guide > Install > Linux",
            "Thirteen fourteen fifteen sixteen seventeen eighteen nineteen.",
        ),
        ("Guide", "## Use\n\nJust use it."),
    ]


def test_a_path_takes_half_of_a_passage_at_most() -> None:
    text = "# One\n\n## Two two two two\n\n### Three\n\n" + "word " * 40
    (*_, last) = split_passages(text, Splitter(12, 0, words), "One", markdown_headings(text))
    assert last.path == "One > Three"
    (*_, last) = split_passages("a " * 40, Splitter(10, 0, words), "one two three four five six")
    assert last.path == "one two three four"


def test_neighbours_share_sentences_of_the_same_section() -> None:
    text = "A b c. D e f. G h i. J k l.\n\n# New\n\nM n o. P q r. S t u."
    splitter = Splitter(9, 4, words)
    passages = list(split_passages(text, splitter, "", markdown_headings(text)))
    assert [text[p.start : p.end] for p in passages] == [
        "A b c. D e f. G h i.",
        "G h i. J k l.",
        "# New\n\nM n o. P q r.",
        "P q r. S t u.",
    ]
    for limit, overlap in ((0, 0), (10, 6), (10, -1)):
        with pytest.raises(Thought1Error):
            Splitter(limit, overlap)


def test_lists_and_tables_are_cut_between_their_lines() -> None:
    rows = "| a b | c |\n|---|---|\n| d e | f |\n| g h | i |"
    table = [rows[p.start : p.end] for p in split_passages(rows, Splitter(14, 0, words))]
    assert table == ["| a b | c |\n|---|---|\n| d e | f |", "| g h | i |"]
    items = "- one two\n- three four\n10. five six"
    found = [items[p.start : p.end] for p in split_passages(items, Splitter(7, 0, words))]
    assert found == ["- one two\n- three four", "10. five six"]


def test_a_token_may_be_an_endless_word() -> None:
    """WordPiece makes one unknown token of it, and nobody wants a megabyte in a passage."""
    text = "x" * 1000
    spans = [(p.start, p.end) for p in split_passages(text, Splitter(10, 0, words))]
    assert spans[0] == (0, 160) and spans[-1][1] == 1000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# A #\n## B {#b}\ntext\nC\n---\n~~~\n# no\n```\n# no\n~~~\n### D", "1A 2B 2C 3D"),
        ("- item\n---\n\n| a |\n---\n\ntext\n\n---\n", ""),
        ("#\n####### seven\n#none", ""),
    ],
)
def test_markdown_headings(text: str, expected: str) -> None:
    found = markdown_headings(text)
    assert " ".join(f"{h.level}{h.text}" for h in found) == expected
    assert all(h.text in text[h.start : h.end] for h in found)


def test_rest_headings() -> None:
    text = "====\nTop\n====\n\nPart\n----\n\ntext\n\nSub\n~~~\n\n"
    text += "Next part\n---------\n\nToo long\n==\n"
    assert [(h.level, h.text) for h in rest_headings(text)] == [
        (1, "Top"),
        (2, "Part"),
        (3, "Sub"),
        (2, "Next part"),
    ]
    assert text[: rest_headings(text)[0].end] == "====\nTop\n====\n"


@pytest.mark.parametrize(
    "text",
    [
        "x" * 200_000,
        "word " * 40_000,
        "## H\n\nbody\n\n" * 20_000,
        "# H\n" * 40_000,
        "\n" * 200_000,
    ],
    ids=["one word", "no sentence", "sections", "headings", "blank"],
)
def test_time_grows_with_the_text_alone(text: str) -> None:
    """A few tenths of a second each; minutes where each passage looks at all of the text."""
    start = time.process_time()
    headings = markdown_headings(text)
    passages = list(split_passages(text, Splitter(40, 10, words), "Title", headings))
    assert passages or not text.strip()
    assert time.process_time() - start < 20
