"""`t1 score`: the numbers of a run that any system wrote, as official tools compute them.

Neither rules nor metrics are here (`thought1.evaluation.statistics.score`):

    t1 score --run bm25.run.gz --qrels qrels/dev.tsv --json
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from thought1.cli.console import note, print_json, print_text, show_means
from thought1.cli.options import IgnoreIdenticalIds, Json

if TYPE_CHECKING:
    from thought1.evaluation.statistics.score import RunScore


Excluded = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Documents to remove from the ranking of a query before the cutoff: lines of query "
        "and document, or JSON lines with _id and excluded_ids.",
    ),
]


def score(
    run_file: Annotated[
        Path,
        typer.Option(
            "--run",
            metavar="FILE",
            help="The ranking: a TREC run, a TSV with BEIR's header, or one JSON object "
            "{query: {document: score}}; may be .gz.",
        ),
    ],
    qrels_file: Annotated[
        Path,
        typer.Option(
            "--qrels",
            metavar="FILE",
            help="The judgements: TREC, BEIR's TSV, or one JSON object; may be .gz.",
        ),
    ],
    *,
    exclude: Excluded = None,
    metrics: Annotated[
        str,
        typer.Option(metavar="LIST", help="Comma-separated: ndcg@K, recall@K, mrr@K, mrr."),
    ] = "ndcg@10,recall@1,recall@100,mrr",
    missing: Annotated[
        Literal["error", "zero", "skip"],
        typer.Option(
            help="A judged query that the run lacks: refuse, count as 0, or leave it out."
        ),
    ] = "error",
    ignore_identical_ids: IgnoreIdenticalIds = False,
    as_json: Json = False,
    per_query: Annotated[
        bool, typer.Option("--per-query", help="Also print the values of each query.")
    ] = False,
) -> None:
    """Score a run file against judgements, with pytrec_eval's semantics."""
    from thought1.data.trec import read_exclusions, read_qrels, read_run
    from thought1.evaluation.statistics.score import ScoringRules, score_run

    measures = list(dict.fromkeys(name.strip() for name in metrics.split(",")))
    excluded = read_exclusions(exclude) if exclude else {}
    rules = ScoringRules(missing, excluded, ignore_identical_ids)
    found = score_run(read_run(run_file), read_qrels(qrels_file), measures, rules)
    if found.identical and not ignore_identical_ids:
        note(
            f"{found.identical} queries found a document with their own id: where both are one "
            "text, --ignore-identical-ids leaves it out, as BEIR and mteb do"
        )
    if as_json:
        print_json(found.to_json(per_query=per_query))
        return
    _show(found, missing, ignore_identical_ids)
    if per_query:
        print_text("\t".join(["\nquery", *measures]))
        for query, values in found.by_query().items():
            print_text("\t".join([query, *(f"{value:.5f}" for value in values.values())]))


def _show(found: "RunScore", missing: str, ignored: bool) -> None:
    show_means(found.to_json())
    print_text(f"{found.evaluation.queries} queries")
    if found.missing:
        counted = "counted as 0" if missing == "zero" else "left out of the mean"
        print_text(f"{found.missing} judged queries are not in the run: {counted}")
    if found.unjudged:
        print_text(f"{found.unjudged} queries of the run are not judged: left out")
    if ignored:
        print_text(f"{found.identical} documents with the query's own id were left out")
    if found.unretrieved:
        print_text(
            f"{found.unretrieved} relevant documents are in no ranking of the run: too deep, or "
            "not in the index at all"
        )
    if found.removed:
        print_text(f"{found.removed} excluded documents were removed from the run")
    if found.relevant_excluded:
        print_text(
            f"{found.relevant_excluded} excluded documents are judged relevant: no ranking can "
            "hold them, and they still count as relevant"
        )
    if found.unjudged_excluded:
        print_text(f"{found.unjudged_excluded} queries with exclusions are not judged: left out")
    if found.short:
        print_text(
            f"{found.short} queries have fewer documents than the deepest cut: too low a value "
            "where the system could have given more"
        )
