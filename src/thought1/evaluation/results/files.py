"""Result files on disk: `results/<system>/<revision>/<task>.json`, and the files next to them.

Next to a result are the run (TREC) and the details (a JSON line for each judged query), both
gzipped. Knows neither how systems work nor how anything is printed.
"""

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import ValidationError

from thought1.data.formats import read_run
from thought1.data.outputs import check_file, whole_file
from thought1.data.trec import run_lines
from thought1.evaluation.results.details import details
from thought1.evaluation.results.models import FORMAT, DetailRecord, FilesRecord, Result, problem
from thought1.evaluation.results.provenance import write_json
from thought1.types import Run, Thought1Error

if TYPE_CHECKING:
    from thought1.evaluation.measure import Measured

TAG = "thought1"
"""Last column of a run."""


def files_beside(task: str) -> FilesRecord:
    """The names of the files next to the result of a task."""
    return FilesRecord(run=f"{_safe(task)}.run.gz", details=f"{_safe(task)}.details.jsonl.gz")


def result_path(folder: Path, task: str, system: str, revision: str) -> Path:
    """`folder/<system>/<revision>/<task>.json`, whatever characters the names have."""
    return folder / _safe(system) / _safe(revision) / f"{_safe(task)}.json"


def check_place(folder: Path, task: str, system: str, revision: str) -> None:
    """Try whether a result can be kept, before anything is measured.

    Args:
        folder: of all results.
        task: as it will be named in the result, like the two others.

    Raises:
        Thought1Error: a file of the result cannot be written.
    """
    path, others = result_path(folder, task, system, revision), files_beside(task)
    for name in (path.name, others.run, others.details):
        check_file(path.with_name(str(name)), makes_folders=True)


def write_result(folder: Path, result: Result, measured: "Measured") -> Path:
    """Write run, details and, last of all, the result; each appears whole or not at all.

    Returns:
        The path of the result; what was there before is replaced.

    Raises:
        Thought1Error: a file cannot be written.
    """
    path = result_path(folder, result.task.name, result.system.name, result.system.revision)
    _write_gzip(path.with_name(str(result.files.run)), run_lines(measured.run, TAG))
    _write_gzip(path.with_name(str(result.files.details)), _lines(details(measured)))
    write_json(path, result.to_json())
    return path


def read_result(path: Path) -> Result:
    """A result file, checked.

    Raises:
        Thought1Error: there is none, it is broken, or of a later format; the message names the
            file and the field.
    """
    try:
        content = _json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Thought1Error(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise _wrong(path, f"it is not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise _wrong(path, "it is not a JSON object")
    version = content.get("format")
    if not isinstance(version, int) or isinstance(version, bool):
        raise _wrong(path, 'it has no "format", and so is not a result file')
    if version > FORMAT:
        raise Thought1Error(
            f"{path} has format {version}; this program reads formats up to {FORMAT}: "
            "pip install --upgrade thought1, or evaluate again to rewrite the file"
        )
    try:
        return Result.model_validate(content)
    except ValidationError as error:
        raise _wrong(path, problem(error)) from error


def read_result_run(path: Path, result: Result) -> Run | None:
    """The run of a result; None if it is not stored."""
    file = _beside(path, result.files.run, "a run")
    return read_run(file) if file and file.is_file() else None


def read_details(path: Path, result: Result) -> dict[str, DetailRecord] | None:
    """query id -> what the system did with it; None if the details are not stored.

    Raises:
        Thought1Error: they are broken; the message names the file.
    """
    file = _beside(path, result.files.details, "a file of details")
    if file is None or not file.exists():
        return None
    return {one.id: one for one in _read_details(file)}


def _read_details(file: Path) -> Iterator[DetailRecord]:
    try:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield DetailRecord.model_validate(_json(line))
                except ValidationError as error:
                    raise _wrong(f"{file}:{number}", problem(error)) from error
    except (OSError, EOFError, ValueError, RecursionError) as error:
        raise Thought1Error(f"{file} cannot be read ({error}); {_ADVICE}") from error


def _beside(path: Path, name: str | None, what: str) -> Path | None:
    if name is None:
        return None
    if PurePath(name).name != name:
        raise _wrong(path, f"it names {what} outside of its own folder")
    return path.with_name(name)


_ADVICE = "evaluate again to rewrite the file, or remove it from the folder"


def _wrong(where: object, what: str) -> Thought1Error:
    return Thought1Error(f"{where} is not the result of an evaluation: {what}; {_ADVICE}")


def _json(text: str) -> Any:
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _lines(records: Iterable[DetailRecord]) -> Iterator[str]:
    for record in records:
        yield json.dumps(record.to_json(), ensure_ascii=False) + "\n"


def _write_gzip(path: Path, lines: Iterable[str]) -> None:
    # Without a time and a name in it, equal lines make equal files.
    with whole_file(path) as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as stream:
        for line in lines:
            stream.write(line.encode("utf-8", "backslashreplace"))


def _safe(name: str) -> str:
    """A name that is one file name everywhere; a hub id's slash stays visible."""
    plain = re.sub(r"[^\w.@+-]", "-", name.replace("/", "__"), flags=re.ASCII)
    return plain.lstrip(".") or "-"
