"""`t1 evaluate`: how well a system answers the judged questions of a collection.

Neither runs nor metrics are computed here (`thought1.evaluation`):

    t1 evaluate entailmentbank --split dev --mode hybrid --json
    t1 evaluate entailmentbank --split dev --system bm25-query
    t1 evaluate entailmentbank --split dev --think 32 --curve 0,8,16,32 --faithfulness
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thought1.cli.console import (
    note,
    print_json,
    print_text,
    progress,
    receipt_data,
    receipt_line,
    show_means,
)
from thought1.cli.options import (
    Budget,
    IndexOrBundledModel,
    Json,
    NoThink,
    SearchMode,
    TrustRemoteCode,
    thought_budget,
)
from thought1.cli.systems import open_request
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.evaluation.measure import Measured


Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER", help="A BEIR folder: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv."
    ),
]
Split = Annotated[
    str, typer.Option("--split", metavar="NAME", help="Whose questions are asked: dev, ...")
]
SystemSpec = Annotated[
    str,
    typer.Option(
        "--system",
        metavar="SPEC",
        help="t1, bm25, bm25-query (weighted as BRIGHT's official one), st:FOLDER_OR_ID "
        "(sentence-transformers) or openai:URL#MODEL (an embedding server).",
    ),
]
KeptIndex = Annotated[
    Path | None,
    typer.Option(
        "--index",
        metavar="DIR",
        help="Use the index of this collection in this folder, and make it where there is "
        "none; by default a temporary one is made.",
    ),
]
Rewritten = Annotated[
    Path | None,
    typer.Option(
        "--rewritten",
        metavar="FILE",
        help='Ask these texts instead of the questions: lines {"_id", "text"}.',
    ),
]
Results = Annotated[
    Path,
    typer.Option(
        "--results",
        metavar="DIR",
        help="Keep the result as DIR/SYSTEM/REVISION/TASK.json; see t1 replay.",
    ),
]
NoResults = Annotated[bool, typer.Option("--no-results", help="Keep no result.")]
TaskName = Annotated[
    str,
    typer.Option(
        "--name", metavar="TASK", help="Name of the task in the result; else FOLDERNAME-SPLIT."
    ),
]
Price = Annotated[
    float | None,
    typer.Option(
        "--price",
        min=0,
        max=1e9,
        metavar="X",
        help="Price of a million tokens, to tell what queries cost.",
    ),
]
CurveBudgets = Annotated[
    str | None,
    typer.Option(
        "--curve",
        metavar="BUDGETS",
        help="Also measure nDCG@10 at these thinking budgets, such as 0,8,16,32,64, against "
        "the other systems on the task below --results.",
    ),
]
WithFaithfulness = Annotated[
    bool,
    typer.Option(
        "--faithfulness",
        help="Also measure whether the vectors depend on the thoughts, and how far sampled "
        "thoughts scatter.",
    ),
]
RunFile = Annotated[
    Path | None, typer.Option("--run", metavar="FILE", help="Write the ranking in TREC format.")
]


def evaluate(
    folder: Folder,
    *,
    split: Split,
    system: SystemSpec = "t1",
    mode: SearchMode = "dense",
    think: Budget = None,
    no_think: NoThink = False,
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
    as_json: Json = False,
) -> None:
    """Measure retrieval: 100 documents for each judged question, thinking greedily."""
    from thought1.data.formats import write_run
    from thought1.evaluation.measure import Request, measure
    from thought1.evaluation.results import TAG, build_result, make_folder, write_result
    from thought1.evaluation.studies import Studied, plan_studies

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
    )
    if run_file is not None and (run_file.is_dir() or not run_file.parent.is_dir()):
        raise Thought1Error(f"{run_file} cannot be written: no such folder, or a folder itself")
    with open_request(request, trust_remote_code) as (task, system_under_test):
        plan = plan_studies(request, task, system_under_test, results)
        if not no_results:
            make_folder(results)
        measured = measure(task, system_under_test, progress)
        studied = plan.measure(measured, progress) if plan else Studied()
    content = build_result(measured, request, price=price, studies=studied.to_studies())
    kept = None if no_results else write_result(results, content, measured)
    if as_json:
        print_json(_report(measured, content, kept))
    else:
        _show(measured, content)
        for line in studied.tables():
            print_text(line)
        if kept is not None:
            note(f"result: {kept}")
    if run_file is not None:
        write_run(run_file, measured.run, TAG)


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


def _who(measured: "Measured") -> str:
    facts = measured.system
    if facts.think is None:
        return f"{facts.mode}, system {measured.system_name}"
    return f"{facts.mode}, model {facts.model}, thinking budget {facts.think}"
