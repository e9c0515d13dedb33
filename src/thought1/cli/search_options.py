"""The options of `t1 search`; `t1 evaluate` has one of them."""

from typing import Annotated

import typer

from thought1.search.options import Combination, FusedBy

Conditions = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="Only documents whose metadata meet this: lang=en, 'year>=1990'; also !=, >, < "
        "and <=. Numbers are compared with numbers. May be repeated; all must hold.",
    ),
]
Offset = Annotated[
    int, typer.Option("--offset", min=0, metavar="N", help="Leave out a question's first N hits.")
]
FusionWeights = Annotated[
    str | None,
    typer.Option(
        "--fusion-weights",
        metavar="DENSE,BM25",
        help="What each side weighs in mode hybrid; by default 1,1.",
    ),
]
FusedByOption = Annotated[
    FusedBy | None,
    typer.Option(
        "--fusion",
        help="How mode hybrid makes one ranking of two: by scores, where BM25 weighs as much as "
        "its first hits stand out (the default), or by reciprocal ranks.",
    ),
]


Combine = Annotated[
    Combination,
    typer.Option(
        "--combine",
        help="What becomes of several thoughts: their mean vector, their rankings fused by rank, "
        "the mean weighted by agreement, or the one that retrieves most alike to the bare "
        "question, to BM25 or to the other thoughts.",
    ),
]
MinConfidence = Annotated[
    float | None,
    typer.Option(
        "--min-confidence",
        metavar="C",
        help="With --samples and --mode dense: questions whose thoughts agree less than this (mean "
        "cosine) are searched in mode hybrid.",
    ),
]


GivenThought = Annotated[
    str | None,
    typer.Option(
        "--thought",
        metavar="TEXT",
        help="A thought of your own on QUESTION, or the model's after you edited it: it is read in "
        "one pass, and nothing is generated.",
    ),
]
Explained = Annotated[
    bool,
    typer.Option(
        "--explain",
        help="Say for each hit what each part of the thought did for it, which of its sentences "
        "is nearest, and which words of the question it has.",
    ),
]


GroupBy = Annotated[
    str,
    typer.Option(
        "--group-by",
        metavar="FIELD",
        help="One hit for each value of this metadata field: source gives one for each text file.",
    ),
]
GroupBest = Annotated[
    int,
    typer.Option(
        "--group-best",
        min=1,
        metavar="M",
        help="With --group-by: a document's score is the mean of its M best passages' scores.",
    ),
]
Neighbours = Annotated[
    int,
    typer.Option(
        "--neighbours",
        min=0,
        metavar="N",
        help="Show N passages before and after each hit in its text file.",
    ),
]
JsonLines = Annotated[
    bool, typer.Option("--jsonl", help="Print one JSON object for each question instead.")
]
Csv = Annotated[bool, typer.Option("--csv", help="Print one row for each hit instead.")]


Question = Annotated[
    str | None,
    typer.Argument(
        metavar="QUESTION", help="Without it, questions are read from stdin, one per line."
    ),
]
Hits = Annotated[int, typer.Option("-k", min=1, metavar="N", help="Most hits for a question.")]
