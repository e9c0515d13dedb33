"""`t1 leaderboard`: the table, Markdown, JSON, the page in docs, and what it refuses."""

from pathlib import Path

import pytest
import typer
from t1_command import T1Command

from thought1.cli.bright import bright
from thought1.evaluation.leaderboard import default_file, read_leaderboard

ROOT = Path(__file__).resolve().parent.parent.parent

BOARD = """
benchmark: B
tracks:
  main: {title: Title, metric: nDCG, subsets: {a: A., b: B.}}
  other: {title: Other, metric: nDCG, subsets: {a: A.}}
sources:
  paper: {title: A paper, url: https://example.org/paper}
  card: {title: A card, url: https://example.org/card}
rows:
- {system: low, track: main, source: paper, published: {a: 1.0, b: 2.0}, average: 1.5,
   ours: 1.6, command: t1 bright low, note: a note}
- {system: wrong, track: main, source: card, published: {a: 60, b: 80}, average: 77,
   ours: null, command: null}
- {system: unknown, track: main, source: card, published: null, average: 50.5,
   ours: null, command: null}
- {system: alone, track: other, source: card, published: {a: 3}, average: 3,
   ours: null, command: null}
"""

MAIN = """\
B: Title (main): nDCG, 2 subsets
system     A.    B.  average  again  ours  source
wrong    60.0  80.0   77.0 !   70.0     -     [1]
unknown     -     -     50.5      -     -     [1]
low       1.0   2.0      1.5    1.5   1.6     [2]
! wrong: states the average 77, but its figures give 70.00
low: a note
low: t1 bright low
[1] A card, https://example.org/card
[2] A paper, https://example.org/paper

"""

MARKDOWN = """\
### Other (other): nDCG, 1 subsets

| system | A. | average | again | ours | source |
| --- | --: | --: | --: | --: | --: |
| alone | 3.0 | 3.0 | 3.0 | - | [1] |

- [1] A card, https://example.org/card

"""


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "board.yaml"
    path.write_text(BOARD, encoding="utf-8")
    return path


def test_table(t1: T1Command, board: Path) -> None:
    ran = t1("leaderboard", board, "--track", "main")
    assert (ran.code, ran.out, ran.err) == (0, MAIN, "")
    both = t1("leaderboard", board)
    assert both.out.startswith(MAIN) and "B: Other (other)" in both.out


def test_markdown(t1: T1Command, board: Path) -> None:
    assert t1("leaderboard", board, "--track", "other", "--markdown").out == MARKDOWN


def test_json(t1: T1Command, board: Path) -> None:
    content = t1("leaderboard", board, "--track", "main", "--json").json()
    assert content["benchmark"] == "B"
    (track,) = content["tracks"]
    assert (track["name"], track["subsets"]) == ("main", ["a", "b"])
    wrong, unknown, low = track["rows"]
    assert wrong["averaged_again"] == 70.0 and len(wrong["flags"]) == 1
    assert unknown["published"] is None and unknown["averaged_again"] is None
    assert low == {
        "system": "low",
        "published": {"a": 1.0, "b": 2.0},
        "average": 1.5,
        "averaged_again": 1.5,
        "ours": 1.6,
        "command": "t1 bright low",
        "source": {"title": "A paper", "url": "https://example.org/paper"},
        "note": "a note",
        "flags": [],
    }


def test_the_page_is_what_the_command_prints(t1: T1Command) -> None:
    page = (ROOT / "docs" / "leaderboard.md").read_text(encoding="utf-8")
    begin, end = "<!-- t1 leaderboard --markdown -->\n\n", "<!-- end -->\n"
    assert page.count(begin) == page.count(end) == 1
    assert page.split(begin)[1].split(end)[0] == t1("leaderboard", "--markdown").out


def test_refused(t1: T1Command, board: Path) -> None:
    assert "known: main, other" in t1("leaderboard", board, "--track", "x").error()
    assert "contradict" in t1("leaderboard", board, "--json", "--markdown").error()
    board.write_text("rows: 3")
    assert "lacks benchmark" in t1("leaderboard", board).error()


def test_commands_have_only_options_that_there_are() -> None:
    app = typer.Typer()
    app.command()(bright)
    command = typer.main.get_command(app)
    commands = {row.command for row in read_leaderboard(default_file()).rows if row.command}
    assert commands
    for line in commands:
        program, name, *arguments = line.split()
        assert (program, name) == ("t1", "bright")
        command.make_context("bright", arguments)
