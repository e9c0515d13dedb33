"""`t1 report`: all results of a folder as one HTML page.

Neither results nor the page are made here (`thought1.evaluation.report`):

    t1 report results -o report.html
"""

from pathlib import Path
from typing import Annotated

import typer

from thought1.cli.console import print_text


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
    from thought1.data.outputs import check_file, whole_file
    from thought1.evaluation.report.page import render_page
    from thought1.evaluation.report.reading import read_results

    target = output or folder / "report.html"
    results = read_results(folder)
    check_file(target)
    page = render_page(results, title)
    with whole_file(target) as stream:
        stream.write(page.encode("utf-8"))
    print_text(f"{target}: {len(results)} {'result' if len(results) == 1 else 'results'}")
