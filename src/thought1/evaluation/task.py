"""What is measured: judged queries over documents, what is excluded, and how rankings are scored.

Knows neither systems nor results. BRIGHT's tasks are made in `bright.task`.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from thought1.data.formats import BeirFolder, read_queries, read_thoughts
from thought1.data.hashing import hash_file
from thought1.data.trec import check_id
from thought1.evaluation.collection import DEPTH, judged_queries
from thought1.evaluation.overlap import CheckedCorpus, Checks
from thought1.evaluation.request import Request
from thought1.evaluation.statistics.protocol import DEFAULT_MEASURES
from thought1.evaluation.systems.base import Documents, SystemFacts
from thought1.types import Qrels, Query, Run, Thought1Error


@dataclass(frozen=True, slots=True)
class ScoringProtocol:
    """One way to get figures from a ranking."""

    name: str
    qrels: Qrels
    excludes: bool = True
    """Whether excluded documents are taken out of a ranking, before the cut."""


@dataclass(frozen=True, slots=True)
class Task:
    """Judged queries over a collection, and what else is read with them."""

    name: str
    folder: str
    """As it was given; a hub id too."""
    split: str
    queries: Sequence[Query]
    """All that are searched for."""
    qrels: Qrels
    hashes: Mapping[str, str]
    """file -> SHA-256."""
    read: Callable[[], tuple[Documents, Checks | None]]
    """Opens the documents, and checks them against the judgements where that is to be done.

    Raises:
        Thought1Error: they cannot be read, or none of them is judged."""
    kind: str = "beir"
    rewritten: Mapping[str, str] = field(default_factory=dict)
    """query id -> the text that is searched for instead; empty if queries stay as they are."""
    rewriter: str = ""
    """What distinguishes one set of rewritten queries, or of given thoughts, from another."""
    thoughts: Mapping[str, str] = field(default_factory=dict)
    """query id -> the thought that is read with it; empty if the system writes its own."""
    excluded: Mapping[str, Set[str]] = field(default_factory=dict)
    """query id -> documents that leave its ranking before the cut."""
    depth: int = DEPTH
    """Documents of a ranking after exclusion."""
    measures: Sequence[str] = DEFAULT_MEASURES
    alternatives: Sequence[ScoringProtocol] = ()
    """Protocols in addition to the main one, which excludes and has the task's qrels."""
    check: Callable[[Run], None] = lambda run: None
    """Refuses a ranking that cannot be scored, before exclusion."""

    def name_system(self, system: SystemFacts) -> str:
        """The system's name in a result: with what rewrote its queries or wrote its thoughts."""
        return "+".join(filter(None, (system.name, self.rewriter)))

    @property
    def texts(self) -> dict[str, str]:
        """query id -> the text that is searched for."""
        return {query.id: self.rewritten.get(query.id, query.text) for query in self.queries}

    @property
    def judged(self) -> list[Query]:
        """The queries with judgements."""
        return [query for query in self.queries if query.id in self.qrels]

    @property
    def ignores_identical_ids(self) -> bool:
        """Whether each query excludes the document with its own id, and nothing else."""
        return bool(self.excluded) and all(out == {id_} for id_, out in self.excluded.items())

    @property
    def search_depth(self) -> int:
        """Documents to rank, so that a full ranking is left after exclusion."""
        return self.depth + max(map(len, self.excluded.values()), default=0)

    def cut(self, run: Run, *, excludes: bool = True) -> Run:
        """The first `depth` documents by score, after exclusion; ties in the order of the run."""
        kept: Run = {}
        for query, scores in run.items():
            out = self.excluded.get(query, frozenset()) if excludes else frozenset()
            pairs = [(document, score) for document, score in scores.items() if document not in out]
            kept[query] = dict(sorted(pairs, key=lambda pair: -pair[1])[: self.depth])
        return kept


def read_task(request: Request) -> Task:
    """The judged queries of a request, and the hashes of what they come from.

    Raises:
        Thought1Error: a file or split is missing or broken, a judged query has no rewritten
            form or no thought in the file that should have it, or an id that no run can hold.
    """
    folder = BeirFolder(Path(request.folder))
    queries, qrels = judged_queries(folder, request.split)
    for query in queries:
        check_id(query.id, "query id")
    hashes = folder.hashes(request.split)
    found: dict[str, dict[str, str]] = {"rewritten": {}, "thoughts": {}}
    writers = []
    for kind, given in (("rewritten", request.rewritten), ("thoughts", request.thoughts)):
        if given is None:
            continue
        file = Path(given)
        found[kind] = _of_each(file, kind, queries)
        writers.append(file.name.partition(".")[0])
        hashes[kind] = hash_file(file)

    def read() -> tuple[Documents, Checks | None]:
        checked = CheckedCorpus(folder.corpus(), qrels)
        documents = Documents.of(checked.corpus)
        return documents, checked.checks

    own = {query.id: frozenset((query.id,)) for query in queries}
    return Task(
        request.task_name,
        str(folder.path),
        request.split,
        queries,
        qrels,
        hashes,
        read,
        rewritten=found["rewritten"],
        rewriter="+".join(writers),
        thoughts=found["thoughts"],
        excluded=own if request.ignore_identical_ids else {},
    )


def _of_each(file: Path, kind: str, queries: list[Query]) -> dict[str, str]:
    """query id -> the text that a file of this kind has for it."""
    if kind == "thoughts":
        found = read_thoughts(file)
    else:
        found = {query.id: query.text for query in read_queries(file)}
    missing = [query.id for query in queries if query.id not in found]
    if missing:
        raise Thought1Error(
            f"{file} lacks {len(missing)} of the {len(queries)} judged queries, such as "
            f"{' and '.join(map(repr, missing[:2]))}: each needs a line with its _id and a text"
        )
    return {query.id: found[query.id] for query in queries}
