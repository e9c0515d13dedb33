"""What the tests of the command line share: a small collection, tiny models, what `t1` printed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tiny import make_checkpoint

from thought1.evaluation.results.files import read_result
from thought1.t1 import T1

NOTES = [
    ("ice", "Ice cubes crack in warm water because the outside expands first.", 1990, "en"),
    ("salt", "Salt lowers the freezing point of water.", 2005, "en"),
    ("brot", "Hefe macht den Teig locker.", 2005, "de"),
    ("rust", "Iron rusts where water and air meet.", 2020, "en"),
]
QUERIES = {"q1": "why do ice cubes crack", "q2": "salt on winter roads", "q3": "unasked"}
QRELS = "query-id\tcorpus-id\tscore\nq1\tice\t1\nq2\tsalt\t1\n"


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def small_checkpoint(folder: Path, seed: int) -> str:
    """A tiny T1 with its t1.json, that thinks eight tokens."""
    model = T1.from_pretrained(make_checkpoint(folder / "plain", seed=seed))
    thought = replace(model.settings.thought, max_new_tokens=8)
    model.checkpoint.settings = replace(model.settings, thought=thought)
    model.save_pretrained(folder / "model")
    return str(folder / "model")


def read_content(path: Path) -> dict[str, Any]:
    """A result file that is in order, as JSON data."""
    return read_result(path).to_json()


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The one object on stdout."""
        assert self.code == 0, self.err
        assert self.out.endswith("\n") and self.out.count("\n") == 1
        return json.loads(self.out)

    def error(self) -> str:
        """The message of a user error."""
        assert self.code == 2
        assert self.out == ""
        assert "Traceback" not in self.err
        message = self.err.splitlines()[-1]
        assert message.startswith("error: ")
        return message


T1Command = Callable[..., Ran]
