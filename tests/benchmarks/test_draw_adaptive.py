"""benchmarks/draw_adaptive.py: the results that are there, and what is none."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
STORED = sorted(RESULTS.glob("search-adaptive-*.json"))


@pytest.fixture(scope="module")
def draw() -> ModuleType:
    return importlib.import_module("draw_adaptive")


def test_every_rule_that_was_measured_has_a_line(draw: ModuleType) -> None:
    assert STORED
    for path in STORED:
        points = json.loads(path.read_text())["points"]
        found = draw.lines(points)
        one = {point["family"] for point in points} - set(found)
        assert {name.partition(" ")[0] for name in one} <= {"never", "always", "chosen", "held"}
        for family, places in found.items():
            shares = [share for share, _ in places]
            assert len(places) > 1 and shares == sorted(shares), family


def test_the_drawing_names_every_rule_and_is_the_same_twice(
    draw: ModuleType, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="the extra bench is not installed")
    made = []
    for name in ("one.svg", "two.svg"):
        out = tmp_path / name
        assert draw.main([*map(str, STORED), "--output", str(out)]) == 0
        made.append(out.read_text())
    assert made[0] == made[1]
    for family in draw.FAMILIES:
        assert f"<!-- {family} -->" in made[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "no result of search_adaptive.py"),
        ('{"points": []}', "no result"),
        ("no", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_other_files_are_refused(
    draw: ModuleType,
    content: str | None,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "file.json"
    if content is not None:
        path.write_text(content)
    assert draw.main([str(path), "--output", str(tmp_path / "out.svg")]) == 2
    assert message in capsys.readouterr().err
