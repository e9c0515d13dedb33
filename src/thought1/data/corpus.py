"""A corpus: a stream of documents that can be read again, checked before anything is written.

Knows neither the file formats nor the index. Memory holds one document and an 8-byte digest of
each id, whatever the size of the corpus.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from thought1.data.rows import BadRow, PassedOver, Row, quote, show_path
from thought1.types import Document, Thought1Error

_LOG = logging.getLogger(__name__)
_NUM_EXAMPLES = 5

Source = Callable[[], Iterator[Row | BadRow | PassedOver]]
"""Begins to read the rows, from the first one, each time it is called."""


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """What one pass over a corpus found; `examples` are the messages of the first bad rows."""

    documents: int
    skipped: int = 0
    examples: tuple[str, ...] = ()
    empty: int = 0
    """Documents with neither title nor text, which are documents nevertheless."""
    left_out: int = 0
    """Metadata values that no store can hold; their documents are kept."""
    passed_over: Mapping[PassedOver, int] = field(default_factory=dict)
    """What a folder contains besides documents, and how many of each."""


@dataclass(slots=True)
class _Tally:
    """What is remarkable about the documents of one pass."""

    empty: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row) -> None:
        self.empty += not row.document.full_text.strip()
        self.left_out.update(row.left_out)

    def report(self, path: Path) -> None:
        if self.empty:
            _LOG.warning(
                "%s: %d documents have neither title nor text; they are kept, as empty ones",
                show_path(path),
                self.empty,
            )
        if self.left_out:
            _LOG.warning(
                "%s: %d metadata values are of no kind that can be stored, and were left out, in: "
                "%s",
                show_path(path),
                self.left_out.total(),
                ", ".join(quote(name) for name in sorted(self.left_out)[:_NUM_EXAMPLES]),
            )


@dataclass(frozen=True, slots=True)
class Corpus:
    """The documents of one file or folder. Each iteration reads the files again.

    A row is bad where it is not usable by itself (rows.py) or where its id has occurred before.
    """

    path: Path
    source: Source
    is_text_folder: bool = False

    def __iter__(self) -> Iterator[Document]:
        return self.documents()

    def documents(self, skip_bad: bool = False) -> Iterator[Document]:
        """The documents in file order; those without title and text are counted in the log.

        Raises BadRow at the first bad row, unless `skip_bad`, and Thought1Error if a file
        cannot be read or where there is no document at all.
        """
        for row in self._checked_rows(skip_bad, _Tally()):
            if isinstance(row, Document):
                yield row

    def validate(self, skip_bad: bool = False) -> ValidationReport:
        """Read everything once and count; raises what `documents` raises."""
        documents, skipped = 0, 0
        examples: list[str] = []
        tally = _Tally()
        passed_over: Counter[PassedOver] = Counter()
        for row in self._checked_rows(skip_bad, tally):
            if isinstance(row, Document):
                documents += 1
                continue
            if isinstance(row, PassedOver):
                passed_over[row] += 1
                continue
            skipped += 1
            if len(examples) < _NUM_EXAMPLES:
                examples.append(str(row))
        return ValidationReport(
            documents,
            skipped,
            tuple(examples),
            tally.empty,
            tally.left_out.total(),
            passed_over,
        )

    def _checked_rows(
        self, skip_bad: bool, tally: _Tally
    ) -> Iterator[Document | BadRow | PassedOver]:
        seen: set[bytes] = set()
        first_bad: BadRow | None = None
        for row in self.source():
            if isinstance(row, PassedOver):
                yield row
                continue
            if isinstance(row, Row):
                # Two ids of a corpus share a digest with a chance of n^2 / 2^65: n = 10 million
                # documents give 3 in a million.
                digest = blake2b(row.document.id.encode("utf-8"), digest_size=8).digest()
                if digest not in seen:
                    seen.add(digest)
                    tally.add(row)
                    yield row.document
                    continue
                row = self._duplicate(row, name_first=not skip_bad)
            if not skip_bad:
                raise row
            first_bad = first_bad or row
            yield row
        if not seen:
            why = f": every row is bad, the first one: {first_bad}" if first_bad else ""
            raise Thought1Error(f"{show_path(self.path)} holds no documents{why}")
        tally.report(self.path)

    def _duplicate(self, row: Row, name_first: bool) -> BadRow:
        problem = f"the id {quote(row.document.id)} has occurred before"
        if name_first:  # costs another pass, so only where that pass is the last thing done
            rows = (other for other in self.source() if isinstance(other, Row))
            first = next((o for o in rows if o.document.id == row.document.id), row)
            problem += f", at {first.location}"
        return BadRow(f"{row.location}: {problem}; ids must be unique")
