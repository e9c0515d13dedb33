"""Options of `t1 evaluate` only; shared options are in `options`."""

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER",
        help="A BEIR folder: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv, gzipped (.gz) or not.",
    ),
]
Split = Annotated[
    str,
    typer.Option("--split", metavar="NAME", help="The split to evaluate: dev, ..."),
]
SystemSpec = Annotated[
    str,
    typer.Option(
        "--system",
        metavar="SPEC",
        help="t1, bm25, bm25-query (as BRIGHT's official baseline), st:FOLDER_OR_ID "
        "(sentence-transformers) or openai:URL#MODEL (an embedding server).",
    ),
]
KeptIndex = Annotated[
    Path | None,
    typer.Option(
        "--index",
        metavar="DIR",
        help="Use the index of this collection in this folder, and create it if there is "
        "none; by default a temporary one is made.",
    ),
]
Rewritten = Annotated[
    Path | None,
    typer.Option(
        "--rewritten",
        metavar="FILE",
        help='Search for these texts instead: JSON lines or a table of "_id", "text".',
    ),
]
Thoughts = Annotated[
    Path | None,
    typer.Option(
        "--thoughts",
        metavar="FILE",
        help="Read these thoughts instead of generating any: JSON lines or a table of "
        '"_id" (of the query), "text".',
    ),
]
Results = Annotated[
    Path,
    typer.Option(
        "--results",
        metavar="DIR",
        help="Write the result to DIR/SYSTEM/REVISION/TASK.json; see t1 replay.",
    ),
]
NoResults = Annotated[bool, typer.Option("--no-results", help="Write no result file.")]
TaskName = Annotated[
    str,
    typer.Option(
        "--name",
        metavar="TASK",
        help="Name of the task in the result; by default FOLDERNAME-SPLIT.",
    ),
]
Price = Annotated[
    float | None,
    typer.Option(
        "--price",
        min=0,
        max=1e9,
        metavar="X",
        help="Price per million tokens, to estimate the cost of queries.",
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
        help="Also measure whether the vectors depend on the thoughts, and how much sampled "
        "thoughts scatter.",
    ),
]
Anchor = Annotated[
    str,
    typer.Option(
        "--anchor",
        metavar="none|mean|WEIGHT",
        help="Weight of the vector without a thought in the vector with one; by default "
        "what the model's settings say.",
    ),
]
RunFile = Annotated[
    Path | None, typer.Option("--run", metavar="FILE", help="Write the ranking in TREC format.")
]
