"""One evaluation from its request to numbers: read the task, ask the system, compute the metrics.

Knows neither how a system works nor how a result is kept (`results`). `t1 evaluate` and
`t1 replay` both come through here.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from thought1.data.formats import BeirFolder, read_queries, read_thoughts
from thought1.data.hashing import hash_file
from thought1.data.trec import check_id
from thought1.evaluation.collection import DEPTH, judged_queries, run_of, without_identical_ids
from thought1.evaluation.overlap import CheckedCorpus, Checks
from thought1.evaluation.protocol import Evaluation, evaluate
from thought1.evaluation.systems import System, SystemFacts
from thought1.search.options import Mode
from thought1.types import Qrels, Query, Receipt, Run, SearchResult, Thought1Error

SEED = 0
"""Of the bootstrap and of sampled thoughts."""

Bars = Callable[[str, int | None, str], Any]
"""A progress bar (description, total, unit): a context manager with `update(n)`."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: enough to ask for it again. Paths are as they were given."""

    folder: str
    split: str
    name: str = ""
    """Of the task; by default the folder's name and the split."""
    system: str = "t1"
    mode: Mode = "dense"
    think: int | None = None
    model: str | None = None
    index: str | None = None
    rewritten: str | None = None
    curve: str | None = None
    """Thinking budgets of the curve, with commas between them; see `budgets`."""
    faithfulness: bool = False
    ignore_identical_ids: bool = False
    """Whether a document with the query's own id is left out of its ranking, before the cut."""
    anchor: str = ""
    """Instead of the checkpoint's own; see `Settings.anchor`."""
    samples: int = 1
    """Sampled thoughts on each query; see `SearchOptions.samples`."""
    thoughts: str | None = None
    """File of thoughts that are read instead of own ones."""
    evidence: int = 0
    """Documents that are read before thinking; see `SearchOptions.evidence`."""

    @property
    def task_name(self) -> str:
        """The name under which the result is kept; what is counted otherwise is another task."""
        name = self.name or f"{Path(self.folder).resolve().name}-{self.split}"
        return name + "-ignore-identical-ids" * self.ignore_identical_ids

    @property
    def depth(self) -> int:
        """Documents that a system is asked for: one more where one may be left out."""
        return DEPTH + self.ignore_identical_ids

    @property
    def budgets(self) -> tuple[int, ...]:
        """Thinking budgets of the curve, rising; none where no curve is wanted.

        Raises:
            Thought1Error: `curve` is something else.
        """
        if self.curve is None:
            return ()
        parts = [part.strip() for part in self.curve.split(",")]
        budgets = [int(part) for part in parts if part.isascii() and part.isdecimal()]
        if len(budgets) < len(parts) or budgets != sorted(set(budgets)):
            raise Thought1Error(
                f"a curve needs thinking budgets, whole numbers from 0, each larger than the one "
                f"before, such as 0,8,16,32,64, not {self.curve!r}"
            )
        return tuple(budgets)

    def to_json(self) -> dict[str, Any]:
        """JSON data, the fields by their names; what is younger than the format is left out
        where it was not asked for."""
        young = {"anchor": "", "samples": 1, "thoughts": None, "evidence": 0}
        return {k: v for k, v in asdict(self).items() if young.get(k, ()) != v}

    def command(self) -> list[str]:
        """The command line that measures this."""
        options = {
            "--name": self.name,
            "--system": self.system if self.system != "t1" else None,
            "--mode": self.mode if self.system == "t1" else None,
            "--think": self.think,
            "--samples": self.samples if self.samples > 1 else None,
            "--thoughts": self.thoughts,
            "--evidence": self.evidence or None,
            "--model": self.model,
            "--index": self.index,
            "--rewritten": self.rewritten,
            "--curve": self.curve,
            "--anchor": self.anchor,
        }
        command = ["t1", "evaluate", self.folder, "--split", self.split]
        for name, value in options.items():
            if value not in (None, ""):
                command += [name, str(value)]
        flags = {
            "--faithfulness": self.faithfulness,
            "--ignore-identical-ids": self.ignore_identical_ids,
        }
        return [*command, *(name for name, given in flags.items() if given)]


@dataclass(frozen=True, slots=True)
class Task:
    """Judged questions over a collection, and what else is read with them."""

    name: str
    folder: BeirFolder
    split: str
    queries: list[Query]
    qrels: Qrels
    hashes: Mapping[str, str]
    """file -> SHA-256."""
    kind: str = "beir"
    rewritten: Mapping[str, str] = field(default_factory=dict)
    """query id -> the text that is asked instead; empty where the questions are asked as they
    are."""
    rewriter: str = ""
    """What tells one set of rewritten queries, or of given thoughts, from another."""
    ignore_identical_ids: bool = False
    thoughts: Mapping[str, str] = field(default_factory=dict)
    """query id -> the thought that is read with it; empty where the system writes its own."""

    def name_system(self, system: SystemFacts) -> str:
        """The system's name in a result: with what rewrote its queries or wrote its thoughts."""
        return "+".join(filter(None, (system.name, self.rewriter)))

    @property
    def asked(self) -> dict[str, str]:
        """query id -> the text that is asked."""
        return {query.id: self.rewritten.get(query.id, query.text) for query in self.queries}


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was found."""

    task: Task
    documents: int
    system: SystemFacts
    run: Run
    evaluation: Evaluation
    results: list[SearchResult]
    """One for each query of the task."""
    receipt: Receipt
    checks: Checks | None = None
    """Of the collection; None where another protocol does its own."""

    @property
    def system_name(self) -> str:
        """The system's, and what rewrote its queries or wrote its thoughts."""
        return self.task.name_system(self.system)


def read_task(request: Request) -> Task:
    """The judged questions of a request, and the hashes of what they come from.

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
    return Task(
        request.task_name,
        folder,
        request.split,
        queries,
        qrels,
        hashes,
        "beir",
        found["rewritten"],
        "+".join(writers),
        request.ignore_identical_ids,
        found["thoughts"],
    )


def measure(task: Task, system: System, bars: Bars) -> Measured:
    """Prepare the system, ask it the questions, evaluate the answers.

    Raises:
        Thought1Error: the documents cannot be read, or none of them is judged; the system fails,
            or ir-measures is missing.
    """
    checked = CheckedCorpus(task.folder.corpus(), task.qrels)
    with bars("index", None, "documents") as bar:
        documents = system.prepare(checked.corpus, bar.update)
    asked = list(task.asked.values())
    with bars("ask", len(asked), "queries") as bar:
        results, receipt = system.search(asked, bar.update)
    checks = checked.checks
    if checks is None:
        raise ValueError(f"{system.facts.name} has not read the documents")
    if task.ignore_identical_ids:
        results, removed = without_identical_ids(task.queries, results)
        checks = replace(checks, removed_identical=removed)
    run = run_of(task.queries, results)
    evaluation = evaluate(run, task.qrels)
    return Measured(task, documents, system.facts, run, evaluation, results, receipt, checks)


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
