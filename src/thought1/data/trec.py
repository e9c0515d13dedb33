"""Judgements (qrels), runs and excluded documents in the text formats of TREC, BEIR and BRIGHT.

Knows nothing of queries, documents or metrics: only ids, grades and scores.
"""

import math
import re
from collections.abc import Container, Iterator
from pathlib import Path

from thought1.data.json_table import read_json_table
from thought1.data.outputs import check_file, whole_file
from thought1.data.rows import (
    BadRow,
    Line,
    parse_id,
    parse_object,
    quote,
    read_lines,
    show_path,
)
from thought1.types import Qrels, Run, Thought1Error

_MAX_LINE_BYTES = 2**20

_QUERY_HEADERS = {"queryid", "query", "qid", "topic", "topicid"}
"""The first column's name in a header, without case, hyphens, underscores and blanks."""

NO_EXCLUSION = "N/A"
"""BRIGHT's way to say that nothing is excluded for a query; never a document."""


def read_qrels(path: Path) -> Qrels:
    """Judgements from BEIR's TSV (query-id, corpus-id, score) or from TREC's four columns (query,
    iteration, document, grade), each with a header or without; or from one JSON object {query:
    {document: grade}}, as pytrec_eval takes it; may be .gz.

    A line that only repeats another counts once (EntailmentBank has such lines). Raises BadRow
    with file and line: wrong columns, a grade that is not an integer, one pair with two grades.
    """
    table = read_json_table(path, "grade", int)
    if table is not None:
        return table
    qrels: Qrels = {}
    width = 0
    for line in _read_filled_lines(path):
        columns = _split(line.text, (3, 4))
        first, width = not width, width or len(columns)
        if first and _is_header(columns):
            continue
        if len(columns) != width or width not in (3, 4) or "" in columns:
            raise BadRow(
                f"{line.location}: needs query, document, score (BEIR) in each line, or query, 0, "
                f"document, grade (TREC), none of them empty; has {len(columns)} columns"
                + ("" if first else f", and the first line {width}")
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

    Also BEIR's TSV with its header (query-id, corpus-id, score). The header is needed: three
    columns without one may as well be MS MARCO's, whose third is a rank. Also one JSON object
    {query: {document: score}}, as pytrec_eval and ranx take and write it.

    Raises BadRow with file and line: wrong columns, a score that is not a number, a document twice.
    """
    table = read_json_table(path, "score", float)
    if table is not None:
        return table
    run: Run = {}
    width = 0
    for line in _read_filled_lines(path):
        columns = _split(line.text, (3, 6))
        if not width and len(columns) in (3, 6) and _is_header(columns):
            width = len(columns)
            continue
        width = width or 6
        if len(columns) != width or "" in columns:
            raise BadRow(
                f"{line.location}: has {len(columns)} columns; a run has six: "
                "query, Q0, document, rank, score, tag; or three, below the header "
                "query-id, corpus-id, score; none of them empty"
            )
        query = columns[0]
        document, number = (columns[1], columns[2]) if width == 3 else (columns[2], columns[4])
        scores = run.setdefault(query, {})
        if document in scores:
            raise BadRow(
                f"{line.location}: the document has occurred before for this query: "
                f"{quote(document)}"
            )
        scores[document] = _parse_score(number, line)
    return run


def read_exclusions(path: Path) -> dict[str, set[str]]:
    """Query id -> ids of documents that must not count for it; may be .gz.

    Lines are "query<TAB>document" (or with other white space), or, as in BRIGHT's examples, JSON
    objects with `_id` (or `id`) and the list `excluded_ids`, other fields ignored. The sentinel
    "N/A" is not a document; a query without any other has no entry.

    Raises BadRow with file and line: another form; Thought1Error if the file is empty.
    """
    excluded: dict[str, set[str]] = {}
    lines = 0
    for line in _read_filled_lines(path):
        lines += 1
        try:
            query, documents = _parse_exclusion(line.text)
        except BadRow as bad:
            raise bad.at(line.location) from None
        found = {document for document in documents if document != NO_EXCLUSION}
        if found:
            excluded.setdefault(query, set()).update(found)
    if not lines:
        raise Thought1Error(f"{show_path(path)} is empty; it needs lines: query, document")
    return excluded


def write_run(path: Path, run: Run, tag: str) -> None:
    """Write `run` in TREC format, for each query by descending score, then by id.

    Scores keep all their digits. The file appears whole or not at all. A query without documents
    leaves no line. Raises Thought1Error if an id cannot be written or the file not be created.
    """
    check_file(path)
    with whole_file(path) as stream:
        stream.writelines(line.encode("utf-8") for line in run_lines(run, tag))


def run_lines(run: Run, tag: str) -> Iterator[str]:
    """The lines of `write_run`: columns between blanks, or between tabs where an id has a blank.

    trec_eval takes either for white space, and so reads both where no id has a blank.
    """
    words = [tag, *run, *(document for scores in run.values() for document in scores)]
    gap = " " if all(word.split() == [word] for word in words) else "\t"
    check_id(tag, "tag")
    for query, scores in run.items():
        check_id(query, "query id")
        ranking = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        for rank, (document, score) in enumerate(ranking, start=1):
            check_id(document, "document id")
            if not math.isfinite(score):
                raise ValueError(f"score of {document!r} for {query!r} is {score}")
            yield gap.join((query, "Q0", document, str(rank), repr(float(score)), tag)) + "\n"


def check_id(word: str, name: str) -> None:
    """Raise Thought1Error if `word` cannot be written in a column of a run or of judgements."""
    if not word or word != word.strip(" ") or re.search(r"[\t\n\r]", word):
        raise Thought1Error(
            f"the {name} {quote(word)} cannot be written to a run, whose columns are separated by "
            "tabs: it must hold something, neither tab nor line break, and no blank at its ends"
        )


def _read_filled_lines(path: Path) -> Iterator[Line]:
    for line in read_lines(path, _MAX_LINE_BYTES):
        if isinstance(line, BadRow):
            raise line
        if line.text.strip():
            yield line


def _is_header(columns: list[str]) -> bool:
    return re.sub(r"[-_ ]", "", columns[0].casefold()) in _QUERY_HEADERS and not any(
        re.fullmatch(r"[+-]?[0-9.]+", column) for column in columns
    )


def _split(text: str, widths: Container[int]) -> list[str]:
    """Columns between tabs, where ids may hold blanks, else between any white space.

    Blanks next to a tab are not part of an id: other tools would not see them.
    """
    columns = [column.strip(" ") for column in text.rstrip("\r\n").split("\t")]
    return columns if len(columns) in widths else text.split()


def _parse_exclusion(text: str) -> tuple[str, list[str]]:
    if text.lstrip().startswith("{"):
        fields = parse_object(text)
        documents = fields.get("excluded_ids")
        if not isinstance(documents, list) or not all(isinstance(d, str) for d in documents):
            raise BadRow('field "excluded_ids" must be a list of document ids (strings)')
        return parse_id(fields), documents
    columns = _split(text, (2,))
    if len(columns) != 2 or "" in columns:
        raise BadRow(
            f"has {len(columns)} columns; needs query and document, or a JSON object with "
            '"_id" and "excluded_ids"'
        )
    return columns[0], [columns[1]]


def _parse_score(text: str, line: Line) -> float:
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise BadRow(f"{line.location}: the score must be a number, not {quote(text)}")
    return score
