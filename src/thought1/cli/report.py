"""`t1 report`: all results of a folder as one HTML page.

Neither results nor the page are made here (`thought1.evaluation.report`):

    t1 report results -o report.html
"""

from pathlib import Path
from typing import Annotated

import typer

from thought1.cli.console import print_text
from thought1.types import Thought1Error


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Result files as `t1 evaluate` writes them, at any depth."
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="The page; by default DIR/report.html."
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="The page's heading.")] = "Retrieval results",
) -> None:
    """Write one HTML page that needs no network: tables, plots, single queries, provenance."""
    from thought1.evaluation.report.page import render_page
    from thought1.evaluation.report.reading import read_results

    target = output or folder / "report.html"
    results = read_results(folder)
    page = render_page(results, title)
    try:
        target.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise Thought1Error(
            f"{target} cannot be written ({error.strerror or error}): name another file with -o"
        ) from None
    print_text(f"{target}: {len(results)} {'result' if len(results) == 1 else 'results'}")
