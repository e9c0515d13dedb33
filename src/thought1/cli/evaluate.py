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
from thought1.cli.models import default_name, quiet_libraries
from thought1.cli.options import (
    Budget,
    Evidence,
    IgnoreIdenticalIds,
    IndexOrBundledModel,
    Json,
    NoThink,
    Rounds,
    Samples,
    SearchMode,
    TrustRemoteCode,
    option,
    thought_budget,
)
from thought1.cli.reranking import (
    Rerank,
    RerankDepth,
    RerankGuided,
    RerankWeight,
    with_reranker,
)
from thought1.cli.result_json import receipt_data
from thought1.cli.search_options import FusedByOption

if TYPE_CHECKING:
    from thought1.evaluation.measure import Measured
    from thought1.evaluation.run import Evaluated


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
    rounds: Rounds = 1,
    fused_by: FusedByOption = None,
    rerank: Rerank = None,
    rerank_depth: RerankDepth = None,
    rerank_weight: RerankWeight = None,
    rerank_guided: RerankGuided = False,
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
    from thought1.evaluation import run
    from thought1.evaluation.request import Request, check_request

    request = Request(
        str(folder),
        split,
        name,
        system,
        mode,
        thought_budget(think, no_think),
        model,
        index=None if index_folder is None else str(index_folder),
        rewritten=None if rewritten is None else str(rewritten),
        curve=curve,
        faithfulness=faithfulness,
        ignore_identical_ids=ignore_identical_ids,
        anchor=anchor,
        samples=samples,
        thoughts=None if thoughts is None else str(thoughts),
        evidence=evidence,
        rounds=rounds,
        fusion=fused_by or "scores",
    )
    request = with_reranker(request, rerank, rerank_depth, rerank_weight, rerank_guided)
    check_request(request, option)
    quiet_libraries()
    done = run.evaluate(
        request,
        run.Outputs(None if no_results else results, run_file, price),
        baselines=results,
        choose=default_name,
        trust_remote_code=trust_remote_code,
        bars=progress,
    )
    _tell(done, as_json=as_json)


def _tell(done: "Evaluated", *, as_json: bool) -> None:
    """Print what was found, and then what could not be written."""
    if as_json:
        print_json(_report(done))
    else:
        _show(done)
        for line in done.studied.tables():
            print_text(line)
        if done.path is not None:
            note(f"result: {done.path}")
    _remark(done.measured)
    if done.problem is not None:
        raise done.problem


def _report(done: "Evaluated") -> dict[str, Any]:
    """What was measured; without a model there is neither its name nor a thinking budget."""
    from thought1.evaluation.run import STUDIES

    content, facts = done.result.to_json(), done.measured.system
    return {
        **{key: content[key] for key in ("metrics", "ci", "queries")},
        "system": content["system"]["name"],
        "model": facts.model,
        "mode": facts.mode,
        "think": facts.think,
        "receipt": receipt_data(done.measured.receipt),
        "cost": content["cost"],
        "checks": content["checks"],
        "result": None if done.path is None else str(done.path),
        **{study: content[study] for study in STUDIES if study in content},
    }


def _show(done: "Evaluated") -> None:
    measured = done.measured
    show_means(done.result.to_json())
    print_text(f"{measured.evaluation.queries} queries, {_who(measured)}")
    print_text(receipt_line(measured.receipt))
    price = done.result.cost.cost_per_1000_queries
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
    if measured.task.ignores_identical_ids:
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
