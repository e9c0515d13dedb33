"""One subset of BRIGHT as an evaluation: what was asked for, what was found, its result file.

The file is the one of every evaluation (`results`) with the official protocol's figures in front,
and all protocols beside them. Knows neither how documents are ranked nor how a figure is computed.
"""

from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from thought1.data.bright import EXAMPLES, BrightSubset
from thought1.data.formats import BeirFolder
from thought1.evaluation.bright import SubsetScores
from thought1.evaluation.bright_ranking import Answers
from thought1.evaluation.measure import Measured, Request, Task
from thought1.evaluation.results import SHOWN_HITS, build_result
from thought1.evaluation.systems import SystemFacts
from thought1.types import Hit, Query, SearchResult

KIND = "bright"
_FIELDS = ("folder", "split", "subset", "long", "system", "think", "model", "instruction")


@dataclass(frozen=True, slots=True)
class BrightRequest(Request):
    """What is asked for; `folder` is the source, a hub id too, and `split` the query set."""

    subset: str = ""
    long: bool = False
    instruction: str = "official"

    @property
    def task_name(self) -> str:
        """The name under which the result is kept."""
        parts = (KIND, self.subset, "long" * self.long, self.split * (self.split != EXAMPLES))
        return "-".join(filter(None, parts))

    def to_json(self) -> dict[str, Any]:
        """JSON data: the kind, and by their names the fields that mean something here."""
        return {"kind": KIND, **{name: asdict(self)[name] for name in _FIELDS}}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "BrightRequest":
        """The request of which `to_json` made `content`; TypeError where it is another's."""
        return cls(**{name: value for name, value in content.items() if name != "kind"})

    def command(self) -> list[str]:
        """The command line that measures this."""
        command = ["t1", "bright", self.folder, "--subset", self.subset]
        command += ["--long"] if self.long else []
        command += ["--queries", self.split] if self.split != EXAMPLES else []
        if self.system != "t1":
            return [*command, "--system", self.system]
        options = {
            "--think": self.think,
            "--model": self.model,
            "--instruction": self.instruction,
        }
        for name, value in options.items():
            command += [name, str(value)] if value is not None else []
        return command


def measured_of(
    request: BrightRequest,
    subset: BrightSubset,
    scores: SubsetScores,
    answers: Answers,
    facts: SystemFacts,
) -> Measured:
    """The official protocol's evaluation; `answers` are those after exclusion."""
    judged = [query for query in subset.queries if query.gold]
    shown = {query.id: list(answers.run[query.id].items())[:SHOWN_HITS] for query in judged}
    texts = _texts(subset, {document for hits in shown.values() for document, _ in hits})
    results = []
    for query in judged:
        thought = answers.thoughts.get(query.id)
        hits = tuple(
            Hit(document, score, rank, texts[document])
            for rank, (document, score) in enumerate(shown[query.id], start=1)
        )
        asked = thought if thought and thought.finish_reason != "none" else None
        results.append(SearchResult(query.text, hits, asked))
    task = Task(
        request.task_name,
        BeirFolder(Path(request.folder)),  # a name only: nothing is read through it
        request.split,
        [Query(query.id, query.text) for query in judged],
        subset.qrels(),
        subset.hashes(),
        KIND,
    )
    return Measured(
        task,
        len(subset.pool),
        facts,
        answers.run,
        scores.evaluations["official"],
        results,
        answers.receipt,
    )


def build_bright_result(
    measured: Measured,
    request: BrightRequest,
    scores: SubsetScores,
    *,
    sentence: str | None,
    price: float | None = None,
) -> dict[str, Any]:
    """The content of a result file.

    Args:
        sentence: the instruction that came with the queries, where the system reads one.
        price: as in `build_result`.
    """
    counts = scores.to_json()
    return {
        **build_result(measured, request, price=price),
        "protocols": counts.pop("protocols"),
        "bright": {"instruction": sentence, **counts},
    }


def _texts(subset: BrightSubset, wanted: Set[str]) -> dict[str, str]:
    """The texts of some documents, from one more pass through the files."""
    return {document.id: document.text for document in subset.documents() if document.id in wanted}
