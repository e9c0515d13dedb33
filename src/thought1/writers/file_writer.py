"""Thoughts from a file of records: by the question, or in the order of the questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thought1.data.files import find_reader
from thought1.data.jsonl import read_jsonl
from thought1.data.rows import DEFAULT_OPTIONS, BadRow, show_path
from thought1.types import LeftOut, Thought, Thought1Error


@dataclass
class FileWriter:
    """Rows of a file, each a thought. Build it with `open_file_writer`."""

    name: str
    texts: list[str]
    """In the order of the file; "" is no thought."""
    queries: list[str]
    """What each is about; empty where the file does not say."""

    def think(
        self, queries: Sequence[str], *, budget: int | None = None
    ) -> list[str | Thought | LeftOut]:
        """The thoughts of these queries; see `contracts.ThoughtWriter`. The budget cuts nothing.

        Raises:
            Thought1Error: the file does not name its questions, and has not one thought for each.
        """
        if not self.queries and len(self.texts) != len(queries):
            raise Thought1Error(
                f"{self.name} has {len(self.texts)} thoughts for {len(queries)} questions: give "
                'one line for each question, in their order, or name the question in "query"'
            )
        found = self.texts
        if self.queries:
            known = dict(zip(self.queries, self.texts, strict=True))
            found = [known.get(query.strip(), "") for query in queries]
        nothing = LeftOut("think", f"{self.name} has no thought for this question")
        return [text or nothing for text in found]


def open_file_writer(spec: str) -> FileWriter:
    """The thoughts named by `file:PATH`: JSON lines with "text", or a table with "_id" and "text".

    With "query" in every row, the exact question, rows are found by it; else by
    their place. Other columns, such as "_id", are not looked at.

    Raises:
        Thought1Error: no such file, a bad row, one question with two thoughts, no rows.
    """
    path = Path(spec.partition(":")[2])
    reader = find_reader(path) or read_jsonl
    texts: list[str] = []
    queries: list[str | None] = []
    for record in reader(path, DEFAULT_OPTIONS):
        if isinstance(record, BadRow):
            raise record
        try:
            text, query = _parse(record.fields)
            if query in queries and query is not None and texts[queries.index(query)] != text:
                raise BadRow("its question has occurred before, with another thought")
        except BadRow as bad:
            raise bad.at(record.location) from None
        texts.append(text)
        queries.append(query)
    name = show_path(path)
    if not texts:
        raise Thought1Error(f'{name} is empty; it needs lines {{"text": "a thought"}}')
    named = [query for query in queries if query is not None]
    if named and len(named) < len(queries):
        raise Thought1Error(f'{name}: name the question ("query") in every row, or in none')
    return FileWriter(name, texts, named)


def _parse(fields: Mapping[str, object]) -> tuple[str, str | None]:
    text, query = fields.get("text"), fields.get("query")
    if not isinstance(text, str):
        raise BadRow('needs the field "text", a string: the thought')
    if query is not None and not isinstance(query, str):
        raise BadRow('"query" is no string')
    return text.strip(), None if query is None else query.strip()
