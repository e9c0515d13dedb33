"""A collection in memory for the quality benchmark: documents, judged questions, qrels.

It knows BEIR folders and nothing of systems or metrics. A document is its title, a line break and
its text (the text alone where there is no title), for every system alike.
"""

from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path

from thought1.data.formats import BeirFolder
from thought1.evaluation.collection import judged_queries
from thought1.training.data.sources import read_ids
from thought1.training.data.trajectories import read_thoughts
from thought1.training.recipe import SourceConfig
from thought1.types import Qrels, Run, Thought1Error


@dataclass(frozen=True, slots=True)
class Collection:
    """What the systems are given; only questions with a relevant document are in it."""

    documents: dict[str, str]
    """id -> title and text"""
    queries: dict[str, str]
    """id -> text"""
    qrels: Qrels
    thoughts: dict[str, str] = field(default_factory=dict)
    """Query id -> a thought that is given to the model, for all queries or none."""


def load_collection(folder: Path, split: str, ids: Path | None = None) -> Collection:
    """Read the questions that are judged in `split`, of these only the ones listed in `ids`.

    Raises:
        Thought1Error: a missing file or split, a broken row, a question without text, a listed
            question without a relevant document.
    """
    beir = BeirFolder(folder)
    judged, grades = judged_queries(beir, split)
    queries = {query.id: query.text for query in judged if _relevant(grades[query.id])}
    if ids is not None:
        wanted = read_ids(ids)
        lost = sorted(wanted - queries.keys())
        if lost:
            raise Thought1Error(
                f"{ids}: {len(lost)} questions have no relevant document in split {split} of "
                f"{folder}, the first is {lost[0]}"
            )
        queries = {q: text for q, text in queries.items() if q in wanted}
    documents = {d.id: d.full_text for d in beir.corpus()}
    return Collection(documents, queries, {q: grades[q] for q in queries})


def given_thoughts(queries: dict[str, str], file: Path, pattern: str, terms: int) -> dict[str, str]:
    """The thoughts of all queries from a file of JSON lines, as a recipe's source has them.

    Raises:
        Thought1Error: no such file, a broken line, or a query without a thought.
    """
    source = SourceConfig(".", "beir", thoughts=file.name, thought=pattern, thought_terms=terms)
    found = read_thoughts(source, file.parent, queries)
    lost = sorted(queries.keys() - found.keys())
    if lost:
        raise Thought1Error(f"{file}: {len(lost)} questions have no thought, such as {lost[0]}")
    return found


def answers_elsewhere(
    folder: Path, split: str, collection: Collection, left_out: Path | None = None
) -> frozenset[str]:
    """Documents that answer a question of `split` other than the collection's own questions.

    Args:
        left_out: file of question ids that do not count, such as those kept out of training.
    """
    ignored = set(collection.queries) | (read_ids(left_out) if left_out else frozenset())
    others = (g for q, g in BeirFolder(folder).qrels(split).items() if q not in ignored)
    return frozenset(document for grades in others for document in _relevant(grades))


def restrict_qrels(qrels: Qrels, kept: Set[str]) -> Qrels:
    """The judgements of documents in `kept`; questions left without a relevant one drop out."""
    cut = {q: {d: grade for d, grade in grades.items() if d in kept} for q, grades in qrels.items()}
    return {q: grades for q, grades in cut.items() if _relevant(grades)}


def restrict_run(run: Run, qrels: Qrels, part: Qrels) -> Run:
    """The run of the questions of `part` without relevant documents that are not in `part`.

    Left in the ranking, these would push down the ones that are asked about.
    """
    return {
        q: {d: s for d, s in run[q].items() if d in kept or qrels[q].get(d, 0) <= 0}
        for q, kept in part.items()
    }


def _relevant(grades: dict[str, int]) -> list[str]:
    return [document for document, grade in grades.items() if grade > 0]
