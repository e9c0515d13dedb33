"""Judgements (qrels) and runs in the text formats of TREC and BEIR.

Knows nothing of queries, documents or metrics: only ids, grades and scores.
"""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

from thought1.data.rows import BadRow, Line, quote, read_lines, show_path
from thought1.types import Qrels, Run, Thought1Error

_MAX_LINE_BYTES = 2**20


def read_qrels(path: Path) -> Qrels:
    """Judgements from BEIR's TSV (query-id, corpus-id, score; the header may be missing) or from
    TREC's four columns (query, iteration, document, grade); may be .gz.

    A line that only repeats another counts once (EntailmentBank has such lines). Raises BadRow
    with file and line: wrong columns, a grade that is no integer, one pair with two grades.
    """
    qrels: Qrels = {}
    width = 0
    for line in _read_filled_lines(path):
        columns = _split_qrels(line.text)
        if not width and columns[0].lower() in ("query-id", "query_id"):
            width = 3
            continue
        width = width or len(columns)
        if len(columns) != width or width not in (3, 4) or "" in columns:
            raise BadRow(
                f"{line.location}: needs query, document, score (BEIR) in each line, or query, 0, "
                f"document, grade (TREC), none of them empty; has {len(columns)} columns"
            )
        query, document, grade = columns[0], columns[-2], columns[-1]
        if not re.fullmatch(r"[+-]?[0-9]{1,9}", grade):
            raise BadRow(f"{line.location}: the score must be an integer, not {quote(grade)}")
        grades = qrels.setdefault(query, {})
        if grades.setdefault(document, int(grade)) != int(grade):
            raise BadRow(f"{line.location}: the pair has occurred before, with another score")
    if not qrels:
        raise Thought1Error(f"{show_path(path)} holds no judgements")
    return qrels


def read_run(path: Path) -> Run:
    """A TREC run: query, Q0, document, rank, score, tag; the rank is ignored; may be .gz.

    Raises BadRow with file and line: wrong columns, a score that is no number, a document twice.
    """
    run: Run = {}
    for line in _read_filled_lines(path):
        columns = line.text.split()
        if len(columns) != 6:
            raise BadRow(
                f"{line.location}: has {len(columns)} columns; a run has six: "
                "query, Q0, document, rank, score, tag"
            )
        query, _, document, _, score, _ = columns
        scores = run.setdefault(query, {})
        if document in scores:
            raise BadRow(f"{line.location}: the document has occurred before for this query")
        scores[document] = _parse_score(score, line)
    return run


def write_run(path: Path, run: Run, tag: str) -> None:
    """Write `run` in TREC format, for each query by falling score, then by id.

    Scores keep all their digits. The file appears whole or not at all. A query without documents
    leaves no line. Raises Thought1Error where an id cannot be written or the file not be created.
    """
    _check_word(tag, "tag")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with part.open("w", encoding="utf-8", newline="\n") as stream:
                stream.writelines(_run_lines(run, tag))
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise Thought1Error(f"{show_path(path)} cannot be written: {error}") from error


def _run_lines(run: Run, tag: str) -> Iterator[str]:
    for query, scores in run.items():
        _check_word(query, "query id")
        ranking = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        for rank, (document, score) in enumerate(ranking, start=1):
            _check_word(document, "document id")
            if not math.isfinite(score):
                raise ValueError(f"score of {document!r} for {query!r} is {score}")
            yield f"{query} Q0 {document} {rank} {float(score)!r} {tag}\n"


def _check_word(word: str, name: str) -> None:
    if word.split() != [word]:
        raise Thought1Error(
            f"the {name} {quote(word)} cannot be written to a TREC run, whose columns are "
            "separated by white space; use ids without white space"
        )


def _read_filled_lines(path: Path) -> Iterator[Line]:
    for line in read_lines(path, _MAX_LINE_BYTES):
        if isinstance(line, BadRow):
            raise line
        if line.text.strip():
            yield line


def _split_qrels(text: str) -> list[str]:
    """Columns between tabs, where ids may hold blanks, else between any white space."""
    columns = text.rstrip("\r\n").split("\t")
    return columns if len(columns) > 2 else text.split()


def _parse_score(text: str, line: Line) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise BadRow(f"{line.location}: the score must be a number, not {quote(text)}")
    return score
