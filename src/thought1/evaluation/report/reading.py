"""Result files below a folder, read and checked: all that a page may show.

Knows neither HTML nor the form of a result (`results.models`). Details, a curve and the
faithfulness report may be absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from thought1.evaluation.results.files import read_details, read_result
from thought1.evaluation.results.models import DetailRecord, Result
from thought1.types import Thought1Error


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One result and its details."""

    path: str
    """Relative to the folder that was read."""
    result: Result
    details: Mapping[str, DetailRecord] | None
    """query id -> what the system did with it; None if they are not stored."""


def read_results(folder: Path) -> list[ResultFile]:
    """Every result file (*.json) below a folder, in the order of their paths.

    Raises:
        Thought1Error: the folder holds none, or a file cannot be read or breaks the form.
    """
    if not folder.is_dir():
        raise Thought1Error(f"{folder} is not a folder; give the one that holds the result files")
    paths = sorted(folder.rglob("*.json"), key=lambda path: path.relative_to(folder).parts)
    if not paths:
        raise Thought1Error(
            f"{folder} holds no result files (MODEL/REVISION/TASK.json); `t1 evaluate` writes them"
        )
    return [_read(path, folder) for path in paths]


def _read(path: Path, folder: Path) -> ResultFile:
    result = read_result(path)
    return ResultFile(path.relative_to(folder).as_posix(), result, read_details(path, result))
