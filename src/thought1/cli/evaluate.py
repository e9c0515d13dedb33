"""`t1 evaluate`: how well a system answers the judged questions of a collection.

Neither runs nor metrics are computed here (`thought1.evaluation`):

    t1 evaluate entailmentbank --split dev --mode hybrid --json
    t1 evaluate entailmentbank --split dev --system bm25-query
    t1 evaluate entailmentbank --split dev --think 32 --curve 0,8,16,32 --faithfulness
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from thought1.cli.console import (
    note,
    print_json,
    print_text,
    progress,
    receipt_data,
    receipt_line,
    show_means,
)
from thought1.cli.evaluate_options import (
    Anchor,
    CurveBudgets,
    Folder,
    KeptIndex,
    NoResults,
    Price,
    Results,
    Rewritten,
    RunFile,
    Split,
    SystemSpec,
    TaskName,
    Thoughts,
    WithFaithfulness,
)
from thought1.cli.options import (
    Budget,
    Evidence,
    IgnoreIdenticalIds,
    IndexOrBundledModel,
    Json,
    NoThink,
    Samples,
    SearchMode,
    TrustRemoteCode,
    thought_budget,
)
from thought1.cli.systems import checked, open_request
from thought1.data.outputs import check_file, check_folder
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.evaluation.measure import Measured, Request
    from thought1.evaluation.studies import Studied


def evaluate(
    folder: Folder,
    *,
    split: Split,
    system: SystemSpec = "t1",
    mode: SearchMode = "dense",
    think: Budget = None,
    no_think: NoThink = False,
    samples: Samples = 1,
    thoughts: Thoughts = None,
    evidence: Evidence = 0,
    model: IndexOrBundledModel = None,
    trust_remote_code: TrustRemoteCode = False,
    index_folder: KeptIndex = None,
    rewritten: Rewritten = None,
    results: Results = Path("results"),
    no_results: NoResults = False,
    name: TaskName = "",
    price: Price = None,
    run_file: RunFile = None,
    curve: CurveBudgets = None,
    faithfulness: WithFaithfulness = False,
    ignore_identical_ids: IgnoreIdenticalIds = False,
    anchor: Anchor = "",
    as_json: Json = False,
) -> None:
    """Measure retrieval: 100 documents for each judged question, thinking greedily by default."""
    from thought1.evaluation.measure import Request

    request = Request(
        str(folder),
        split,
        name,
        system,
        mode,
        thought_budget(think, no_think),
        model,
        None if index_folder is None else str(index_folder),
        None if rewritten is None else str(rewritten),
        curve,
        faithfulness,
        ignore_identical_ids,
        anchor,
        samples,
        None if thoughts is None else str(thoughts),
        evidence,
    )
    request = checked(request)
    if index_folder is not None:
        check_folder(index_folder)
    if run_file is not None:
        check_file(run_file)
    measured, studied = _measure(request, results, trust_remote_code, keeps=not no_results)
    kept = _Kept(measured, request, price, studied, None if no_results else results, run_file)
    kept.write()
    _tell(measured, studied, kept, as_json=as_json)


def _tell(measured: "Measured", studied: "Studied", kept: "_Kept", *, as_json: bool) -> None:
    """Print what was found, and then what could not be written."""
    if as_json:
        print_json(_report(measured, kept.content, kept.path))
    else:
        _show(measured, kept.content)
        for line in studied.tables():
            print_text(line)
        if kept.path is not None:
            note(f"result: {kept.path}")
    _remark(measured)
    if kept.problem is not None:
        raise kept.problem


def _measure(
    request: "Request", results: Path, trust_remote_code: bool, *, keeps: bool
) -> "tuple[Measured, Studied]":
    """What was found; whatever can be refused is refused before anything is read or encoded."""
    from thought1.evaluation.measure import measure
    from thought1.evaluation.results import check_place
    from thought1.evaluation.studies import Studied, plan_studies

    with open_request(request, trust_remote_code) as (task, system):
        if keeps:
            facts = system.facts
            check_place(results, task.name, task.name_system(facts), facts.revision)
        plan = plan_studies(request, task, system, results)
        measured = measure(task, system, progress)
        return measured, plan.measure(measured, progress) if plan else Studied()


class _Kept:
    """The files of an evaluation. What cannot be written, on a disk that is full by now, must not
    keep the numbers from being shown: it is told after them."""

    def __init__(
        self,
        measured: "Measured",
        request: "Request",
        price: float | None,
        studied: "Studied",
        results: Path | None,
        run_file: Path | None,
    ) -> None:
        from thought1.evaluation.results import build_result

        studies = studied.to_studies()
        self.content = build_result(measured, request, price=price, studies=studies)
        self.path: Path | None = None
        self.problem: Thought1Error | None = None
        self._measured, self._results, self._run_file = measured, results, run_file

    def write(self) -> None:
        """Write them, or remember why not."""
        from thought1.data.formats import write_run
        from thought1.evaluation.results import TAG, write_result

        try:
            if self._run_file is not None:
                write_run(self._run_file, self._measured.run, TAG)
            if self._results is not None:
                self.path = write_result(self._results, self.content, self._measured)
        except Thought1Error as error:
            self.problem = error


def _report(measured: "Measured", content: dict[str, Any], kept: Path | None) -> dict[str, Any]:
    """What was measured; without a model there is neither its name nor a thinking budget."""
    from thought1.evaluation.results import STUDIES

    return {
        **{key: content[key] for key in ("metrics", "ci", "queries")},
        "system": content["system"]["name"],
        "model": measured.system.model,
        "mode": measured.system.mode,
        "think": measured.system.think,
        "receipt": receipt_data(measured.receipt),
        "cost": content["cost"],
        "checks": content["checks"],
        "result": None if kept is None else str(kept),
        **{study: content[study] for study in STUDIES if study in content},
    }


def _show(measured: "Measured", content: dict[str, Any]) -> None:
    show_means(content)
    print_text(f"{measured.evaluation.queries} queries, {_who(measured)}")
    print_text(receipt_line(measured.receipt))
    price = content["cost"]["cost_per_1000_queries"]
    if price is not None:
        print_text(f"1,000 queries cost {price:.4g}")


def _remark(measured: "Measured") -> None:
    """What a reader must know of the collection before the figures are quoted."""
    checks = measured.checks
    if checks is None:
        return
    if checks.missing_documents:
        note(
            f"warning: the collection lacks {checks.missing_documents} of the "
            f"{checks.judged_documents} judged documents: no ranking can hold them"
        )
    if measured.task.ignore_identical_ids:
        note(f"{checks.removed_identical} documents with the query's own id were left out")
    elif checks.identical_ids:
        note(
            f"{checks.identical_ids} of {len(measured.task.queries)} queries have the id of a "
            "document: where both are one text, --ignore-identical-ids leaves it out of the "
            "query's own ranking, as BEIR and mteb do"
        )


def _who(measured: "Measured") -> str:
    facts = measured.system
    if facts.think is None:
        return f"{facts.mode}, system {measured.system_name}"
    return f"{facts.mode}, model {facts.model}, thinking budget {facts.think}"
