"""Do the judgements and the documents of a collection belong together? Checked while it is read.

Only knows ids, not who reads the documents or for what.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from thought1.data.corpus import Corpus
from thought1.data.rows import BadRow, PassedOver, Row, quote
from thought1.data.trec import check_id
from thought1.types import Qrels, Thought1Error


@dataclass(frozen=True, slots=True)
class Checks:
    """What to know about a collection to trust its numbers."""

    judged_documents: int
    missing_documents: int
    """Judged documents that the collection lacks: no ranking can hold them."""
    identical_ids: int
    """Judged queries with the id of a document."""
    removed_identical: int = 0
    """Documents with the query's own id that were left out of its ranking."""


class CheckedCorpus:
    """A corpus that is checked against judgements whenever it is read to its end."""

    def __init__(self, corpus: Corpus, qrels: Qrels) -> None:
        self.corpus = replace(corpus, source=self._rows)
        """The same documents. Reading them raises Thought1Error if an id cannot be written in a
        run, and at the end where no judged document was among them."""
        self.checks: Checks | None = None
        """None until it has been read once."""
        self._source = corpus.source
        self._queries = set(qrels)
        self._judged = {document for grades in qrels.values() for document in grades}

    def _rows(self) -> Iterator[Row | BadRow | PassedOver]:
        judged: set[str] = set()
        queries: set[str] = set()
        examples: list[str] = []
        for row in self._source():
            if isinstance(row, Row):
                id_ = row.document.id
                try:
                    check_id(id_, "document id")
                except Thought1Error as error:
                    raise BadRow(f"{row.location}: {error}") from None
                if id_ in self._judged:
                    judged.add(id_)
                if id_ in self._queries:
                    queries.add(id_)
                if len(examples) < 2:
                    examples.append(id_)
            yield row
        if examples and not judged:
            raise Thought1Error(
                f"none of the {len(self._judged)} judged documents is in the collection: "
                f"{two_sides('the judgements name', self._judged, 'the documents are', examples)}; "
                "check that they belong together, and that their ids are written alike"
            )
        missing = len(self._judged) - len(judged)
        self.checks = Checks(len(self._judged), missing, len(queries))


def two_sides(first: str, ids: Collection[str], second: str, others: Collection[str]) -> str:
    """Two ids of each side for a message, quoted, so that blanks and prefixes are seen."""
    sides = ((first, ids), (second, others))
    return ", ".join(f"{name} {' and '.join(map(quote, sorted(side)[:2]))}" for name, side in sides)
