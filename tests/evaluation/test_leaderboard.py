"""Published results: every row averaged again, wrong ones flagged, malformed files refused."""

import copy
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from thought1.data.bright import LONG, SHORT
from thought1.evaluation import leaderboard
from thought1.evaluation.leaderboard import Leaderboard, default_file, one_decimal, read_leaderboard
from thought1.types import Thought1Error

ROOT = Path(__file__).resolve().parents[2]

# (track, system) -> why it is wrong as published. Every other row must hold.
WRONG = {
    ("original", "bge-large-en-v1.5, as Mira prints it"): "biology 1.7 is a misprint of 11.7",
    ("legacy-mteb", "LaSER 8B"): "the sum 293.5 was divided by ten, not by twelve",
}


@pytest.fixture(scope="module")
def bright() -> Leaderboard:
    return read_leaderboard(ROOT / "benchmarks" / "bright.yaml")


def test_every_published_row_is_averaged_again(bright: Leaderboard) -> None:
    averaged = 0
    for row in bright.rows:
        subsets = LONG if row.track.startswith("long") else SHORT
        assert set(bright.tracks[row.track].subsets) == set(subsets)
        if row.published is None:
            assert row.flags == (), row.system
            continue
        assert set(row.published) == set(subsets), row.system
        tenths = sum(round(10 * value) for value in row.published.values())
        difference = abs(Fraction(tenths, 10 * len(subsets)) - Fraction(str(row.average)))
        wrong = (row.track, row.system) in WRONG
        assert (difference > Fraction(1, 10)) == wrong, row.system
        assert bool(row.flags) == wrong, (row.system, row.flags)
        averaged += 1
    assert averaged >= 50
    assert set(WRONG) <= {(row.track, row.system) for row in bright.rows}


def test_the_error_of_laser(bright: Leaderboard) -> None:
    (row,) = [row for row in bright.rows if row.system == "LaSER 8B"]
    assert row.flags == ("states the average 29.3, but its figures give 24.46",)
    assert row.published is not None
    assert one_decimal(sum(row.published.values())) == "293.5"


def test_the_misprint_explains_itself(bright: Leaderboard) -> None:
    rows = {row.system: row.published for row in bright.rows if row.track == "original"}
    right, printed = rows["bge-large-en-v1.5"], rows["bge-large-en-v1.5, as Mira prints it"]
    assert right is not None and printed is not None
    assert {name for name in right if right[name] != printed[name]} == {"biology"}


def test_tracks_are_ranked_by_what_is_stated(bright: Leaderboard) -> None:
    assert [row.system for row in bright.ranked("long")][:2] == [
        "MRE-T1",
        "Gecko (text-embedding-004)",
    ]
    for track in bright.tracks:
        averages = [row.average for row in bright.ranked(track)]
        assert averages == sorted(averages, reverse=True) and averages
    with pytest.raises(Thought1Error, match="no track 'short'; known: original, rewritten"):
        bright.ranked("short")


ROW = {
    "system": "one",
    "track": "main",
    "source": "paper",
    "published": {"a": 10.0, "b": 20.0},
    "average": 15.0,
    "ours": None,
    "command": None,
}
CONTENT = {
    "benchmark": "B",
    "tracks": {"main": {"title": "T", "metric": "M", "subsets": {"a": "A.", "b": "B."}}},
    "sources": {"paper": {"title": "P", "url": "https://example.org"}},
    "rows": [ROW],
}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Leaderboard]:
    """Reads a board of rows that are `ROW` but for what is given."""

    def made(*changes: dict[str, Any]) -> Leaderboard:
        content = copy.deepcopy(CONTENT)
        content["rows"] = [{**ROW, **change} for change in changes]
        path = tmp_path / "board.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return read_leaderboard(path)

    return made


@pytest.mark.parametrize(
    ("change", "flags"),
    [
        ({}, ()),
        ({"published": None, "average": 99.0}, ()),
        # Rounding allows exactly 0.1, and no more.
        ({"average": 15.1}, ()),
        ({"average": 14.9}, ()),
        ({"average": 15.11}, ("states the average 15.11, but its figures give 15.00",)),
        ({"published": {"a": 10}}, ("lacks b: not averaged again",)),
        (
            {"published": {"a": 101, "b": -71}},
            ("a is 101, not between 0 and 100", "b is -71, not between 0 and 100"),
        ),
        (
            {"average": 151},
            (
                "average is 151, not between 0 and 100",
                "states the average 151, but its figures give 15.00",
            ),
        ),
    ],
)
def test_flags(read: Callable[..., Leaderboard], change: dict[str, Any], flags: Any) -> None:
    assert read(change).rows[0].flags == flags


def test_duplicates_are_flagged(read: Callable[..., Leaderboard]) -> None:
    rows = read({}, {"system": "two"}, {"average": 15.1}).rows
    assert [row.flags for row in rows] == [
        ("listed 2 times in this track",),
        (),
        ("listed 2 times in this track",),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"track": "other"}, r"row 1 \(one\): track 'other' is not one of: main"),
        ({"source": "book"}, "source 'book' is not one of: paper"),
        ({"published": {"a": 1, "c": 2}}, "has c, which is unknown; known: a, b"),
        ({"published": [1, 2]}, r"row 1 \(one\) must be a mapping"),
        ({"published": {"a": "10", "b": 2}}, "a must be a number, not '10'"),
        ({"published": {"a": True, "b": 2}}, "a must be a number, not True"),
        ({"average": float("nan")}, "average must be a finite number"),
        ({"average": None}, "average must be a number, not None"),
        ({"ours": "x"}, "ours must be a number"),
        ({"command": ["t1"]}, "command must be text"),
        ({"system": 3}, "row 1 must be text, not 3"),
        ({"notes": "?"}, "has notes, which is unknown"),
    ],
)
def test_a_malformed_row_is_named(
    read: Callable[..., Leaderboard], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(Thought1Error, match=message) as caught:
        read(change)
    assert "board.yaml: row 1" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows: [", "is not valid YAML"),
        ("- 1", "must be a mapping"),
        ("benchmark: B", "lacks rows, sources, tracks"),
        (
            "benchmark: B\ntracks: {}\nsources: {}\nrows:\n- {system: a, system: b}",
            "'system' is given 2 times",
        ),
        ("benchmark: B\ntracks: {}\nsources: {}\nrows: {}", "rows must be a list"),
        ("benchmark: B\ntracks: {}\nsources: {}\nrows: [{}]", "row 1 lacks average"),
        ("? [1, 2]\n: 3", "is not valid YAML"),
        ("!!python/object/apply:os.getcwd []", "is not valid YAML"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "board.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Thought1Error, match=message):
        read_leaderboard(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Thought1Error, match=r"none\.yaml cannot be read"):
        read_leaderboard(tmp_path / "none.yaml")


def test_the_default_file_comes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_file() == ROOT / "benchmarks" / "bright.yaml"
    package = tmp_path / "lib" / "site-packages" / "thought1"
    monkeypatch.setattr(leaderboard, "__file__", str(package / "evaluation" / "leaderboard.py"))
    with pytest.raises(Thought1Error, match=r"does not include bright\.yaml: name a file"):
        default_file()
    (package / "benchmarks").mkdir(parents=True)
    (package / "benchmarks" / "bright.yaml").touch()
    assert default_file() == package / "benchmarks" / "bright.yaml"


@pytest.mark.parametrize(
    ("value", "shown"), [(14.525, "14.5"), (0.05, "0.1"), (25.75, "25.8"), (46, "46.0")]
)
def test_one_decimal(value: float, shown: str) -> None:
    assert one_decimal(value) == shown
